package output

import (
	"fmt"
	"strconv"
)

// Status is an exit status of a command that has said everything already.
type Status int

func (s Status) Error() string { return "exit status " + strconv.Itoa(int(s)) }

// UsageError is a wrong call: exit status 2.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

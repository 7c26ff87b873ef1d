package ensemble

import (
	"fmt"

	"github.com/rs/zerolog"
)

// raftLogger gives raft's lines to ours. What raft calls information is of use only to somebody who looks for a fault in it.
type raftLogger struct{ l zerolog.Logger }

func (r raftLogger) Debug(v ...any)            { r.l.Trace().Msg(fmt.Sprint(v...)) }
func (r raftLogger) Debugf(f string, v ...any) { r.l.Trace().Msgf(f, v...) }
func (r raftLogger) Info(v ...any)             { r.l.Debug().Msg(fmt.Sprint(v...)) }
func (r raftLogger) Infof(f string, v ...any)  { r.l.Debug().Msgf(f, v...) }

func (r raftLogger) Warning(v ...any)            { r.l.Warn().Msg(fmt.Sprint(v...)) }
func (r raftLogger) Warningf(f string, v ...any) { r.l.Warn().Msgf(f, v...) }
func (r raftLogger) Error(v ...any)              { r.l.Error().Msg(fmt.Sprint(v...)) }
func (r raftLogger) Errorf(f string, v ...any)   { r.l.Error().Msgf(f, v...) }

// Raft calls Fatal and Panic when its log cannot be what it is. The loop recovers and stops this member, not the process.

func (r raftLogger) Fatal(v ...any)            { panic(fmt.Sprint(v...)) }
func (r raftLogger) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
func (r raftLogger) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (r raftLogger) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }

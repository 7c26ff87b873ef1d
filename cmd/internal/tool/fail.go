package tool

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/cmd/internal/output"
)

// Failed ends a call that cannot be carried out: its reason is all that is said, on standard error.
func Failed(cmd *cobra.Command, format string, args ...any) error {
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
	return output.Status(1)
}

// Refused ends a call with an error, as tools do that print an exception's message: a broker's error with its class.
func Refused(cmd *cobra.Command, err error) error {
	var status output.Status
	var ke *kerr.Error
	switch {
	case err == nil, errors.As(err, &status):
		return err
	case errors.As(err, &ke):
		return Failed(cmd, "%s", Java(ke, ""))
	}
	return Failed(cmd, "%v", err)
}

// Lacks says whether an error means that a broker does not have an API.
func Lacks(err error) bool {
	return errors.Is(err, kerr.UnsupportedVersion) || strings.Contains(err.Error(), "does not support") || strings.Contains(err.Error(), "broker is too old")
}

//go:build unix

package cli

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"ottla/internal/e2e"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		e2e.Cleanup()
		os.Exit(code)
	}))
}

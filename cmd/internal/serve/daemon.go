package serve

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

const daemonUsage = "run in the background, with its output in logs/ (or $LOG_DIR)"

// settle is how long a server in the background is watched for a wrong configuration, which ends it at once.
const settle = 300 * time.Millisecond

// detach runs this very command without -daemon in the background.
func detach(name string) error {
	dir := os.Getenv("LOG_DIR")
	if dir == "" {
		dir = "logs"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, name+".out")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	args := slices.DeleteFunc(slices.Clone(os.Args), func(a string) bool { return a == "-daemon" || a == "--daemon" })
	cmd := &exec.Cmd{Path: program, Args: args, Stdout: out, Stderr: out, SysProcAttr: background()}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return fmt.Errorf("the server ended at once (%v): see %s", err, path)
	case <-time.After(settle):
		return nil
	}
}

// Package links is `ottla install-links`: the names under which a tutorial calls the same binary.
package links

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
)

// Command is `ottla install-links`; names are the commands, without an ending.
func Command(names []string) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "install-links DIR",
		Short: "Install the command names of Apache Kafka and ZooKeeper in a directory",
		Long: `Install the command names of Apache Kafka and ZooKeeper, such as kafka-topics and kafka-topics.sh, in a directory. They are
symbolic links to this program, on Windows .bat files that call it. Put the directory into your PATH, or call them by it as a
tutorial does: bin/kafka-topics.sh.`,
		Example: "  ottla install-links bin",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			if program, err = filepath.EvalSymlinks(program); err != nil {
				return err
			}
			made, err := Install(runtime.GOOS, program, args[0], names, force)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d commands in %s\n", made, args[0])
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace files of these names that are no links")
	return cmd
}

// Install makes the names in dir, which it makes too if need be, and returns how many there are now. A file that is there and
// that no earlier Install made is replaced only by force.
func Install(goos, program, dir string, names []string, force bool) (int, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	made := 0
	for _, name := range names {
		files := []string{name, name + ".sh"}
		if goos == "windows" {
			files = []string{name + ".bat"}
		}
		for _, f := range files {
			path := filepath.Join(dir, f)
			if err := clear(path, goos == "windows" || force); err != nil {
				return made, err
			}
			var err error
			if goos == "windows" {
				err = os.WriteFile(path, []byte("@\""+program+"\" as "+name+" %*\r\n"), 0o755)
			} else {
				err = os.Symlink(program, path)
			}
			if err != nil {
				return made, err
			}
			made++
		}
	}
	return made, nil
}

// clear removes what stands in the way at path: a link, or by force a file.
func clear(path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir(), info.Mode()&fs.ModeSymlink == 0 && !force:
		return fmt.Errorf("%s is there already and is no link: choose another directory, or use --force to replace files", path)
	}
	return os.Remove(path)
}

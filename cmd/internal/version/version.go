// Package version is `ottla version`: which build this is, and what it stands in for.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"ottla/cmd/internal/output"
)

// Kafka and ZooKeeper are the Apache releases whose behaviour this build has.
const (
	Kafka     = "3.9"
	ZooKeeper = "3.9"
)

// Info is what is known of a build.
type Info struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	Date      string `json:"date,omitempty"`
	Modified  bool   `json:"modified,omitempty"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	Kafka     string `json:"kafka"`
	ZooKeeper string `json:"zookeeper"`
}

// Read collects what the toolchain wrote into the binary.
func Read() Info {
	i := Info{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Kafka: Kafka, ZooKeeper: ZooKeeper}
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return i
	}
	if v := b.Main.Version; v != "" && v != "(devel)" {
		i.Version = v
	}
	for _, s := range b.Settings {
		switch s.Key {
		case "vcs.revision":
			i.Commit = s.Value[:min(12, len(s.Value))]
		case "vcs.time":
			i.Date = s.Value
		case "vcs.modified":
			i.Modified = s.Value == "true"
		}
	}
	return i
}

// Command is `ottla version`.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs}
	format := output.Flag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		i := Read()
		if *format == output.AsJSON {
			return output.JSON(cmd.OutOrStdout(), i)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "ottla %s (Kafka %s and ZooKeeper %s; %s %s)\n", i.Version, i.Kafka, i.ZooKeeper, i.Go, i.Platform)
		return err
	}
	return cmd
}

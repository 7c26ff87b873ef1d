// Command ottla is Kafka and ZooKeeper in one binary: `ottla up` runs both, `ottla coordinator` and `ottla broker` one of
// them, and the other commands talk to them, or to the Apache ones. Under the name of a tutorial's command, such as
// kafka-topics.sh, it is that command.
package main

import (
	"os"

	"ottla/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }

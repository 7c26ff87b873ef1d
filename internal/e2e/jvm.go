//go:build unix

package e2e

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// java is the command that runs a class of a set. The process is the JVM itself, so that signals reach it.
func java(t testing.TB, set, class string, args ...string) []string {
	t.Helper()
	dir := filepath.Join(peersDir(), set)
	jars, err := filepath.Glob(filepath.Join(dir, "jars", "*.jar"))
	if err != nil || len(jars) == 0 {
		t.Fatalf("no jars in %s: %v", dir, err)
	}
	conf := "file:" + filepath.Join(dir, "conf") + "/"
	command := []string{"java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true", "-Dpeers.level=WARN",
		"-Dlog4j.configuration=" + conf + "log4j.properties", "-Dlog4j2.configurationFile=" + conf + "log4j2.properties",
		"-Dlogback.configurationFile=" + conf + "logback.xml"}
	command = append(command, archives.use(dir, filepath.Base(class))...)
	return append(append(command, "-cp", strings.Join(jars, ":"), class), args...)
}

// withFlags puts options of the JVM into the command of one.
func withFlags(command []string, flags ...string) []string {
	return slices.Insert(slices.Clone(command), 1, flags...)
}

// archives are the class archives of JVMs (CDS), which halve what a tool costs. The first process of a class in a test run writes
// one at its end, and the runs after use it. They are a cache beside the jars; a JVM that cannot use one starts without.
var archives classArchives

type classArchives struct {
	mu      sync.Mutex
	written map[string]string // final name by the name under which it is written
}

// use returns the options of a JVM that runs a class of the set in dir.
func (c *classArchives) use(dir, class string) []string {
	binary, err := exec.LookPath("java")
	if err == nil {
		binary, err = filepath.EvalSymlinks(binary)
	}
	if err != nil {
		return nil
	}
	id := fnv.New32() // an archive is for one Java
	id.Write([]byte(binary))
	cache := filepath.Join(dir, fmt.Sprintf("cds-%08x", id.Sum32()))
	archive := filepath.Join(cache, class+".jsa")
	if _, err := os.Stat(archive); err == nil {
		return []string{"-XX:SharedArchiveFile=" + archive, "-Xlog:disable"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := fmt.Sprintf("%s.%d", archive, os.Getpid())
	if c.written[fresh] != "" || os.MkdirAll(cache, 0o755) != nil {
		return nil
	}
	if c.written == nil {
		c.written = map[string]string{}
	}
	c.written[fresh] = archive
	return []string{"-XX:ArchiveClassesAtExit=" + fresh, "-Xlog:disable"}
}

// publish gives the archives of this run their names.
func (c *classArchives) publish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for fresh, archive := range c.written {
		_ = os.Rename(fresh, archive) // not there if the process was killed
	}
}

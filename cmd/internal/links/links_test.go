package links

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestInstall(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege on Windows")
	}
	dir := filepath.Join(t.TempDir(), "a", "bin")
	for range 2 { // twice: links of an earlier run are replaced
		if n, err := Install("linux", "/usr/bin/ottla", dir, []string{"kafka-topics"}, false); n != 2 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	for _, name := range []string{"kafka-topics", "kafka-topics.sh"} {
		if to, err := os.Readlink(filepath.Join(dir, name)); err != nil || to != "/usr/bin/ottla" {
			t.Errorf("%s: %q, %v", name, to, err)
		}
	}
}

func TestInstallKeepsFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege on Windows")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "kafka-topics.sh")
	if err := os.WriteFile(path, []byte("Apache's"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Install("linux", "/usr/bin/ottla", dir, []string{"kafka-topics"}, false); err == nil {
		t.Fatal("a file was replaced")
	}
	if b, _ := os.ReadFile(path); string(b) != "Apache's" {
		t.Errorf("the file holds %q", b)
	}
	if n, err := Install("linux", "/usr/bin/ottla", dir, []string{"kafka-topics"}, true); n != 2 || err != nil {
		t.Errorf("with force: %d, %v", n, err)
	}
}

func TestInstallOnWindows(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if n, err := Install("windows", `C:\ottla.exe`, dir, []string{"kafka-topics"}, false); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "kafka-topics.bat")); err != nil || string(b) != "@\"C:\\ottla.exe\" as kafka-topics %*\r\n" {
		t.Errorf("%q, %v", b, err)
	}
}

//go:build ring4

package ring4

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheImagesBinaryRunsAlone builds the program by the very line of the Dockerfile,
// and holds it to what the image gives it: no libraries, no shell, no root.
func TestTheImagesBinaryRunsAlone(t *testing.T) {
	const root = "../.."
	b, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^RUN (.*go build.*)$`).FindSubmatch(b)
	if line == nil {
		t.Fatal("the Dockerfile builds nothing")
	}
	bin := filepath.Join(t.TempDir(), "firn")
	build := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(string(line[1]), "/out/firn", bin))
	build.Dir = root
	build.Env = append(os.Environ(), "VERSION=v9.8.7")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line[1], err, out)
	}
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libs, err := f.ImportedLibraries()
	if err != nil || len(libs) > 0 || f.Section(".interp") != nil {
		t.Errorf("the binary is not static: %v, %v", libs, err)
	}
	alone := func(args ...string) string {
		c := exec.CommandContext(t.Context(), bin, args...)
		c.Env, c.Dir = []string{}, "/" // as in the image, where there is nothing
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("firn %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := alone("version"); !strings.HasPrefix(out, "firn v9.8.7 ") {
		t.Errorf("version: %s", out)
	}
	if out := alone("generate", "compose"); !strings.Contains(out, ".git#v9.8.7") {
		t.Error("a released program does not build the image of its own release")
	}
	if out := alone("doctor", "storage", "file://"+t.TempDir()+"/bucket", "--quick"); !strings.Contains(out, "approved") {
		t.Error(out)
	}
}

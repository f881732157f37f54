//go:build !synctests

package bubble

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestMain runs the tests in a build with the tag synctests. Without it franz-go
// holds sync.Mutexes across requests, and a goroutine that waits for such a lock
// keeps a bubble's time from moving for ever. So `go test ./...` needs to know
// nothing of tags, and neither do -run, -v, -race and the rest.
func TestMain(*testing.M) {
	args := []string{"test", "-tags", "synctests"}
	if raced {
		args = append(args, "-race")
	}
	for i, a := range os.Args[1:] {
		name, ok := strings.CutPrefix(a, "-test.")
		flag, _, _ := strings.Cut(name, "=")
		switch {
		case !ok: // the tests' own arguments
			args = append(args, os.Args[1+i:]...)
		case !slices.Contains([]string{"testlogfile", "paniconexit0", "outputdir", "coverprofile", "gocoverdir"}, flag):
			args = append(args, "-"+name)
			continue
		default:
			continue
		}
		break
	}
	cmd := exec.Command("go", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	} else if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

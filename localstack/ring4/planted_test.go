//go:build ring4

package ring4

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/localstack/proc"
	"github.com/firnlog/firn/planted"
)

// TestPlantedBugsAreSeen builds the program with one bug after another and lets
// TestHistoryUnderFaults run on it: it must fail by what clients or object verify have
// seen. It takes minutes and runs when RING4_PLANTED is set: to all, or to names.
func TestPlantedBugsAreSeen(t *testing.T) {
	which := os.Getenv("RING4_PLANTED")
	if which == "" {
		t.Skip("RING4_PLANTED is not set: make planted sets it")
	}
	// The faults that bring a bug to light.
	faults := map[planted.Bug]string{
		planted.AckBeforePut:     "kill,kill and wipe",
		planted.TakenIsSuccess:   "pause,cut off",
		planted.TimeoutIsSuccess: "store answers badly,store cuts off a moment,kill",
		planted.AckOverGap:       "kill while the store answers late",
		planted.NoFence:          "pause,cut off",
		planted.SealNothing:      "kill",
		planted.ForgetProducers:  "kill while the store answers late,pause",
		planted.NoDedupe:         "kill while the store answers late,pause,cut off",
		planted.FenceDeleted:     "pause,cut off",
		planted.SweepEarly:       "kill,leave",
		planted.JournalOverrun:   "kill,leave,nothing",
	}
	seen := regexp.MustCompile(`(?m)^\s+\w+_test\.go:\d+: (.*(lost-write|unseen|duplicate|inconsistent-offsets|skip|monotonic|G1|findings?|ended by itself|not ready|not read to|not served).*)$`)
	for _, b := range planted.All {
		if which != "all" && !slices.Contains(strings.Split(which, ","), string(b)) {
			continue
		}
		if faults[b] == "" {
			continue // it takes faults of disks, or orders, that only seeds have
		}
		t.Run(string(b), func(t *testing.T) {
			bin, err := proc.Build(t.Context(), t.TempDir(), "-tags", "planted", "-ldflags", "-X github.com/firnlog/firn/planted.bug="+string(b))
			if err != nil {
				t.Fatal(err)
			}
			kind := "minio"
			if realStore != nil {
				kind = realStore.Kind().String()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			self, err := filepath.Abs(os.Args[0])
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(ctx, self, "-test.run", "^TestHistoryUnderFaults$", "-test.v")
			cmd.Env = append(os.Environ(), "RING4_STORE="+kind, "RING4_BIN="+bin, "RING4_NEMESIS=1m", "RING4_FAULTS="+faults[b])
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("nobody noticed\n%s", out)
			}
			m := seen.FindSubmatch(out)
			if m == nil {
				t.Fatalf("it failed for a reason that says nothing of the bug\n%.20000s", out)
			}
			t.Logf("%.300s", m[1])
		})
	}
}

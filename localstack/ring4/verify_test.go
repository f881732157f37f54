//go:build ring4

package ring4

import (
	"os/exec"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// verify proves the whole bucket with the program's own verb.
func (s *stack) verify(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), s.bin, "object", "verify", "--store", s.store).CombinedOutput()
	if err != nil {
		t.Errorf("object verify: %v\n%s", err, out)
		return
	}
	t.Logf("object verify: %s", out)
}

// TestVerifyOfALiveClusterHasNoFindings while the broker seals, merges, rotates sessions,
// deletes and is killed once, all as fast as it can.
func TestVerifyOfALiveClusterHasNoFindings(t *testing.T) {
	s := newStack(t, "-X", "seal.interval.ms=300", "-X", "gc.grace.ms=1000", "-X", "session.rotate.ms=2000")
	s.start(t)
	const topic = "live"
	if _, err := kadm.NewClient(client(t, s.addr)).CreateTopic(t.Context(), 8, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	w := startWriters(t, s.addr, topic, 4)
	// Long enough for the session to rotate and its slots to be deleted several times, and
	// often enough to fall into all that, however slow an audit is.
	began := time.Now()
	for runs := 0; runs < 12 || time.Since(began) < 12*time.Second; runs++ {
		if runs == 6 {
			s.kill()
			s.start(t)
		}
		s.verify(t)
	}
	check(t, s.addr, topic, w.stop(t))
	s.stop(t)
	s.verify(t)
}

//go:build ring4

package ring4

import (
	"os/exec"
	"testing"
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

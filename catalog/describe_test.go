package catalog

import (
	"strings"
	"testing"
)

// `firn catalog history` shows every kind in words: its name, and then what it is about.
func TestEveryCommandIsDescribedInWords(t *testing.T) {
	for k := kind(1); newCommand(k) != nil; k++ {
		got := Describe(newCommand(k))
		if name, rest, _ := strings.Cut(got, " "); strings.ContainsAny(name, "*.&{") || rest == "" {
			t.Errorf("kind %d is described as %q", k, got)
		}
	}
	if newCommand(kindGiveUp+1) != nil {
		t.Errorf("kinds go on after %d", kindGiveUp)
	}
}

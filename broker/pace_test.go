package broker

import (
	"testing"
	"time"
)

// A bucket that was out of reach answers late once; one that is slow is not late for ever.
func TestASlowBucketIsNotLateForEver(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		what string
		took []time.Duration
		late []bool
	}{
		{"one that is near", []time.Duration{0, s / 10, 0, s / 5}, []bool{false, false, false, false}},
		{"links that were down", []time.Duration{0, 4 * s, 0, 0, 0, 0, 0, 5 * s, 0, 0, 14 * s}, []bool{false, true, false, false, false, false, false, true, false, false, true}},
		{"one that is slow", []time.Duration{2 * s, 2 * s, 3 * s, 0, 2 * s, 0, 2 * s}, []bool{true, false, false, false, false, false, false}},
	} {
		var p pace
		for i, took := range c.took {
			if late := p.late(took); late != c.late[i] {
				t.Errorf("%s: answer %d, which took %s: late %v", c.what, i, took, late)
			}
		}
	}
}

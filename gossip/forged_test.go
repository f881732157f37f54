package gossip

import (
	"math"
	"testing"
)

// What is forged, cut off or told again costs a look at the journal at most, and keeps no
// later hint from being heard (P8).
func TestForgedAndReplayedHintsDoNoHarm(t *testing.T) {
	a := start(t, 1, "one")
	w := wire{a.Gossip}
	heard := func() bool {
		select {
		case <-a.Hints():
			return true
		default:
			return false
		}
	}
	for _, b := range [][]byte{nil, {}, {hint}, {hint, 0x80}, {'X', 1}, {hint, 5, 6}, append([]byte{hint}, make([]byte, 1000)...),
		{ask}, append([]byte{ask}, make([]byte, 16)...), append(append([]byte{ask}, make([]byte, 16)...), 200, 'x'), {answer}, append([]byte{answer}, make([]byte, 16)...)} {
		w.NotifyMsg(b)
		if heard() || a.Newest() != 0 {
			t.Fatalf("%q was taken for a hint", b)
		}
	}
	for _, x := range []struct{ told, newest uint64 }{{7, 7}, {7, 7}, {3, 7}, {math.MaxUint64, math.MaxUint64}, {8, math.MaxUint64}} {
		w.NotifyMsg(encodeHint(x.told))
		if !heard() || a.Newest() != x.newest {
			t.Errorf("told of %d: newest is %d, want %d", x.told, a.Newest(), x.newest)
		}
	}
	q := question{[16]byte{1, 2}, "10.0.0.1:7946", "life"}
	if got, ok := decodeQuestion(q.encode()); !ok || got != q {
		t.Errorf("%+v came back as %+v", q, got)
	}
	if ms := a.Members(); len(ms) != 1 {
		t.Errorf("members are %+v", ms)
	}
}

package tier

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tail takes about the memory that it was given, also for batches of one small record,
// each in a buffer of its own: what is around them counts.
func TestTheTailTakesTheMemoryThatItWasGiven(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const budget = 4 << 20
	before := heap()
	tail := NewTail(budget)
	for at := range int64(4 * budget / 100) {
		buffer := make([]byte, 256)
		tail.Add(part(1), []Batch{{Base: at, Next: at + 1, Bytes: buffer[100:180], Frame: &frame{data: buffer}}})
	}
	took := heap() - before
	require.Positive(t, tail.Bytes())
	require.Less(t, took, int64(2*budget))
}

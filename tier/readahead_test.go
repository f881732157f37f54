package tier

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadAheadGrowsWhileAReaderKeepsUp shows the policy as a transcript: a lookup,
// then a reader that goes on, then one who loses what was read ahead.
func TestReadAheadGrowsWhileAReaderKeepsUp(t *testing.T) {
	const mib = 1 << 20
	var b strings.Builder
	var a ahead
	step := func(what string, read int64, missed bool, limit int64) {
		var ask int64
		a, ask = a.advance(read, missed, limit)
		fmt.Fprintf(&b, "%-8s read %4.2f  asks %4.2f  ahead %4.2f of %4.2f\n", what,
			float64(read)/mib, float64(ask)/mib, float64(a.asked)/mib, float64(a.window)/mib)
	}
	step("goes on", mib, false, 8*mib)
	for range 9 {
		step("goes on", mib, false, 8*mib)
	}
	step("missed", mib, true, 8*mib)
	step("missed", mib, true, 8*mib)
	for range 3 {
		step("crowded", mib/2, false, 2*mib)
	}
	step("jumps", 64*mib, false, 8*mib)
	require.Equal(t, strings.TrimLeft(`
goes on  read 1.00  asks 1.00  ahead 1.00 of 1.00
goes on  read 1.00  asks 2.00  ahead 2.00 of 2.00
goes on  read 1.00  asks 3.00  ahead 4.00 of 4.00
goes on  read 1.00  asks 0.00  ahead 3.00 of 4.00
goes on  read 1.00  asks 6.00  ahead 8.00 of 8.00
goes on  read 1.00  asks 0.00  ahead 7.00 of 8.00
goes on  read 1.00  asks 0.00  ahead 6.00 of 8.00
goes on  read 1.00  asks 0.00  ahead 5.00 of 8.00
goes on  read 1.00  asks 4.00  ahead 8.00 of 8.00
goes on  read 1.00  asks 0.00  ahead 7.00 of 8.00
missed   read 1.00  asks 4.00  ahead 4.00 of 4.00
missed   read 1.00  asks 2.00  ahead 2.00 of 2.00
crowded  read 0.50  asks 0.00  ahead 1.50 of 2.00
crowded  read 0.50  asks 1.00  ahead 2.00 of 2.00
crowded  read 0.50  asks 0.00  ahead 1.50 of 2.00
jumps    read 64.00  asks 4.00  ahead 4.00 of 4.00
`, "\n"), b.String())
}

func TestReadersShareTheCache(t *testing.T) {
	require.Equal(t, int64(aheadMost), aheadLimit(64<<20, 1))
	require.Equal(t, int64(4<<20), aheadLimit(64<<20, 8))
	require.Equal(t, int64(blockSize), aheadLimit(64<<20, 1000))
	require.Equal(t, int64(aheadMost), aheadLimit(64<<20, 0))
}

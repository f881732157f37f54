package sim

import (
	"flag"
	"os"
	"runtime/debug"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 0, "run this seed alone, and show what happens")
	seeds = flag.Uint64("seeds", 60, "how many seeds to run")
	most  = flag.Int("most", 1, "after how many that fail to stop")
	first = flag.Uint64("first", 1, "the first of them")
)

// limit is how many worlds of one kind are explored: all of them, if they are fewer.
const limit = 2_000_000

var underRace bool

// shallow is how many of the scopes of a small world are explored by default, deep with
// MODEL=deep.
func shallow(usual, deep int) int {
	if os.Getenv("MODEL") == "deep" {
		return deep
	}
	return usual
}

func TestSeed(t *testing.T) {
	if *seed != 0 {
		if w := run(*seed, func(line string) { t.Log(line) }); w.fault != nil {
			t.Fatal(w.fault)
		}
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // a run is short and leaves nothing
	failed := 0
	sum := map[string]int{}
	for s := *first; s < *first+*seeds; s++ {
		w := run(s, nil)
		if w.fault != nil {
			t.Errorf("seed %d: %v\nagain: go test ./broker/sim -run TestSeed -seed %d -v", s, w.fault, s)
			if failed++; failed == *most {
				break
			}
		}
		for k, n := range w.counts {
			sum[k] += n
		}
		sum["entries"] += int(w.newest().Number())
		sum["records"] += w.records()
	}
	t.Log(sum)
}

// The same seed gives the same run: otherwise no failure could be looked at.
func TestASeedRunTwiceIsTheSameRun(t *testing.T) {
	for s := uint64(1); s <= 5; s++ {
		a, b := run(s, nil), run(s, nil)
		if a.digest != b.digest || a.lines != b.lines {
			t.Fatalf("seed %d: %d lines with digest %x, then %d with %x", s, a.lines, a.digest, b.lines, b.digest)
		}
	}
}

package sim

import (
	"flag"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 0, "run this seed alone, and show what happens")
	seeds = flag.Uint64("seeds", 60, "how many seeds to run")
	first = flag.Uint64("first", 1, "the first of them")
)

func TestSeed(t *testing.T) {
	if *seed != 0 {
		if w := run(*seed, func(line string) { t.Log(line) }); w.fault != nil {
			t.Fatal(w.fault)
		}
		return
	}
	sum := map[string]int{}
	for s := *first; s < *first+*seeds; s++ {
		w := run(s, nil)
		if w.fault != nil {
			t.Fatalf("seed %d: %v\nagain: go test ./broker/sim -run Seed -seed %d -v", s, w.fault, s)
		}
		for k, n := range w.counts {
			sum[k] += n
		}
		sum["entries"] += int(w.newest().Number())
		sum["records"] += w.records()
	}
	t.Log(sum)
}

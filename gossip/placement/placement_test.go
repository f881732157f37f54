package placement

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestOrphansGoToTheLeastLoaded(t *testing.T) {
	got := Spread([]int{3, 0, 1}, 5)
	if want := []int{1, 1, 2, 1, 2}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	if Spread(nil, 3) != nil {
		t.Fatal("something was given to nobody")
	}
}

// TestBalanceIsReachedAndKept plays rounds of release and spread: the loads end
// within a few per cent, after which nothing moves, and no more moved than brokers had
// above an even share.
func TestBalanceIsReachedAndKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		load := rapid.SliceOfN(rapid.IntRange(0, 2000), 1, 20).Draw(t, "load")
		total, above := 0, 0
		for _, l := range load {
			total += l
		}
		share := (total + len(load) - 1) / len(load)
		for _, l := range load {
			above += max(0, l-share)
		}
		moved := 0
		for round := 0; ; round++ {
			if round > 2 {
				t.Fatalf("still moving: %v", load)
			}
			orphans := 0
			for i, l := range load {
				n := Surplus(l, total, len(load))
				load[i] -= n
				orphans += n
			}
			if orphans == 0 {
				break
			}
			moved += orphans
			for _, i := range Spread(load, orphans) {
				load[i]++
			}
		}
		if moved > above {
			t.Fatalf("%d moved, %d were above an even share of %d", moved, above, share)
		}
		if most := slices.Max(load); most > share+share/slack+1 {
			t.Fatalf("%d of %d is more than a few per cent above", most, share)
		}
	})
}

func BenchmarkSpread(b *testing.B) {
	load := make([]int, 100)
	b.ReportAllocs()
	for b.Loop() {
		Spread(load, 1_000_000)
	}
}

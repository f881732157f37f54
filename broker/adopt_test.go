package broker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold/mem"
)

// A broker that starts after all have died does not wait for each of them.
func TestTheDeadAreAskedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{reach: func(context.Context, string) bool { time.Sleep(reachWait); return false }}
		var all []*catalog.Session
		for i := range 50 {
			all = append(all, &catalog.Session{ID: uint64(i)})
		}
		began := time.Now()
		if dead := s.deadOf(t.Context(), all); !slices.Equal(dead, all) {
			t.Errorf("%d of 50 are dead", len(dead))
		}
		if took := time.Since(began); took > 2*reachWait {
			t.Errorf("it took %s to ask", took)
		}
	})
}

// Who is fenced, and after how many looks: what gossip says of a broker counts more than
// whether it answers.
func TestWhoIsFencedByWhatIsHeardOfHim(t *testing.T) {
	for _, x := range []struct {
		heard   standing
		answers bool
		after   int // 0: never
	}{
		{unheard, false, misses}, {unheard, true, 0}, {serves, false, 0}, {serves, true, 0},
		{starts, false, startingMisses}, {adrift, true, misses}, {adrift, false, misses},
	} {
		t.Run(fmt.Sprint(x), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				store := mem.New()
				j, err := journal.Open(ctx, store, journal.Options{})
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan error)
				go func() { ended <- j.Run(ctx) }()
				defer func() { stop(); <-ended }()
				ids := make([]uint64, 2)
				for i := range ids {
					res, err := j.Commit(ctx, &catalog.RegisterSession{Node: int32(i), Advertised: fmt.Sprint(i)})
					if err != nil {
						t.Fatal(err)
					}
					ids[i] = res[0].ID
				}
				h := &session{
					store: store, journal: j, log: slog.New(slog.DiscardHandler), me: catalog.RegisterSession{Node: 0, Advertised: "0"},
					heirs:  func(*catalog.State, uint64) []uint64 { return ids[:1] },
					reach:  func(context.Context, string) bool { return x.answers },
					stands: func(*catalog.Session) standing { return x.heard },
				}
				silent := map[uint64]int{}
				fenced := 0
				for look := 1; look <= 2*startingMisses && fenced == 0; look++ {
					if err := h.adopt(ctx, ids[0], silent); err != nil {
						t.Fatal(err)
					}
					if v, _ := j.State().Session(ids[1]); v.Sealed {
						fenced = look
					}
				}
				if fenced != x.after {
					t.Errorf("fenced after %d looks, want %d", fenced, x.after)
				}
			})
		})
	}
}

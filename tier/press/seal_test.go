package press

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/hot"
)

// rotten is a hot tier with one generation, of which an entry is damaged.
type rotten struct {
	info    hot.Info
	dropped bool
}

func (r *rotten) Generations() []hot.Info            { return []hot.Info{r.info} }
func (r *rotten) Shares(uint64) ([]hot.Share, error) { return nil, nil }
func (r *rotten) Hold(uint64) (Held, error)          { return r, nil }
func (r *rotten) Scan(func(hot.Entry) error) error   { return hot.ErrDamaged }
func (r *rotten) Release()                           {}
func (r *rotten) Retired() <-chan struct{}           { return nil }
func (r *rotten) Rotate()                            {}
func (r *rotten) MarkSealed(uint64) error            { r.info.Sealed = true; return nil }
func (r *rotten) Drop(uint64) error                  { r.dropped = true; return nil }

// indexing is a writer that can describe its slots.
type indexing struct {
	idle
	indexed *int
}

func (i indexing) Index(context.Context) error { *i.indexed++; return nil }

// A generation may hold what its broker acknowledged with acks=1 and has not appended again
// yet: one damaged entry must not cost that.
func TestADamagedGenerationKeepsWhatIsWholeInIt(t *testing.T) { // P2 of the design
	state, session, _ := started(t, 1, nil)
	bucket, book, indexed := mem.New(), &alone{state: state}, 0
	tier := &rotten{info: hot.Info{ID: 3, Session: hot.Session{ID: session + 1000}, Next: 1, Settled: true, Kept: true}}
	p := New(Options{
		Store: bucket, Settler: cold.NewSettler(bucket, cold.SettlerOptions{}), Journal: book, Writer: indexing{idle{session: session}, &indexed}, Hot: tier,
		Logger: slog.New(slog.DiscardHandler), SealEvery: time.Second, Setting: func(string) (string, bool) { return "", false },
	})
	if err := p.seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tier.dropped || !tier.info.Sealed || indexed != 1 {
		t.Errorf("dropped %v, sealed %v, described %d times", tier.dropped, tier.info.Sealed, indexed)
	}
	if n := len(book.State().Jobs()); n > 0 {
		t.Errorf("%d jobs are left", n)
	}
}

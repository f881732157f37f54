package press

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
)

// distant is a store that takes its time to delete.
type distant struct{ cold.Store }

func (d distant) Delete(ctx context.Context, name string) error {
	time.Sleep(100 * time.Millisecond)
	return d.Store.Delete(ctx, name)
}

// alone is a journal that nobody else writes to.
type alone struct {
	mu    sync.Mutex
	state *catalog.State
}

func (a *alone) State() *catalog.State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

func (a *alone) Commit(_ context.Context, cmds ...catalog.Command) ([]catalog.Result, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.state.Clone()
	res := next.Apply(next.Number()+1, cmds)
	a.state = next
	return res, nil
}

// idle is a writer of a session in which nothing is written.
type idle struct {
	Writer
	session uint64
}

func (i idle) Committed() (session, slot uint64) { return i.session, 0 }

func (idle) Tips(context.Context, uint64, uint64) ([]catalog.Tip, error) { return nil, nil }

// Brokers put several objects at once. Who deletes them has to as well, or a bucket far
// away would grow for ever, and nothing be sealed meanwhile.
func TestGarbageGoesFasterThanItComes(t *testing.T) { // P3
	synctest.Test(t, func(t *testing.T) {
		bucket, book := mem.New(), &alone{state: catalog.NewState()}
		do := func(c catalog.Command) uint64 {
			t.Helper()
			res, _ := book.Commit(t.Context(), c)
			if res[0].Err != nil {
				t.Fatal(res[0].Err)
			}
			return res[0].ID
		}
		do(&catalog.CreateCluster{ID: "c"})
		const slots = 2000
		put := func(name string) {
			if err := bucket.PutIfAbsent(t.Context(), name, cold.Bytes([]byte{1})); err != nil {
				t.Fatal(err)
			}
		}
		dead := do(&catalog.RegisterSession{Node: 1, Nonce: [16]byte{1}})
		for slot := range uint64(slots + 1) {
			put(catalog.WAL(dead, slot).Name())
		}
		do(&catalog.SealSession{Session: dead, Fence: slots})
		own := do(&catalog.RegisterSession{Node: 2, Nonce: [16]byte{2}})
		job := do(&catalog.BeginJob{Session: own})
		for n := range uint64(100) {
			put(catalog.Seg(job, n).Name())
		}
		do(&catalog.CancelJob{Job: job})

		p := New(Options{
			Store: distant{bucket}, Journal: book, Writer: idle{session: own}, Logger: slog.New(slog.DiscardHandler),
			SealEvery: time.Second, RetainEvery: time.Hour, Grace: time.Second, Setting: func(string) (string, bool) { return "", false },
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		time.Sleep(20 * time.Second) // of the 210 that one after the other would take
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		var left []string
		for info := range bucket.List(t.Context(), "", "") {
			left = append(left, info.Name)
		}
		if fence := catalog.WAL(dead, slots).Name(); len(left) != 1 || left[0] != fence {
			t.Errorf("%d objects are left, want the fence %s alone: %.40q", len(left), fence, left[:min(3, len(left))])
		}
	})
}

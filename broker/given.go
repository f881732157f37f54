package broker

import (
	"context"
	"sync"

	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
)

// given is what the pump was given since the catalog was followed to its end, as of states
// that need not be those that were followed: older ones, or one in between. What was deleted
// meanwhile, or is made and deleted in between, would be led for long.
type given struct {
	mu  sync.Mutex
	all []record.Partition // guarded by mu
}

func (g *given) add(owned []pump.Owned) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range owned {
		g.all = append(g.all, o.Partition)
	}
}

// sofar is all of it by now. Asked before a state, which then is as new as those that they
// were given as of.
func (g *given) sofar() []record.Partition {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[:len(g.all):len(g.all)]
}

// followed forgets the first n: a state was followed to its end that sofar was asked before.
func (g *given) followed(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all = g.all[n:]; len(g.all) == 0 {
		g.all = nil
	}
}

// retract takes back what the pump was given of an old state and is deleted by now. What is
// deleted after this look, follow hears of.
func (s *session) retract(ctx context.Context, id uint64, owned []pump.Owned) error {
	s.given.add(owned)
	state := s.journal.State()
	var gone []pump.Ended
	for _, o := range owned {
		if _, ok := state.Partition(o.Partition); !ok {
			gone = append(gone, pump.Ended{Partition: o.Partition, Epoch: pump.Deleted})
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.pump.Disown(ctx, id, gone...)
}

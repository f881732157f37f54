package broker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/gossip"
	"github.com/firnlog/firn/ingest/pump"
)

// succeed takes over from brokers that are gone, and finds owners for partitions that
// have none. It waits for nothing else that this broker does.
func (b *Broker) succeed(ctx context.Context) error {
	var burials sync.WaitGroup
	defer burials.Wait()
	for {
		changed := b.journal.Changed()
		// Somebody released or was fenced, and named no heirs: the first in turn does,
		// and the others at their next look around if it does not.
		if s, ok := b.pump.Session(); ok && b.turn() == 0 {
			b.tell("find owners", b.session.take(ctx, s.ID, nil))
		}
		select {
		case <-ctx.Done():
			return nil
		case m := <-b.gossip.Gone():
			burials.Go(func() { b.tell("take over from a broker that is gone", b.bury(ctx, m)) })
		case <-changed:
		}
	}
}

// heirWait is how long each broker lets the one before it seal a dead session.
const heirWait = 250 * time.Millisecond

// bury fences the session of a member that died. Every broker hears of it: they take
// turns, by node id, so that usually one does the work (DESIGN 8).
func (b *Broker) bury(ctx context.Context, m gossip.Member) error {
	t := time.NewTimer(time.Duration(b.turn()) * heirWait)
	defer t.Stop()
	for {
		changed := b.journal.Changed()
		v := last(b.journal.State(), m)
		if v == nil {
			return nil
		}
		select {
		case <-changed:
		case <-t.C:
			if v.ID != m.Session && b.session.reach(ctx, v.Advertised) {
				return nil // it is back
			}
			b.log.Info("fencing a broker that is gone", "node", v.Node, "session", v.ID)
			own, _ := b.pump.Session()
			return b.session.seal(ctx, v, own.ID)
		case <-ctx.Done():
			return nil
		}
	}
}

// last is the session that a member had when it died, or nil when it is sealed: the one
// that it has told of, or a later one that it has told nobody of, because it died while
// it rotated. A later one may also be that of its next life.
func last(state *catalog.State, m gossip.Member) *catalog.Session {
	if v, ok := state.Session(m.Session); ok && !v.Sealed {
		return v
	}
	for _, v := range state.Sessions() {
		if v.Node == m.Node && v.ID > m.Session && !v.Sealed {
			return v
		}
	}
	return nil
}

// bequeath says who owns next what this broker gives up: it is pump.Heirs.
func (b *Broker) bequeath(after *catalog.State) []catalog.Command {
	s, _ := b.pump.Session()
	return b.session.takes(after, s.ID, nil)
}

// patrol fences brokers that do not answer any more though gossip has not said so,
// and finds owners for what has none: once a second, for all that was missed.
func (b *Broker) patrol(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	silent := map[uint64]int{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if s, ok := b.pump.Session(); ok {
			b.tell("take over from a broker that does not answer", b.session.adopt(ctx, s.ID, silent))
		}
	}
}

// tell writes down what could not be done now. Ends of this broker are no news, nor are
// those of its session, which Over tells of.
func (b *Broker) tell(what string, err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, pump.ErrSession) || errors.Is(err, catalog.ErrSealed) {
		return
	}
	b.log.Warn("could not "+what+"; it will be tried again", "err", err)
}

package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest/pump"
)

// due decides whether a session is to be rotated (S9): when it has filled enough
// slots, or some and is old enough. One that has put nothing has nothing that
// could go.
func due(slots uint64, age time.Duration, maxSlots uint64, maxAge time.Duration) bool {
	return slots >= maxSlots || slots > 0 && age >= maxAge
}

// maintain keeps recovery short and the bucket tidy while the broker serves: it
// moves the covered mark when nobody seals, rotates the session, and begins anew
// when somebody has fenced it.
func (b *Broker) maintain(ctx context.Context) error {
	began, _ := b.pump.Session()
	since := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var even balance
	lost := false // the session is over, and none has followed it
	for {
		b.show(nil)
		var err error
		what := ""
		select {
		case <-ctx.Done():
			return nil
		case <-b.pump.Uncovered():
			what, err = "index WAL objects", b.pump.Index(ctx)
		case <-b.pump.Over():
			lost = true
		case <-tick.C:
			if b.load.measure(time.Now()) {
				b.gossip.SetLoad(uint64(max(b.load.second.Load(), 0)))
			}
			s, ok := b.pump.Session()
			if !ok {
				break
			}
			if s.ID != began.ID {
				began, since = s, time.Now()
			}
			state := b.journal.State()
			for _, v := range elder(state, s.ID, b.node, b.addr) {
				if b.replaces(ctx, v) {
					return twice(v)
				}
			}
			if ps := b.excess(&even, state, s.ID, time.Now()); len(ps) > 0 {
				b.log.Info("giving partitions to other brokers", "partitions", len(ps))
				what, err = "release partitions", b.pump.Release(ctx, b.bequeath, ps...)
			}
			_, slots := b.pump.Committed()
			b.tell("read the bucket's clock", b.clock.keep(ctx, b.opts.Store, s.ID, slots, time.Now()))
			if due(slots, time.Since(since), uint64(b.values.Int("session.rotate.slots")), b.values.Duration("session.rotate.ms")) {
				what, err = "rotate the session", b.pump.Rotate(ctx, b.session.next())
				moved := err == nil                    // otherwise somebody else may have sealed it, and cut something off
				if ferr := b.follow(ctx); err == nil { // what changed during the move
					err = ferr
				}
				if moved {
					b.session.movedFrom(s.ID)
				}
			}
		}
		if lost {
			what, err = "take over again after a fence", b.regain(ctx)
			if errors.Is(err, ErrNode) {
				return err
			}
			lost = err != nil && !errors.Is(err, pump.ErrSession) // of which Over tells
		}
		b.tell(what, err)
	}
}

// elder are the older sessions that another process has under this broker's node id: two
// that start together do not find each other when they register. Clients are told one
// address for a node id, so that nobody would find what the other one leads.
func elder(state *catalog.State, id uint64, node int32, addr string) (out []*catalog.Session) {
	for _, v := range state.Sessions() {
		if v.ID < id && !v.Sealed && v.Node == node && v.Advertised != addr {
			out = append(out, v)
		}
	}
	return out
}

// regain takes over again, and follows what was given to the session before the pump served
// it: nobody may change anything for long.
func (b *Broker) regain(ctx context.Context) error {
	if err := b.session.takeOver(ctx); err != nil {
		return err
	}
	return b.follow(ctx)
}

// next is the registration of this broker's next session.
func (s *session) next() catalog.RegisterSession {
	r := s.me
	if s.stage != nil {
		s.renew(&r)
		return r
	}
	_, _ = rand.Read(r.Nonce[:])
	r.StartedMs = s.clock.now().UnixMilli()
	return r
}

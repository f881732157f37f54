package broker

import (
	"context"
	"errors"
	"slices"
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

// buryWait is how long a fence may take at first before the one that puts it doubts
// itself.
const buryWait = 3 * time.Second

// shaken is how long a broker whose link was down doubts what it hears: gossip may find
// out a while later that those are gone who did not answer meanwhile. Who waited for the
// same bucket, seconds between two attempts, is back by then, too.
const shaken = 3 * time.Second

// bury fences the session of a member that died. Every broker hears of it: they take
// turns, by node id, so that usually one does the work (protocol.md 5).
//
// A broker whose link is down takes the others for dead, and a fence that it began would
// land when the link is back: every partition of theirs would move. So the bucket has to
// answer first, and whoever had to wait for it, now or a moment ago, looks whether the
// other answers, too.
func (b *Broker) bury(ctx context.Context, m gossip.Member) error {
	t := time.NewTimer(time.Duration(b.turn()) * heirWait)
	defer t.Stop()
	doubt := b.journal.Steady() < shaken
	for wait := buryWait; ; {
		changed, heard := b.journal.Changed(), b.gossip.Changed()
		v := last(b.journal.State(), m)
		if v == nil || b.lives(v) {
			return nil
		}
		select {
		case <-changed:
			continue
		case <-heard:
			continue
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if doubt || !b.lease.fresh() {
			took, ok := b.look(ctx, wait)
			if !ok {
				doubt, wait = true, 2*wait
				t.Reset(heirWait)
				continue
			}
			doubt = doubt || took > heirWait
		}
		if doubt && b.session.silent(ctx, v) != nil || v.ID != m.Session && b.session.reach(ctx, v.Advertised) {
			return nil
		}
		b.log.Info("fencing a broker that is gone", "node", v.Node, "session", v.ID)
		own, _ := b.pump.Session()
		sctx, cancel := context.WithTimeout(ctx, wait)
		err := b.session.seal(sctx, v, own.ID)
		late := sctx.Err() != nil
		cancel()
		switch {
		case errors.Is(err, errLives):
			return nil
		case late:
			doubt, wait = true, 2*wait
		case err != nil:
			return err
		}
		t.Reset(0) // sealed by now, or its mark has moved
	}
}

// look looks at the journal, and says how long that took and whether the bucket answered
// in time.
func (b *Broker) look(ctx context.Context, wait time.Duration) (took time.Duration, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	began := time.Now()
	ok = b.settling.look(ctx, b.journal.Look)
	return time.Since(began), ok
}

// lives reports whether a session's broker is a member.
func (b *Broker) lives(v *catalog.Session) bool {
	return slices.ContainsFunc(b.gossip.Members(), func(m gossip.Member) bool { return m.Session == v.ID && m.Node == v.Node })
}

// stands is what gossip hears of a session's broker, or of the one that rotated to it and
// has not told of it yet. A later life of the same node is another, and so is a process at
// another address.
func (b *Broker) stands(v *catalog.Session) standing {
	out, state := unheard, b.journal.State()
	for _, m := range b.gossip.Members() { // by session: the newest counts
		if u, ok := state.Session(m.Session); ok && u.Advertised != v.Advertised {
			continue
		}
		switch {
		case m.Node != v.Node || m.Session == 0 || m.Session > v.ID:
		case m.Adrift:
			out = adrift
		case m.Starting:
			out = starts
		default:
			out = serves
		}
	}
	return out
}

// replaces reports whether the broker of a session lives that has this broker's node id.
func (b *Broker) replaces(ctx context.Context, v *catalog.Session) bool {
	return b.lives(v) || b.session.reach(ctx, v.Advertised)
}

// askWait is how long a broker that starts waits at most for gossip to ask around.
const askWait = 3 * time.Second

// asked waits until gossip has asked everybody once.
func (b *Broker) asked(ctx context.Context) {
	t := time.NewTimer(askWait)
	defer t.Stop()
	select {
	case <-b.gossip.Asked():
	case <-t.C:
	case <-ctx.Done():
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
	silent, ears := map[uint64]int{}, earshot{}
	var bucket pace
	var back time.Time // when the bucket was last out of reach
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		took, ok := time.Duration(0), true
		if !b.lease.fresh() {
			took, ok = b.look(ctx, time.Minute)
		}
		if late := bucket.late(took); late || !ok {
			clear(silent) // who did not answer meanwhile: was it they who were cut off?
			back = time.Now()
			continue
		}
		if time.Since(back) < shaken { // a bucket that was away for all comes back for one after the other
			clear(silent)
		}
		if s, ok := b.pump.Session(); ok {
			b.tell("take over from a broker that does not answer", b.session.adopt(ctx, s.ID, silent))
			for _, v := range ears.notice(b.journal.State().Sessions(), b.node, func(v *catalog.Session) bool { return b.stands(v) != unheard }, silent) {
				b.log.Warn("a broker answers and gossip does not hear of it: work is not shared with it; do both have the same gossip.key.file, and do they reach each other's gossip?",
					"node", v.Node, "kafka", v.Advertised, "gossip", v.Gossip)
			}
		}
	}
}

// pace is how long the bucket takes to answer of late. It tells one that is slow, which
// keeps nobody from anything, from one that was out of reach.
type pace struct{ usual time.Duration }

// late reports whether an answer took much longer than those before it. Zero is one that
// nobody had to wait for.
func (p *pace) late(took time.Duration) bool {
	late := took > 4*max(p.usual, heirWait)
	p.usual = max(took, p.usual/2)
	return late
}

// tell writes down what could not be done now. Ends of this broker are no news, nor are
// those of its session, which Over tells of.
func (b *Broker) tell(what string, err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, pump.ErrSession) || errors.Is(err, catalog.ErrSealed) {
		return
	}
	b.log.Warn("could not "+what+"; it will be tried again", "err", err)
}

package broker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/gossip"
	"github.com/firnlog/firn/gossip/placement"
	"github.com/firnlog/firn/record"
)

// openGossip listens for other brokers. Its address goes into the session, so that
// the bucket tells everyone where to begin.
func (b *Broker) openGossip(ctx context.Context) (err error) {
	host, _, err := net.SplitHostPort(b.kafka.open[0].Addr().String())
	if err != nil {
		return fmt.Errorf("listeners: %w", err)
	}
	bind := b.values.Get("gossip")
	if bind == "" {
		bind = net.JoinHostPort(host, "0")
	}
	advertise := ""
	if h, _, err := net.SplitHostPort(bind); err == nil && (h == "" || net.ParseIP(h).IsUnspecified()) {
		advertise = b.kafka.advertised[0].Host
	}
	var name [16]byte
	_, _ = rand.Read(name[:])
	b.gossip, err = gossip.Open(ctx, gossip.Options{
		Bind: bind, Advertise: advertise, Name: hex.EncodeToString(name[:]), Cluster: b.journal.State().ClusterID(),
		Self: b.member(), Seeds: b.seeds, Live: b.live, KeyFile: b.values.Get("gossip.key.file"), Network: b.opts.Network, Logger: b.log,
	})
	return err
}

// bearing is what the others are told of this broker that is not to be seen elsewhere. It is
// told of from several goroutines, by show, so that the last word is what holds.
type bearing struct {
	mu      sync.Mutex
	session uint64 // the newest; guarded by mu
	serving bool   // guarded by mu
	leaving bool   // guarded by mu
}

// show tells the others what this broker is, after change, if not nil, has noted what is new.
func (b *Broker) show(change func(*bearing)) {
	b.bearing.mu.Lock()
	defer b.bearing.mu.Unlock()
	if s, ok := b.pump.Session(); ok {
		b.bearing.session = s.ID
	}
	if change != nil {
		change(&b.bearing)
	}
	b.gossip.Set(b.member())
}

// member is what this broker says of itself.
func (b *Broker) member() gossip.Member {
	return gossip.Member{
		Session: b.bearing.session, Node: b.node, Kafka: b.kafka.advertised[0].Address(), Rack: b.values.Get("broker.rack"),
		Draining: b.bearing.leaving || b.bearing.serving && b.drains(), Starting: !b.bearing.serving, Adrift: !b.lease.held(), Starved: b.bearing.serving && b.starved() > 0,
	}
}

// confess tells the others each second what has become of this broker: who would do it
// otherwise may be waiting for the bucket.
func (b *Broker) confess(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.show(nil)
		case <-ctx.Done():
			return nil
		}
	}
}

// registered tells the others of a session as soon as there is one: who starts does not
// answer yet, and would be taken for dead.
func (b *Broker) registered(id uint64) {
	if b.node < 0 { // the catalog has chosen it; nobody else is there yet who asks for it
		b.node = b.session.me.Node
	}
	b.show(func(x *bearing) { x.session = id })
}

// appear tells the others that this broker serves, and looks for those that have
// registered while it started: it asked around before it could know them.
func (b *Broker) appear() {
	b.show(func(x *bearing) { x.serving = true })
	b.gossip.Seek()
}

// meet makes sure, for askWait at most, that a broker which leaves knows whether there are
// others: one that is stopped in its first moments may not have met them yet. They would
// find out by themselves that its partitions are nobody's, a second later.
func (b *Broker) meet(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	met := b.gossip.Seek()
	for {
		changed := b.gossip.Changed()
		if len(b.heirs(b.journal.State(), 0)) > 0 || met == nil && !b.expects() {
			return
		}
		select {
		case <-met:
			met = nil
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// expects reports whether a broker is there that is about to serve.
func (b *Broker) expects() bool {
	return slices.ContainsFunc(b.gossip.Members(), func(m gossip.Member) bool { return m.Node != b.node && m.Starting && !m.Draining })
}

// seeds are where other brokers may be, as set.
func (b *Broker) seeds() []string { return b.values.List("join") }

// live are where other brokers are, as their sessions say.
func (b *Broker) live() []string {
	var out []string
	for _, v := range b.journal.State().Sessions() {
		if !v.Sealed {
			out = append(out, v.Gossip)
		}
	}
	return out
}

// committed tells the others that the journal grew by us.
func (b *Broker) committed(entry uint64, won bool) {
	if won && b.gossip != nil { // nil: the cluster is being founded
		b.gossip.Grew(entry)
	}
}

// heed looks at the journal when others say that it grew.
func (b *Broker) heed(ctx context.Context) error {
	for {
		select {
		case <-b.gossip.Hints():
			if b.gossip.Newest() > b.journal.State().Number() {
				b.journal.Nudge()
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// turn is how many brokers that serve have a lower node id than this one.
func (b *Broker) turn() int {
	n := 0
	for _, m := range b.gossip.Members() {
		if m.Node < b.node && m.Takes() {
			n++
		}
	}
	return n
}

// heirs are the sessions that may be given partitions, by id: those of live
// members, the newest of each node, and this broker's own while it lives, unless it
// drains and there are others.
func (b *Broker) heirs(state *catalog.State, own uint64) []uint64 {
	alive := map[int32]bool{}
	for _, m := range b.gossip.Members() {
		alive[m.Node] = m.Takes()
	}
	return heirs(state, own, b.node, alive, b.drains())
}

// heirs decides it, given which nodes are alive and whether this one drains.
func heirs(state *catalog.State, own uint64, node int32, alive map[int32]bool, drains bool) []uint64 {
	var out []uint64
	for _, v := range slices.Backward(state.Sessions()) {
		if !v.Sealed && v.Node != node && alive[v.Node] {
			alive[v.Node] = false
			out = append(out, v.ID)
		}
	}
	if v, ok := state.Session(own); ok && !v.Sealed && (len(out) == 0 || !drains) {
		out = append(out, own)
	}
	slices.Sort(out)
	return out
}

// drains reports whether this broker was told to give up its partitions
// (broker.drain).
func (b *Broker) drains() bool {
	v, _ := b.config.Setting("broker.drain")
	return strings.EqualFold(v, "true")
}

// excess is what this broker gives up now: all that it has when it drains and others
// can take it, else what is more than an even share.
func (b *Broker) excess(even *balance, state *catalog.State, own uint64, now time.Time) []record.Partition {
	return even.excess(state, b.heirs(state, own), own, now)
}

// excess decides it, given the heirs.
func (l *balance) excess(state *catalog.State, heirs []uint64, own uint64, now time.Time) []record.Partition {
	if !slices.Contains(heirs, own) {
		return state.Owned(own)
	}
	return l.surplus(state, heirs, own, now)
}

// balance remembers since when the brokers are the same. Their sessions change all the
// time: where much is written, one of them rotates every few seconds.
type balance struct {
	nodes []int32
	since time.Time
}

// steady is how long the brokers must be the same before partitions move between
// the living: a broker that flaps moves nothing.
const steady = 5 * time.Second

// surplus decides what this broker gives up for others to take: nothing while
// brokers come and go or partitions wait for an owner.
func (l *balance) surplus(state *catalog.State, heirs []uint64, own uint64, now time.Time) []record.Partition {
	nodes := make([]int32, len(heirs))
	for i, id := range heirs {
		if v, ok := state.Session(id); ok {
			nodes[i] = v.Node
		}
	}
	slices.Sort(nodes)
	if !slices.Equal(l.nodes, nodes) {
		l.nodes, l.since = nodes, now
	}
	if now.Sub(l.since) < steady || state.Orphaned() {
		return nil
	}
	loads := make([]int, len(heirs))
	for id, i := range lives(state, heirs) {
		loads[i] += state.OwnedCount(id)
	}
	me := slices.Index(heirs, own)
	n := placement.Surplus(loads, me)
	if n == 0 {
		return nil
	}
	l.since = now // one move at a time
	return give(state.Owned(own), n, me, len(heirs))
}

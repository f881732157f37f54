package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/kafka"
)

// misses is how often in a row a broker may not answer before its session is
// fenced. Fencing one that lives does no harm (protocol.md 5); it only costs a move. One that
// starts may take longer: it appends again what its hot tier holds, as nobody else can (P2).
const (
	misses         = 3
	startingMisses = 10 * misses
)

// standing is what is known of the broker of a session otherwise than by asking it.
type standing uint8

const (
	unheard standing = iota // nothing
	serves
	starts // it serves nobody yet
	adrift // it has not reached the bucket for so long that it serves nobody any more
)

// adopt fences the sessions of brokers that do not answer any more or cannot serve, and
// takes what nobody alive owns. silent counts, for each session, how often that was found in
// a row. One that cannot be fenced, because it is damaged, keeps nobody from the others.
func (s *session) adopt(ctx context.Context, id uint64, silent map[uint64]int) (fail error) {
	for _, v := range s.journal.State().Sessions() {
		if v.Sealed {
			delete(silent, v.ID)
			continue
		}
		served, patience := s.served(ctx, v, id)
		if served {
			delete(silent, v.ID)
			continue
		}
		if silent[v.ID]++; silent[v.ID] < patience {
			continue
		}
		if err := s.seal(ctx, v, id); err != nil && !errors.Is(err, errLives) {
			fail = errors.Join(fail, err)
			continue
		}
		delete(silent, v.ID)
	}
	return errors.Join(fail, s.take(ctx, id, nil))
}

// served reports whether somebody serves a session, as far as one can tell from here, where
// session id is served; else how often that may be found. Sessions of this process have its
// address: another process under the same node id, which a clone may be, is a broker like
// any other. An older one of this process is served by nobody: an entry that was given up
// before its answer came is committed again, and may have registered a session twice (J3).
func (s *session) served(ctx context.Context, v *catalog.Session, id uint64) (ok bool, patience int) {
	if v.Node == s.me.Node && v.Advertised == s.me.Advertised {
		return v.ID >= id, misses
	}
	switch s.standing(v) {
	case serves:
		return true, 0
	case starts:
		return false, startingMisses
	}
	return s.heard(ctx, v), misses
}

// roster is the live brokers as of one state of the catalog, by listener. Every
// request asks for it.
type roster struct {
	state *catalog.State
	by    map[string][]kafka.Broker
}

// liveBrokers are the live brokers as clients of one of our listeners reach them;
// of the listener "", as other brokers do.
func (b *Broker) liveBrokers(listener string) []kafka.Broker {
	state := b.journal.State()
	r := b.roster.Load()
	if r == nil || r.state != state {
		self := catalog.Session{Node: b.node, Advertised: b.addr, Rack: b.values.Get("broker.rack")}
		r = &roster{state, map[string][]kafka.Broker{"": liveBrokers(state, "", self)}}
		for _, e := range b.kafka.advertised {
			r.by[e.Listener] = liveBrokers(state, e.Listener, self)
		}
		b.roster.Store(r)
	}
	return r.by[listener]
}

// liveBrokers are the brokers whose sessions live and that have the listener, by
// node id: a broker's newest session counts, and this broker counts before it has
// one.
func liveBrokers(state *catalog.State, listener string, self catalog.Session) []kafka.Broker {
	seen := map[int32]bool{}
	var out []kafka.Broker
	add := func(v *catalog.Session) {
		if v.Sealed || seen[v.Node] {
			return
		}
		seen[v.Node] = true
		if e, ok := endpointOf(v, listener); ok {
			out = append(out, kafka.Broker{Node: v.Node, Host: e.Host, Port: int32(e.Port), Rack: v.Rack})
		}
	}
	add(&self)
	for _, v := range slices.Backward(state.Sessions()) {
		add(v)
	}
	slices.SortFunc(out, func(a, b kafka.Broker) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// endpointOf is where clients of a listener reach a session's broker; of the
// listener "", where other brokers do.
func endpointOf(v *catalog.Session, listener string) (settings.Endpoint, bool) {
	es, err := settings.ParseEndpoints(v.Advertised)
	if err != nil {
		return settings.Endpoint{}, false
	}
	if listener == "" {
		return es[0], true
	}
	return es.Of(listener)
}

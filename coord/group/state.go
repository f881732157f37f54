package group

import (
	"bytes"
	"slices"
)

// State is where a group is in a rebalance.
type State uint8

// The states of a classic group.
const (
	Empty      State = iota // no members; perhaps offsets
	Preparing               // waits for members to join again
	Completing              // waits for the leader's assignment
	Stable
	Dead
)

// String is Kafka's name of the state.
func (s State) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}[s]
}

type group struct {
	id           string
	state        State
	since        int64 // wall clock, when the state began; -1 when unknown
	generation   int32
	protocolType string // of the last members that it had; empty for a simple group
	protocol     string
	leader       string
	members      []*member // in the order in which they joined
	byID         map[string]*member
	static       map[string]*member // by instance id
	pending      map[string]int64   // member ids given out, and when they expire

	joinBy  int64 // when Preparing ends at the latest; 0 when nobody watches it
	initial bool  // Preparing came out of Empty: it lasts to joinBy
	grew    bool  // somebody new has joined since the initial delay began or was extended
	step    int64 // how long the initial delay lasts now
	left    int64 // by how much it may still be extended, step included
	syncBy  int64 // when members that have not synced are removed; 0 when nobody watches it

	topics   map[string]struct{} // what the members are subscribed to, when known
	known    bool
	offsets  map[TopicPartition]commit
	recorded bool   // a metadata record exists
	written  uint64 // Machine.total after its last record
	due      due
}

type member struct {
	id                 string
	instance           *string
	clientID, host     string
	session, rebalance int64 // ms
	protocols          []Protocol
	assignment         []byte
	expires            int64
	isNew              bool // has never got an answer to its join
	synced             bool // in this generation
	join, sync         any  // tokens that wait
	joining, syncing   bool
}

// parked says that the member waits for the group: it cannot heartbeat, so its
// session does not run out. A new one that waits may be gone without a trace.
func (x *member) parked() bool { return !x.isNew && (x.joining || x.syncing) }

func (x *member) alive(now int64) { x.expires = now + x.session }

func (x *member) supports(protocol string) bool {
	return slices.ContainsFunc(x.protocols, func(p Protocol) bool { return p.Name == protocol })
}

// metadata is what the member says of itself for a protocol; never nil.
func (x *member) metadata(protocol string) []byte {
	for _, p := range x.protocols {
		if p.Name == protocol && p.Metadata != nil {
			return p.Metadata
		}
	}
	return []byte{}
}

// same says whether a join brings nothing new.
func (x *member) same(ps []Protocol) bool {
	return slices.EqualFunc(x.protocols, ps, func(a, b Protocol) bool { return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata) })
}

// size is the bytes that the member holds (G4).
func (x *member) size() int { return protocolBytes(x.protocols) + len(x.assignment) }

func protocolBytes(ps []Protocol) int {
	n := 0
	for _, p := range ps {
		n += len(p.Name) + len(p.Metadata)
	}
	return n
}

// check finds the member that a request claims to come from.
func (g *group) check(id string, instance *string) (*member, error) {
	if instance != nil {
		switch x := g.static[*instance]; {
		case x == nil:
			return nil, ErrUnknownMember
		case x.id != id:
			return nil, ErrFencedInstance
		}
	}
	x := g.byID[id]
	if x == nil {
		return nil, ErrUnknownMember
	}
	return x, nil
}

// insert makes x a member, and the leader when it is the first.
func (g *group) insert(x *member) {
	g.members = append(g.members, x)
	g.byID[x.id] = x
	if x.instance != nil {
		g.static[*x.instance] = x
	}
	if g.leader == "" {
		g.leader = x.id
	}
	delete(g.pending, x.id)
}

// delete takes x out; the next member leads if x did.
func (g *group) delete(m *Machine, x *member) {
	m.held -= x.size()
	delete(g.byID, x.id)
	if x.instance != nil && g.static[*x.instance] == x {
		delete(g.static, *x.instance)
	}
	g.members = slices.DeleteFunc(g.members, func(y *member) bool { return y == x })
	if g.leader == x.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
}

// enter changes the state.
func (g *group) enter(s State, wall int64) { g.state, g.since = s, wall }

// waiting is how many joins are parked.
func (g *group) waiting() int {
	n := 0
	for _, x := range g.members {
		if x.joining {
			n++
		}
	}
	return n
}

// all says whether everybody who is expected has joined.
func (g *group) all() bool { return g.waiting() == len(g.members) && len(g.pending) == 0 }

// patience is how long the members have to join: the longest of their rebalance
// timeouts.
func (g *group) patience() int64 {
	d := int64(0)
	for _, x := range g.members {
		d = max(d, x.rebalance)
	}
	return d
}

// next is when the group has something to do, -1 when it waits for nothing.
func (g *group) next() int64 {
	next := int64(-1)
	soonest := func(t int64) {
		if t > 0 && (next < 0 || t < next) {
			next = t
		}
	}
	for _, x := range g.members {
		if !x.parked() {
			soonest(x.expires)
		}
	}
	for _, t := range g.pending {
		soonest(t)
	}
	soonest(g.joinBy)
	soonest(g.syncBy)
	return next
}

package gossip

import (
	"encoding/binary"
	"time"

	"github.com/hashicorp/memberlist"
)

// What our own messages begin with.
const (
	// hint says that the journal grew, up to the entry whose number follows (uvarint). One
	// that is forged or told again costs a look at the journal.
	hint = 'J'
	// ask and answer: see vouch.go.
	ask    = 'Q'
	answer = 'A'
)

func encodeHint(entry uint64) []byte { return binary.AppendUvarint([]byte{hint}, entry) }

func decodeHint(b []byte) (entry uint64, ok bool) {
	if len(b) < 2 || b[0] != hint {
		return 0, false
	}
	entry, n := binary.Uvarint(b[1:])
	return entry, n == len(b)-1
}

// wire is what memberlist calls. None of it blocks.
type wire struct{ g *Gossip }

var (
	_ memberlist.Delegate      = wire{}
	_ memberlist.EventDelegate = wire{}
)

// NodeMeta tells what this broker says of itself.
func (w wire) NodeMeta(int) []byte {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	b, err := w.g.self.encode(w.g.load)
	if err != nil {
		return nil // Open has seen that it fits; only the session's number changes
	}
	return b
}

// NotifyMsg takes a message. What is none of ours is from a version that we do not know.
func (w wire) NotifyMsg(b []byte) {
	if entry, ok := decodeHint(b); ok {
		raise(&w.g.newest, entry)
		poke(w.g.hints)
		return
	}
	if q, ok := decodeQuestion(b); ok && q.name == w.g.opts.Name {
		select {
		case w.g.questions <- q:
		default: // it is put again
		}
		return
	}
	if len(b) != 1+16 || b[0] != answer {
		return
	}
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	if heard := w.g.asking[[16]byte(b[1:])]; heard != nil {
		delete(w.g.asking, [16]byte(b[1:]))
		close(heard)
	}
}

// GetBroadcasts, LocalState and MergeRemoteState: nothing more is gossiped.
func (wire) GetBroadcasts(int, int) [][]byte   { return nil }
func (wire) LocalState(bool) []byte            { return nil }
func (wire) MergeRemoteState([]byte, bool)     {}
func (w wire) NotifyJoin(n *memberlist.Node)   { w.heard(n) }
func (w wire) NotifyUpdate(n *memberlist.Node) { w.heard(n) }

func (w wire) heard(n *memberlist.Node) {
	if n.Name == w.g.opts.Name {
		return
	}
	m, load, err := decode(n.Meta)
	if err != nil {
		w.g.log.Warn("gossip: a member that cannot be understood", "address", n.Address(), "err", err)
		return
	}
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	w.g.loads[n.Name] = load
	if before, known := w.g.others[n.Name]; known {
		if before == m && w.g.reached[n.Name] == n.Address() {
			return // nothing but its load
		}
		w.g.others[n.Name], w.g.reached[n.Name] = m, n.Address()
		w.g.turn()
		return
	}
	r := &rumour{m, n.Address(), time.Now()}
	if before := w.g.rumours[n.Name]; before != nil {
		r.since = before.since
	}
	w.g.rumours[n.Name] = r
	poke(w.g.told)
}

// NotifyLeave forgets a member, and reports it when it did not say farewell.
func (w wire) NotifyLeave(n *memberlist.Node) {
	w.g.mu.Lock()
	m, known := w.g.others[n.Name]
	delete(w.g.others, n.Name)
	delete(w.g.reached, n.Name)
	delete(w.g.rumours, n.Name)
	delete(w.g.loads, n.Name)
	w.g.turn()
	w.g.mu.Unlock()
	if known && !m.Draining {
		w.g.report(m, "it does not answer probes")
	}
}

// turn says that others has changed. mu is held.
func (g *Gossip) turn() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// report says that a member is gone, and leaves it out from now on: memberlist may take
// it for alive for another second. Should it live after all, it is heard of again with
// what it says next, its load or its next session, and vouched for (vouch.go). Nobody
// hears the report when nobody listens: the catalog's sessions are looked through anyway,
// more slowly.
func (g *Gossip) report(m Member, why string) {
	g.mu.Lock()
	for name, o := range g.others {
		if o == m {
			delete(g.others, name)
			delete(g.reached, name)
			g.turn()
		}
	}
	g.mu.Unlock()
	g.log.Info("a broker is gone", "node", m.Node, "session", m.Session, "why", why, "at", time.Now().UnixMilli())
	select {
	case g.gone <- m:
	default:
	}
}

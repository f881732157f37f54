package group

import (
	"maps"
	"slices"
)

// Machine coordinates the groups of one partition of __consumer_offsets. It is
// not for concurrent use.
type Machine struct {
	cfg    Config
	groups map[string]*group
	due    dues // the groups that wait for time to pass
	txns   map[int64]map[offsetKey]commit
	newID  func(prefix string) string
	out    Output
	total  uint64 // records written, from New on
	seq    uint64 // records seen, replayed ones included
	check  int64  // when offsets are looked at next
	held   int    // bytes that members hold (G4)
}

// New returns a machine without groups. newID makes member ids: unique, with the
// prefix in front, as Kafka's are.
func New(c Config, newID func(prefix string) string) *Machine {
	return &Machine{cfg: c.defaults(), groups: map[string]*group{}, txns: map[int64]map[offsetKey]commit{}, newID: newID}
}

// Configure changes the limits for what comes.
func (m *Machine) Configure(c Config) { m.cfg = c.defaults() }

// Take returns what is to be done since the last call.
func (m *Machine) Take() Output {
	out := m.out
	m.out = Output{}
	return out
}

// Peek says whether Take would return anything.
func (m *Machine) Peek() bool { return len(m.out.Records)+len(m.out.Answers) > 0 }

// Answer passes on an answer that a method returned at once, to be given when all
// that was written so far is durable.
func (m *Machine) Answer(token, response any) { m.answer(token, response, m.total) }

// AnswerFor is Answer for what tells of one group alone: it does not wait for what
// was written of others.
func (m *Machine) AnswerFor(id string, token, response any) {
	after := m.total // a group that is gone took its count with it
	if g := m.groups[id]; g != nil {
		after = g.written
	}
	m.answer(token, response, after)
}

func (m *Machine) answer(token, response any, after uint64) {
	if token != nil {
		m.out.Answers = append(m.out.Answers, Answer{token, response, after})
	}
}

// write appends a record of a group.
func (m *Machine) write(g *group, r Record) {
	m.out.Records = append(m.out.Records, r)
	m.total++
	m.seq++
	g.written = m.total
}

// checkID refuses the ids that no group with members may have.
func (m *Machine) checkID(id string) error {
	if id == "" {
		return ErrInvalidGroupID
	}
	return m.checkAnyID(id)
}

// checkAnyID lets the empty id pass: old clients commit offsets under it.
func (m *Machine) checkAnyID(id string) error {
	if len(id) > m.cfg.MaxGroupID {
		return ErrInvalidGroupID
	}
	return nil
}

// group returns a group, a new one when there is none. One of the same name may
// have been deleted just now: what is told of the new one waits for that, too.
func (m *Machine) group(id string) *group {
	g := m.groups[id]
	if g == nil {
		g = &group{id: id, byID: map[string]*member{}, static: map[string]*member{}, pending: map[string]int64{},
			offsets: map[TopicPartition]commit{}, since: -1, due: due{at: -1}, written: m.total}
		g.due.g = g
		m.groups[id] = g
	}
	return g
}

// drop forgets a group.
func (m *Machine) drop(g *group) {
	for _, x := range g.members {
		m.held -= x.size()
	}
	m.due.remove(&g.due)
	delete(m.groups, g.id)
}

// dropVoid forgets a group that nobody can tell from one that never was.
func (m *Machine) dropVoid(g *group) {
	if g.state == Empty && !g.recorded && len(g.offsets) == 0 && len(g.pending) == 0 && !m.staged(g.id) {
		m.drop(g)
	}
}

// ids are the groups in order (G5).
func (m *Machine) ids() []string { return slices.Sorted(maps.Keys(m.groups)) }

// Waiting takes the tokens of all requests that wait for their group; they will
// not be answered any more.
func (m *Machine) Waiting() []any {
	var out []any
	for _, id := range m.ids() {
		for _, x := range m.groups[id].members {
			if x.joining {
				out = append(out, x.join)
			}
			if x.syncing {
				out = append(out, x.sync)
			}
			x.join, x.sync, x.joining, x.syncing = nil, nil, false, false
		}
	}
	return out
}

package group

import (
	"cmp"
	"slices"
	"strings"
)

// Config are the limits and times of groups, by Kafka's names.
type Config struct {
	MinSessionMs     int64 // group.min.session.timeout.ms, default 6 s
	MaxSessionMs     int64 // group.max.session.timeout.ms, default 30 min
	InitialDelayMs   int64 // group.initial.rebalance.delay.ms; 0 is none
	MaxSize          int   // group.max.size, default 1,000
	MetadataMax      int   // offset.metadata.max.bytes, default 4096
	RetentionMs      int64 // offsets.retention.minutes, default 7 d
	CheckMs          int64 // offsets.retention.check.interval.ms, default 10 min
	MaxGroups        int   // default 100,000
	MaxGroupID       int   // bytes, default 1024
	MaxProtocolBytes int   // of one member, default 1 MiB
}

func (c Config) defaults() Config {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	setInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&c.MinSessionMs, 6000)
	set(&c.MaxSessionMs, 1800000)
	set(&c.RetentionMs, 7*24*3600*1000)
	set(&c.CheckMs, 600000)
	setInt(&c.MaxSize, 1000)
	setInt(&c.MetadataMax, 4096)
	setInt(&c.MaxGroups, 100000)
	setInt(&c.MaxGroupID, 1024)
	setInt(&c.MaxProtocolBytes, 1<<20)
	return c
}

// Machine coordinates the groups of one partition of __consumer_offsets. It is
// not for concurrent use. now is milliseconds of a clock that only grows; wall is
// milliseconds since 1970, for what is written.
type Machine struct {
	cfg    Config
	groups map[string]*group
	newID  func(clientID string) string
	out    Output
	check  int64 // when offsets are looked at next
}

// New returns a machine without groups. newID makes member ids: unique, with the
// client id in front, as Kafka's are.
func New(c Config, newID func(prefix string) string) *Machine {
	return &Machine{cfg: c.defaults(), groups: map[string]*group{}, newID: newID}
}

// Configure changes the limits for what comes.
func (m *Machine) Configure(c Config) { m.cfg = c.defaults() }

// Take returns what is to be done since the last call.
func (m *Machine) Take() Output {
	out := m.out
	m.out = Output{}
	return out
}

func (m *Machine) answer(token, response any) {
	if token != nil {
		m.out.Answers = append(m.out.Answers, Answer{token, response, len(m.out.Records)})
	}
}

func (m *Machine) write(r Record) { m.out.Records = append(m.out.Records, r) }

func (m *Machine) checkID(id string) error {
	if id == "" || len(id) > m.cfg.MaxGroupID {
		return ErrInvalidGroupID
	}
	return nil
}

// Tick does what is due and returns when to call it next; -1 when nothing waits.
func (m *Machine) Tick(now, wall int64) int64 {
	next := int64(-1)
	soonest := func(t int64) {
		if t > 0 && (next < 0 || t < next) {
			next = t
		}
	}
	for _, id := range m.ids() {
		g := m.groups[id]
		g.expireMembers(m, now, wall)
		g.expirePending(m, now, wall)
		if g.state == Preparing && g.deadline > 0 && now >= g.deadline {
			if g.delayed && g.grew && now < g.began+g.longest() {
				// Somebody joined during the initial delay: as long again, as a whole at
				// most the longest rebalance timeout.
				g.grew = false
				g.deadline = min(now+m.cfg.InitialDelayMs, g.began+g.longest())
			} else {
				g.delayed = false
				g.complete(m, now, wall)
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
		if g.state == Preparing {
			soonest(g.deadline)
		}
	}
	if now >= m.check {
		m.check = now + m.cfg.CheckMs
		m.expireOffsets(wall)
	}
	soonest(m.check)
	return next
}

// ids are the groups in order, so that the same inputs give the same outputs.
func (m *Machine) ids() []string {
	ids := make([]string, 0, len(m.groups))
	for id := range m.groups {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// List lists groups in the given states; all when there are none.
func (m *Machine) List(states []string) []Listed {
	out := []Listed{}
	for _, id := range m.ids() {
		g := m.groups[id]
		s := g.state.String()
		if len(states) > 0 && !slices.ContainsFunc(states, func(x string) bool { return strings.EqualFold(x, s) }) {
			continue
		}
		out = append(out, Listed{id, g.protocolType, s})
	}
	return out
}

// Describe describes a group.
func (m *Machine) Describe(id string) Description {
	g := m.groups[id]
	if g == nil {
		return Description{Err: ErrGroupNotFound, Group: id, State: Dead.String()}
	}
	d := Description{Group: id, State: g.state.String(), ProtocolType: g.protocolType, Protocol: g.protocol}
	if g.state != Stable {
		d.Protocol = ""
	}
	for _, x := range g.sorted() {
		dm := DescribedMember{ID: x.id, InstanceID: x.instance, ClientID: x.clientID, Host: x.host}
		if g.state == Stable {
			dm.Metadata, dm.Assignment = x.metadata(g.protocol), x.assignment
		}
		d.Members = append(d.Members, dm)
	}
	return d
}

// Delete deletes a group that has no members, with its offsets.
func (m *Machine) Delete(id string) error {
	g := m.groups[id]
	switch {
	case m.checkID(id) != nil:
		return ErrInvalidGroupID
	case g == nil:
		return ErrGroupNotFound
	case g.state != Empty:
		return ErrNonEmptyGroup
	}
	for _, tp := range g.committed() {
		m.write(offsetRecord(id, tp, nil))
	}
	m.write(groupTombstone(id))
	delete(m.groups, id)
	return nil
}

// DropTopics forgets the offsets of topics that were deleted.
func (m *Machine) DropTopics(gone func(topic string) bool) {
	for _, id := range m.ids() {
		g := m.groups[id]
		for _, tp := range g.committed() {
			if gone(tp.Topic) {
				m.write(offsetRecord(id, tp, nil))
				delete(g.offsets, tp)
			}
		}
		m.forget(g)
	}
}

// forget drops a group that holds nothing.
func (m *Machine) forget(g *group) {
	if g.state == Empty && len(g.offsets) == 0 && len(g.pending) == 0 {
		if g.written {
			m.write(groupTombstone(g.id))
		}
		delete(m.groups, g.id)
	}
}

// expireOffsets drops offsets of groups that nobody uses (KIP-211): retention
// after the group became empty, or after the commit for one that never had members.
func (m *Machine) expireOffsets(wall int64) {
	for _, id := range m.ids() {
		g := m.groups[id]
		if g.state != Empty {
			continue
		}
		for _, tp := range g.committed() {
			since := max(g.offsets[tp].at, g.emptyAt)
			if wall-since >= m.cfg.RetentionMs {
				m.write(offsetRecord(id, tp, nil))
				delete(g.offsets, tp)
			}
		}
		m.forget(g)
	}
}

// Committed is what metrics show of a group.
type Committed struct {
	Group   string
	Members int
	Offsets []Offset
}

// Committed returns all groups with their offsets.
func (m *Machine) Committed() []Committed {
	var out []Committed
	for _, id := range m.ids() {
		g := m.groups[id]
		c := Committed{Group: id, Members: len(g.members)}
		for _, tp := range g.committed() {
			c.Offsets = append(c.Offsets, Offset{TopicPartition: tp, Offset: g.offsets[tp].offset})
		}
		out = append(out, c)
	}
	return out
}

func comparePartitions(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// Answer gives an answer that was computed at once its place in the order (G3).
func (m *Machine) Answer(token, response any) { m.answer(token, response) }

// Peek says whether Take would return anything.
func (m *Machine) Peek() bool { return len(m.out.Records)+len(m.out.Answers) > 0 }

// Waiting takes the tokens of all requests that wait for their group; they will
// not be answered any more.
func (m *Machine) Waiting() []any {
	var out []any
	for _, id := range m.ids() {
		for _, x := range m.groups[id].sorted() {
			if x.joining {
				out = append(out, x.join)
			}
			if x.syncWaiting {
				out = append(out, x.sync)
			}
			x.joining, x.syncWaiting = false, false
		}
	}
	return out
}

package group

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrUnknownRecord says that a record of __consumer_offsets was not understood:
// one of a newer kind, or garbage.
var ErrUnknownRecord = errors.New("unknown record")

// Replay rebuilds the machine from the records of the partition, given in order.
// It reports false for a record that it does not understand, which is skipped. The
// bytes are not kept.
func (m *Machine) Replay(key, value []byte) bool { return m.ReplayTxn(-1, key, value) == nil }

// ReplayTxn is Replay of a record of a producer's transaction: EndTxn says what
// becomes of it. Producer -1 is none. The error wraps ErrUnknownRecord.
func (m *Machine) ReplayTxn(producer int64, key, value []byte) error {
	if len(key) < 2 {
		return fmt.Errorf("%w: key of %d bytes", ErrUnknownRecord, len(key))
	}
	switch version := int16(binary.BigEndian.Uint16(key)); version {
	case 0, 1:
		return m.replayOffset(producer, key, value)
	case 2:
		return m.replayGroup(key, value)
	default:
		return fmt.Errorf("%w: key version %d", ErrUnknownRecord, version)
	}
}

func (m *Machine) replayOffset(producer int64, key, value []byte) error {
	var k kmsg.OffsetCommitKey
	if k.ReadFrom(key) != nil {
		return malformed("key of an offset")
	}
	at := offsetKey{k.Group, TopicPartition{k.Topic, k.Partition}}
	m.seq++
	if value == nil {
		if g := m.groups[k.Group]; g != nil {
			delete(g.offsets, at.tp)
			m.dropVoid(g)
		}
		m.unstage(at)
		return nil
	}
	c, err := readOffset(value)
	if err != nil {
		return err
	}
	c.seq = m.seq
	g := m.group(k.Group)
	if producer >= 0 {
		m.stage(producer, at, c)
		return nil
	}
	g.offsets[at.tp] = c
	return nil
}

// readOffset reads the value of an offset record. Versions from 4 on are flexible:
// a topic id and what else there may be comes behind, as tags, which nobody here
// needs. (kmsg reads tags by a loop over as many as the bytes say there are.)
func readOffset(b []byte) (commit, error) {
	if len(b) < 2 {
		return commit{}, malformed("offset")
	}
	if version := int16(binary.BigEndian.Uint16(b)); version > 3 {
		r := reader{b: b[2:]}
		c := commit{offset: r.int64(), epoch: r.int32(), metadata: string(r.compact()), at: r.int64()}
		if r.bad {
			return commit{}, malformed("offset")
		}
		return c, nil
	}
	var v kmsg.OffsetCommitValue
	if v.ReadFrom(b) != nil || v.Version < 0 {
		return commit{}, malformed("offset")
	}
	c := commit{offset: v.Offset, epoch: -1, metadata: v.Metadata, at: v.CommitTimestamp}
	if v.Version >= 3 {
		c.epoch = v.LeaderEpoch
	}
	if v.Version == 1 && v.ExpireTimestamp > 0 {
		c.until = v.ExpireTimestamp
	}
	return c, nil
}

func malformed(what string) error { return fmt.Errorf("%w: malformed %s", ErrUnknownRecord, what) }

// minMember is the bytes of the smallest member of a group record, version 0.
const minMember = 2 + 2 + 2 + 4 + 4 + 4

func (m *Machine) replayGroup(key, value []byte) error {
	var k kmsg.GroupMetadataKey
	if k.ReadFrom(key) != nil {
		return malformed("key of a group")
	}
	m.seq++
	old := m.groups[k.Group]
	if value == nil {
		if old != nil {
			m.drop(old)
			if len(old.offsets) > 0 || m.staged(k.Group) {
				m.group(k.Group).offsets = old.offsets
			}
		}
		return nil
	}
	v, err := readGroup(value)
	if err != nil {
		return err
	}
	if old != nil {
		m.drop(old)
	}
	g := m.group(k.Group)
	if old != nil {
		g.offsets = old.offsets
	}
	g.generation, g.protocolType, g.since, g.recorded = max(v.Generation, 0), v.ProtocolType, v.CurrentStateTimestamp, true
	if v.Protocol != nil {
		g.protocol = *v.Protocol
	}
	for _, w := range v.Members {
		if g.byID[w.MemberID] != nil || w.MemberID == "" {
			continue
		}
		x := &member{
			id: w.MemberID, instance: w.InstanceID, clientID: w.ClientID, host: w.ClientHost,
			session: max(int64(w.SessionTimeoutMillis), 1), rebalance: int64(w.RebalanceTimeoutMillis),
			protocols:  []Protocol{{g.protocol, bytes.Clone(w.Subscription)}},
			assignment: bytes.Clone(w.Assignment), synced: true,
		}
		if x.rebalance < 0 {
			x.rebalance = x.session
		}
		if x.instance != nil && g.static[*x.instance] != nil {
			x.instance = nil
		}
		g.insert(x)
		m.held += x.size()
		g.state = Stable
	}
	if v.Leader != nil && g.byID[*v.Leader] != nil {
		g.leader = *v.Leader
	}
	g.subscribe()
	return nil
}

// readGroup reads the value of a group record.
func readGroup(b []byte) (v kmsg.GroupMetadataValue, err error) {
	// A version from 4 on is flexible, and nobody writes one: its members may bring
	// tags in numbers that kmsg believes.
	if len(b) < 2 || binary.BigEndian.Uint16(b) > 3 {
		return v, malformed("group")
	}
	if n, ok := countMembers(b); !ok || n > len(b)/minMember {
		return v, malformed("group")
	}
	v = kmsg.NewGroupMetadataValue()
	if v.ReadFrom(b) != nil {
		return v, malformed("group")
	}
	return v, nil
}

// countMembers reads how many members a group record says it has, before memory is
// taken for them (G4).
func countMembers(b []byte) (int, bool) {
	r := reader{b: b}
	version := r.int16()
	r.string() // protocol type
	r.int32()  // generation
	r.string() // protocol
	r.string() // leader
	if version >= 2 {
		r.int64() // since when
	}
	n := r.int32()
	return int(max(n, 0)), !r.bad
}

// reader reads big-endian fields; the first fault sticks.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) int16() int16 {
	if v := r.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (r *reader) int32() int32 {
	if v := r.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (r *reader) int64() int64 {
	if v := r.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

func (r *reader) string() []byte { return r.take(max(int(r.int16()), 0)) }

// compact reads a string whose length plus one comes as a varint.
func (r *reader) compact() []byte {
	n, k := binary.Uvarint(r.b)
	if k <= 0 || n == 0 || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	r.b = r.b[k:]
	return r.take(int(n - 1))
}

// Loaded ends the replay: members that were in the log have a session from now on,
// as if they had just been heard of. A group with more members than it may have is
// rebalanced, so that the last to come find no room.
func (m *Machine) Loaded(now, wall int64) {
	m.check = now + m.cfg.CheckMs
	for _, id := range m.ids() {
		g := m.groups[id]
		for _, x := range g.members {
			x.alive(now)
		}
		if len(g.members) > m.cfg.MaxSize {
			g.prepare(m, now, wall)
		}
		m.settle(g)
	}
}

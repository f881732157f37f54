package catalog

import (
	"cmp"
	"iter"
	"math"
	"slices"

	"github.com/firnlog/firn/record"
)

// State is everything that the brokers agree on. The zero State is not usable;
// NewState makes the empty one, before the first journal entry.
type State struct {
	edit *edit

	number    uint64 // of the newest journal entry applied
	clusterID string

	sessions table[uint64, *Session]
	topics   table[record.TopicID, *Topic]
	names    table[string, record.TopicID]
	jobs     table[uint64, *Job]
	refs     table[ObjectRef, int32]  // I6
	garbage  table[ObjectRef, uint64] // value: the entry that made it garbage
	owners   table[uint64, int]       // I8: session → how many partitions it owns; 0: nobody

	brokerConfigs  table[string, string] // "" / "<node>" + "\x00" + name
	nextProducerID int64
	registered     bool // a session was registered by the current entry (S1)
	fork           bool // not of the journal: see Fork
}

// Session is one life of one broker process (S1). Immutable.
type Session struct {
	ID         uint64
	Nonce      [16]byte // in the header of every object it writes
	Node       int32
	Advertised string // HOST:PORT for Kafka clients, or NAME://HOST:PORT,… with that for brokers first
	Gossip     string // host:port, or empty
	Rack       string
	StartedMs  int64  // wall clock of the broker that registered, for people
	Covered    uint64 // slots below are described by extents (I5)
	Sealed     bool
	Fence      uint64 // the slot that holds the fence, once sealed
	Swept      bool   // its WAL objects are deleted, the fence excepted
}

// Topic is one topic. Immutable for readers.
type Topic struct {
	owner      *edit
	ID         record.TopicID
	Name       string
	Replicas   int16 // as asked for; the bucket replicates (protocol.md 7)
	Configs    map[string]string
	Partitions []*Partition
	Internal   bool
}

// Partition is one partition. Immutable for readers.
type Partition struct {
	edit     *edit
	ID       record.Partition
	Epoch    int32
	Owner    uint64 // session; 0 when nobody owns it
	LogStart int64
	Next     int64 // end of what Index and Extents describe
	Extents  []Extent
	Index    []IndexRef
	Epochs   []EpochStart
	// Bytes is the sum of the lengths of all runs described.
	Bytes int64
}

// Job is a registered rewrite of extents (S12).
type Job struct {
	ID      uint64
	Session uint64
}

// NewState is the state before the first entry of a journal.
func NewState() *State {
	return &State{
		edit:          new(edit),
		sessions:      newTable[uint64, *Session](func(k uint64) uint8 { return uint8(k) }),
		topics:        newTable[record.TopicID, *Topic](func(k record.TopicID) uint8 { return k[15] }),
		names:         newTable[string, record.TopicID](hashString),
		jobs:          newTable[uint64, *Job](func(k uint64) uint8 { return uint8(k ^ k>>10) }),
		refs:          newTable[ObjectRef, int32](func(k ObjectRef) uint8 { return uint8(k.B ^ k.A ^ k.A>>8) }),
		garbage:       newTable[ObjectRef, uint64](func(k ObjectRef) uint8 { return uint8(k.B ^ k.A ^ k.A>>8) }),
		owners:        newTable[uint64, int](func(k uint64) uint8 { return uint8(k) }),
		brokerConfigs: newTable[string, string](hashString),
	}
}

// Clone returns the state that follows s: it can be changed without changing s. It costs
// some kilobytes whatever the size of the state. s must not be changed afterwards, and
// one state alone follows it; others are forks.
func (s *State) Clone() *State {
	c := *s
	c.edit = new(edit)
	return &c
}

// Fork is Clone for a look at what commands would do. States of the journal follow each
// other, and each adds to slices behind what the one before it has there; a fork is none
// of them, and copies what it adds to. What is forked or cloned from it is one, too.
func (s *State) Fork() *State {
	c := s.Clone()
	c.fork = true
	return c
}

// Number is the number of the newest journal entry applied; 0 before the first.
func (s *State) Number() uint64 { return s.number }

// ClusterID names the cluster whose bucket this is; empty before its creation.
func (s *State) ClusterID() string { return s.clusterID }

// Session returns a registered session that has not been forgotten.
func (s *State) Session(id uint64) (*Session, bool) { return s.sessions.get(id) }

// Sessions returns all sessions, oldest first.
func (s *State) Sessions() []*Session {
	return sorted(s.sessions.all(), s.sessions.len(), func(a, b *Session) int { return cmp.Compare(a.ID, b.ID) })
}

// Topic returns a topic by id.
func (s *State) Topic(id record.TopicID) (*Topic, bool) { return s.topics.get(id) }

// TopicNamed returns a topic by name.
func (s *State) TopicNamed(name string) (*Topic, bool) {
	id, ok := s.names.get(name)
	if !ok {
		return nil, false
	}
	return s.topics.get(id)
}

// Topics returns all topics, sorted by name.
func (s *State) Topics() []*Topic {
	return sorted(s.topics.all(), s.topics.len(), func(a, b *Topic) int { return cmp.Compare(a.Name, b.Name) })
}

// AllTopics yields all topics in no particular order, without allocating.
func (s *State) AllTopics() iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for _, t := range s.topics.all() {
			if !yield(t) {
				return
			}
		}
	}
}

// Partition returns one partition.
func (s *State) Partition(p record.Partition) (*Partition, bool) {
	t, ok := s.topics.get(p.Topic)
	if !ok || p.Index < 0 || int(p.Index) >= len(t.Partitions) {
		return nil, false
	}
	return t.Partitions[p.Index], true
}

// Jobs returns the jobs that are open, oldest first.
func (s *State) Jobs() []*Job {
	return sorted(s.jobs.all(), s.jobs.len(), func(a, b *Job) int { return cmp.Compare(a.ID, b.ID) })
}

// Refs is how many extents of the catalog lie in the object.
func (s *State) Refs(r ObjectRef) int { n, _ := s.refs.get(r); return int(n) }

// Referenced yields the objects that extents of the catalog lie in, and how
// many do, in no particular order. Index objects and what they list are not in it.
func (s *State) Referenced() iter.Seq2[ObjectRef, int32] { return s.refs.all() }

// Garbage yields the objects that may be deleted after the grace period, and
// the number of the entry that made each garbage, in no particular order.
func (s *State) Garbage() iter.Seq2[ObjectRef, uint64] { return s.garbage.all() }

// GarbageCount is the number of objects that wait to be deleted.
func (s *State) GarbageCount() int { return s.garbage.len() }

// IsGarbage reports whether the object may be deleted after the grace period. What
// an index object lists goes with it, and is not reported by itself.
func (s *State) IsGarbage(r ObjectRef) bool {
	_, ok := s.garbage.get(r)
	if !ok && r.Kind == KindIndex {
		_, ok = s.garbage.get(ObjectRef{KindListless, r.A, r.B})
	}
	return ok
}

// PartitionCount is the number of partitions of all topics.
func (s *State) PartitionCount() int {
	n := 0
	for _, t := range s.topics.all() {
		n += len(t.Partitions)
	}
	return n
}

// BrokerConfig returns a dynamic broker setting: of the node, else the default
// for all nodes (node < 0 asks for that alone).
func (s *State) BrokerConfig(node int32, name string) (string, bool) {
	if node >= 0 {
		if v, ok := s.brokerConfigs.get(brokerConfigKey(node, name)); ok {
			return v, true
		}
	}
	return s.brokerConfigs.get(brokerConfigKey(-1, name))
}

// BrokerConfigs returns the dynamic settings of exactly this node; of the
// cluster-wide default when node is negative.
func (s *State) BrokerConfigs(node int32) map[string]string {
	out := map[string]string{}
	prefix := brokerConfigKey(node, "")
	for k, v := range s.brokerConfigs.all() {
		if len(k) > len(prefix) && k[:len(prefix)] == prefix {
			out[k[len(prefix):]] = v
		}
	}
	return out
}

// First is the first offset that is described, and with it the end of what
// retention may have left of older extents.
func (p *Partition) First() int64 {
	if len(p.Index) > 0 {
		return p.Index[0].Base
	}
	if len(p.Extents) > 0 {
		return p.Extents[0].Base
	}
	return p.Next
}

// Find returns the position in Extents of the extent that holds the offset, or
// of the first one behind it; len(Extents) when there is none.
func (p *Partition) Find(offset int64) int {
	i, _ := slices.BinarySearchFunc(p.Extents, offset, func(e Extent, o int64) int {
		if e.Next <= o {
			return -1
		}
		return 1
	})
	return i
}

// EpochAt is the leader epoch under which the record at an offset was or would be written,
// and the offset up to which it holds; false below the log's start.
func (p *Partition) EpochAt(offset int64) (epoch int32, until int64, ok bool) {
	until = math.MaxInt64
	for _, e := range slices.Backward(p.Epochs) {
		if e.Start <= offset {
			return e.Epoch, until, true
		}
		until = e.Start
	}
	return 0, until, false
}

// EpochEnd answers OffsetForLeaderEpoch (KIP-320): the largest epoch that is
// not above the one asked for, and the offset at which the next one begins; end
// is the log end as the caller knows it. An epoch that is older than all that are known
// has left no record: it ends where the first of them begins, so that who has read up to
// there goes on, rather than being sent to wherever auto.offset.reset says. -1 is no epoch.
func (p *Partition) EpochEnd(epoch int32, end int64) (int32, int64) {
	i, found := slices.BinarySearchFunc(p.Epochs, epoch, func(e EpochStart, want int32) int { return cmp.Compare(e.Epoch, want) })
	if !found {
		i--
	}
	switch {
	case epoch < 0:
		return -1, -1
	case i < 0:
		return epoch, p.Epochs[0].Start
	case i+1 < len(p.Epochs):
		return p.Epochs[i].Epoch, p.Epochs[i+1].Start
	}
	return p.Epochs[i].Epoch, end
}

func sorted[K comparable, V any](all iter.Seq2[K, V], n int, less func(a, b V) int) []V {
	out := make([]V, 0, n)
	for _, v := range all {
		out = append(out, v)
	}
	slices.SortFunc(out, less)
	return out
}

// mutTopic returns a topic that this state may change in place.
func (s *State) mutTopic(id record.TopicID) *Topic {
	t, ok := s.topics.get(id)
	if !ok {
		return nil
	}
	if t.owner == s.edit {
		return t
	}
	c := *t
	c.owner = s.edit
	c.Partitions = slices.Clone(t.Partitions)
	s.topics.set(s.edit, id, &c)
	return &c
}

// mutPartition returns a partition that this state may change in place. Its
// slices are still shared: append only, or replace them whole.
func (s *State) mutPartition(p record.Partition) *Partition {
	old, ok := s.Partition(p)
	if !ok {
		return nil
	}
	if old.edit == s.edit {
		return old
	}
	t := s.mutTopic(p.Topic)
	c := *old
	c.edit = s.edit
	t.Partitions[p.Index] = &c
	return &c
}

// mutSession returns a fresh copy of a session, already put in its place.
func (s *State) mutSession(id uint64) *Session {
	old, ok := s.sessions.get(id)
	if !ok {
		return nil
	}
	c := *old
	s.sessions.set(s.edit, id, &c)
	return &c
}

// addRef and dropRef keep I6.
func (s *State) addRef(r ObjectRef) {
	n, _ := s.refs.get(r)
	s.refs.set(s.edit, r, n+1)
	s.garbage.del(s.edit, r)
}

func (s *State) dropRef(r ObjectRef) {
	n, _ := s.refs.get(r)
	if n > 1 {
		s.refs.set(s.edit, r, n-1)
		return
	}
	s.refs.del(s.edit, r)
	// A WAL object goes with its session, in order, not one by one (S10).
	if r.Kind != KindWAL {
		s.garbage.set(s.edit, r, s.number)
	}
}

package ingest

import (
	"maps"
	"slices"
	"time"

	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/record"
)

// Phase is where a Machine is in the life of its session.
type Phase uint8

// Phases of a Machine.
const (
	Idle     Phase = iota // no session yet: nothing is accepted
	Serving               // accepts, cuts, commits
	Draining              // rotation: accepts, but binds no more slots; those bound finish (S9)
	Closing               // accepts nothing, puts what it has
	Over                  // fenced: nothing is accepted, slots below the fence finish
	Stopped               // after ErrForeign
)

// String names the phase for logs.
func (p Phase) String() string {
	return [...]string{"idle", "serving", "draining", "closing", "over", "stopped"}[p]
}

// Start is where an owner begins with a partition, from the catalog.
type Start struct {
	Epoch    int32
	Next     int64 // end of the log: the first offset to assign
	LogStart int64
	// Producers is the state of the partition's producers at Next, rebuilt from the
	// log (S2), or nil.
	Producers []Producer
}

// Output is what is to be done, in this order: commits are published before
// answers are given, so that who was answered can read. The slices are valid
// until the next call of Take.
type Output struct {
	Commits []Commit   // committed, in order of slots
	Answers []*Request // complete
	Puts    []*Slot    // to be put into their slots, and into the hot tier
	Dropped []*Slot    // given up: never put, or cut off by a fence
	Lost    int64      // records acknowledged by acks=1 that a fence has cut off (P2)
}

// Machine is the rules of one broker's write path. It is a pure state machine:
// it is told what happened and when, and Take says what is to be done. It is not
// for concurrent use.
type Machine struct {
	cfg     Config
	phase   Phase
	session uint64
	next    uint64 // the slot number that is bound next
	logs    map[record.Partition]*plog
	ended   map[record.Partition]int32 // the last epochs that this session gave up
	held    map[record.Partition]struct{}
	flight  []*Slot // bound and not committed; Seq ascends by one
	full    []*Slot // too large to take more
	open    *Slot
	bytes   int64 // in flight, full and open
	batches int   // likewise
	credit  credit
	usual   time.Duration // moving average of what puts took
	wall    time.Time     // what Date said
	due     time.Time     // not after the earliest deadline of a request
	waiting int           // requests that are not answered
	out     [2]Output     // one is being filled, one is being performed
	pids    []int64       // scratch

	// judge decides how many slots of the flight are committed. It is a field so
	// that a test can show that any other rule loses data.
	judge func(flight []*Slot) int
}

// plog is the log of one partition.
type plog struct {
	id       record.Partition
	epoch    int32
	start    int64
	next     int64
	hw       int64
	stopping bool // being released: takes nothing
	gone     bool // not owned any more

	appended *Producers // including what is not committed
	settled  *Producers // as of hw

	partial int // parts since one that named all producers

	// The part of the open slot that takes the next batch.
	slot *Slot
	part int
}

// New returns a machine without session.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg.defaults(), logs: make(map[record.Partition]*plog), ended: make(map[record.Partition]int32), judge: prefix}
}

// Begin gives the machine a session, registered in the catalog (S1), whose slots
// begin at 0. After a rotation it carries over all partitions that grants names,
// under the epochs that it gives them; the others are forgotten. The phases in
// which a session may begin are Idle, Draining when Drained, and Over when Quiet.
func (m *Machine) Begin(session uint64, grants map[record.Partition]int32) {
	if len(m.flight) > 0 || m.phase == Serving || m.phase == Closing || m.phase == Stopped {
		panic("ingest: S9: a session begins before the last one has ended")
	}
	m.session, m.next, m.phase, m.held = session, 0, Serving, nil
	for p, l := range m.logs {
		epoch, ok := grants[p]
		if !ok {
			m.Disown(p, l.epoch)
			continue
		}
		l.epoch = epoch // W8
	}
	clear(m.ended)
}

// Own makes the machine take appends for a partition, which the catalog says is
// owned by its session (S8). A partition that is owned already with the same
// epoch stays as it is. One whose ownership of that epoch has ended stays ended,
// since Start says nothing of what was appended in it: whoever says otherwise has an
// old view of the catalog, which gives it a new epoch when it comes back.
func (m *Machine) Own(p record.Partition, s Start) {
	if e, ok := m.ended[p]; ok && s.Epoch <= e {
		return
	}
	if l := m.logs[p]; l != nil {
		if l.epoch >= s.Epoch {
			return
		}
		m.Disown(p, l.epoch)
	}
	l := &plog{
		id: p, epoch: s.Epoch, start: s.LogStart, next: s.Next, hw: s.Next,
		appended: NewProducers(m.cfg.Producers, m.cfg.ProducerExpiry),
		settled:  NewProducers(m.cfg.Producers, m.cfg.ProducerExpiry),
	}
	known := below(s.Producers, s.Next)
	l.appended.Put(known)
	l.settled.Put(known)
	m.logs[p] = l
}

// Hold makes the machine refuse what comes for partitions with ErrNotLeader, but for what
// is restored, until Admit or the end of the session: the next offsets of their logs are
// given away already, to what a hot tier holds beyond a fence (P2).
func (m *Machine) Hold(ps []record.Partition) {
	if planted.Is(planted.RestoreLate) {
		return
	}
	m.held = make(map[record.Partition]struct{}, len(ps))
	for _, p := range ps {
		m.held[p] = struct{}{}
	}
}

// Admit ends Hold: what was to be restored is.
func (m *Machine) Admit() { m.held = nil }

// Held reports whether a partition is held back.
func (m *Machine) Held(p record.Partition) bool {
	_, held := m.held[p]
	return held
}

// Disown makes the machine refuse appends for a partition with ErrNotLeader and
// forget it, if it owns it under that epoch or one before. What is bound to a slot
// already stays so. It reports whether it did: an ownership of a later epoch is
// none that has ended.
func (m *Machine) Disown(p record.Partition, epoch int32) bool {
	if e, ok := m.ended[p]; !ok || e < epoch {
		m.ended[p] = epoch
	}
	l := m.logs[p]
	if l == nil || l.epoch > epoch {
		return false
	}
	delete(m.logs, p)
	l.gone = true
	if m.open != nil {
		m.strip(m.open, l)
	}
	for _, s := range slices.Clone(m.full) {
		m.strip(s, l)
	}
	return true
}

// Epoch is the epoch under which a partition is owned; false when it is not.
func (m *Machine) Epoch(p record.Partition) (int32, bool) {
	l := m.logs[p]
	if l == nil {
		return 0, false
	}
	return l.epoch, true
}

// Release stops a partition (S9): it takes nothing any more. Released says when all its
// records are committed. The partition stays until Disown.
func (m *Machine) Release(p record.Partition) {
	if l := m.logs[p]; l != nil {
		l.stopping = true
	}
}

// Released reports whether a partition was stopped and all its records are committed. One
// that is not owned is as good.
func (m *Machine) Released(p record.Partition) bool {
	l := m.logs[p]
	return l == nil || l.stopping && l.hw == l.next
}

// Trim tells the log start that answers bear.
func (m *Machine) Trim(p record.Partition, start int64) {
	if l := m.logs[p]; l != nil {
		l.start = max(l.start, start)
	}
}

// Drain begins a rotation: no slot is bound any more, what comes waits for the
// next session (S9).
func (m *Machine) Drain() {
	if m.phase == Serving {
		m.phase = Draining
	}
}

// Close refuses what comes, and puts what is there without waiting for company.
func (m *Machine) Close() {
	switch m.phase {
	case Serving:
		m.phase = Closing
	case Draining: // its fence may be under way: nothing is bound any more
		m.abandon(ErrNotLeader)
		m.phase = Over
	}
}

// Phase says where the machine is.
func (m *Machine) Phase() Phase { return m.phase }

// Session is the session that the machine serves.
func (m *Machine) Session() uint64 { return m.session }

// Next is the slot that is bound next: where a drained session gets its fence.
func (m *Machine) Next() uint64 { return m.next }

// Drained reports whether all bound slots are committed.
func (m *Machine) Drained() bool { return len(m.flight) == 0 }

// Unbound reports whether something was accepted that has no slot yet.
func (m *Machine) Unbound() bool { return len(m.full) > 0 || m.open != nil }

// Quiet reports whether nothing waits for the bucket at all.
func (m *Machine) Quiet() bool { return m.Drained() && !m.Unbound() }

// Full reports whether as many bytes wait for the bucket as may (W7). The caller
// then takes no more requests until it is not.
func (m *Machine) Full() bool { return m.bytes+int64(m.batches)*perBatch >= m.cfg.Pending }

// Pending is the bytes that wait for the bucket, and the time at which the oldest
// of them came; the zero time when there are none.
func (m *Machine) Pending() (int64, time.Time) {
	switch {
	case len(m.flight) > 0:
		return m.bytes, m.flight[0].Opened
	case len(m.full) > 0:
		return m.bytes, m.full[0].Opened
	case m.open != nil:
		return m.bytes, m.open.Opened
	}
	return 0, time.Time{}
}

// Usual is what a put usually takes.
func (m *Machine) Usual() time.Duration { return m.usual }

// Owned reports whether the partition is owned, and the end of its log and its
// high watermark.
func (m *Machine) Owned(p record.Partition) (end, hw int64, ok bool) {
	l := m.logs[p]
	if l == nil {
		return 0, 0, false
	}
	return l.next, l.hw, true
}

// Partitions returns the partitions that are owned, in no particular order.
func (m *Machine) Partitions() []record.Partition { return slices.Collect(maps.Keys(m.logs)) }

// Date says what time it is by the calendar. Producers are dated by it and expire by it,
// on this broker and on those that own the partition later; all else goes by the now of
// each call, whose calendar may be wrong. A machine that was never told takes that.
func (m *Machine) Date(wall time.Time) { m.wall = wall }

func (m *Machine) dated(now time.Time) time.Time {
	if m.wall.IsZero() {
		return now
	}
	return m.wall
}

// Producers is what is known of the partition's producers from committed batches
// alone: what an object may carry (S4).
func (m *Machine) Producers(p record.Partition, now time.Time) []Producer {
	if l := m.logs[p]; l != nil {
		return l.settled.Snapshot(m.dated(now))
	}
	return nil
}

// Take returns what is to be done since the last call.
func (m *Machine) Take() *Output {
	m.out[0], m.out[1] = m.out[1], m.out[0]
	next := &m.out[0]
	clear(next.Commits)
	clear(next.Answers)
	clear(next.Puts)
	clear(next.Dropped)
	*next = Output{
		Commits: next.Commits[:0], Answers: next.Answers[:0], Puts: next.Puts[:0],
		Dropped: next.Dropped[:0],
	}
	return &m.out[1]
}

// Step binds slots that are due and answers requests whose time is up. It is
// called when all that has happened until now was told, and again at the time
// that it returns; the zero time means that there is nothing to wait for but what
// will be told.
func (m *Machine) Step(now time.Time) time.Time {
	m.credit.refill(&m.cfg, now)
	wait, ok := m.cutAll(now)
	m.expire(now)
	var at time.Time
	if ok {
		at = now.Add(wait)
	}
	if m.waiting > 0 && !m.due.IsZero() && (at.IsZero() || m.due.Before(at)) {
		at = m.due
	}
	return at
}

// cutAll binds what is due. When a slot will be due by time alone, it says in
// how long.
func (m *Machine) cutAll(now time.Time) (time.Duration, bool) {
	for m.phase == Serving || m.phase == Closing {
		l := load{inFlight: m.inFlight(), full: len(m.full) > 0, usual: m.usual, credit: m.credit.amount}
		if m.open != nil {
			l.bytes, l.age = m.open.Bytes, now.Sub(m.open.Opened)
		}
		if m.phase == Closing { // neither company nor the bill
			l.full = l.full || m.open != nil
		}
		due, wait := m.cfg.cut(l)
		switch {
		case !due:
			return wait, wait > 0
		case len(m.full) > 0:
			m.bind(now, m.full[0])
			m.full[0] = nil
			m.full = m.full[1:]
		default:
			m.bind(now, m.seal())
		}
	}
	return 0, false
}

// inFlight counts the puts that are not decided.
func (m *Machine) inFlight() int {
	n := 0
	for _, s := range m.flight {
		if !s.filled {
			n++
		}
	}
	return n
}

package ingest

import (
	"time"

	"github.com/firnlog/firn/planted"
)

// prefix is the rule of S4: a slot is committed when it and all before it are
// filled.
func prefix(flight []*Slot) int {
	for i, s := range flight {
		if !s.filled {
			return i
		}
	}
	return len(flight)
}

// PutDone tells the outcome of a put: Mine, Fenced or Foreign. Those of slots
// that the machine does not wait for any more are ignored.
func (m *Machine) PutDone(now time.Time, seq uint64, o Outcome) {
	s := m.bound(seq)
	if s == nil || s.filled {
		return
	}
	switch o {
	case Mine:
		s.filled = true
		if planted.Is(planted.AckOverGap) {
			m.answerAll(s)
		}
		m.took(now.Sub(s.sent))
		m.commit(now)
	case Fenced:
		m.fenced(seq)
	case Foreign:
		m.phase = Stopped
		m.cutOff(seq)
		m.abandon(ErrNotLeader)
	default:
		panic("ingest: S3: a put without outcome is not done")
	}
}

// HotDone tells that the hot tier has synced a slot.
func (m *Machine) HotDone(seq uint64) {
	if s := m.bound(seq); s != nil {
		s.synced = true
		m.loosen()
	}
}

// bound finds a slot in flight.
func (m *Machine) bound(seq uint64) *Slot {
	if len(m.flight) == 0 || seq < m.flight[0].Seq || seq-m.flight[0].Seq >= uint64(len(m.flight)) {
		return nil
	}
	return m.flight[seq-m.flight[0].Seq]
}

// took keeps the moving average of what puts take.
func (m *Machine) took(d time.Duration) {
	if m.usual == 0 {
		m.usual = d
		return
	}
	m.usual += (d - m.usual) / 8
}

// commit commits what the rule allows (S4), answers those who waited for it, and
// moves watermarks.
func (m *Machine) commit(now time.Time) {
	n := m.judge(m.flight)
	for i, s := range m.flight[:n] {
		m.flight[i] = nil
		m.bytes -= s.Bytes
		m.batches -= s.Batches
		c := Commit{Slot: s}
		for j := range s.Parts {
			p := &s.Parts[j]
			l := p.log
			l.hw = p.Next
			l.settled.Put(p.Producers)
			if stable := l.settled.Stable(p.Next); stable != p.Next {
				c.unstable(j, stable)
			}
		}
		m.out[0].Commits = append(m.out[0].Commits, c)
		m.answerAll(s)
	}
	if m.flight = m.flight[n:]; len(m.flight) == 0 {
		m.flight = nil
	}
	m.loosen()
}

// answerAll answers those who wait for a slot.
func (m *Machine) answerAll(s *Slot) {
	for _, w := range s.waits {
		if w.req != nil {
			m.succeed(w.req, int(w.item))
		}
	}
	s.waits = nil
}

// unstable notes that part i ends inside of an open transaction.
func (c *Commit) unstable(i int, stable int64) {
	if c.Stable == nil {
		c.Stable = make([]int64, len(c.Parts))
		for j := range c.Parts {
			c.Stable[j] = c.Parts[j].Next
		}
	}
	c.Stable[i] = stable
}

// loosen answers acks=1 for the slots that the hot tier has synced, as far as it
// has all of them: what it will append again after a crash must have no gap (P2).
func (m *Machine) loosen() {
	for _, s := range m.flight {
		if !s.synced {
			return
		}
		for i := range s.waits {
			if w := &s.waits[i]; w.req != nil && w.req.Acks == AcksLeader {
				s.loose += int64(w.req.Items[w.item].Header.NumRecords)
				m.succeed(w.req, int(w.item))
				w.req = nil
			}
		}
	}
}

// fenced ends the session at a slot. What was bound below it is there, or will be
// found to be; what lies above is rubbish (W5).
func (m *Machine) fenced(seq uint64) {
	if m.phase != Stopped {
		m.phase = Over
	}
	m.cutOff(seq)
	m.abandon(ErrNotLeader)
	m.commit(time.Time{})
}

// Sealed ends the session when the catalog says that somebody has sealed it, with its
// fence at a slot: no put may ever come across the fence, since who owns nothing puts
// nothing. While the session is being closed anyway it does nothing.
func (m *Machine) Sealed(fence uint64) {
	if m.phase != Serving && m.phase != Draining {
		return
	}
	m.phase = Over
	if n := len(m.flight); n > 0 && fence <= m.flight[n-1].Seq {
		m.cutOff(max(fence, m.flight[0].Seq))
	}
	m.abandon(ErrNotLeader)
	m.commit(time.Time{})
}

// cutOff takes the slots from seq on out of the flight.
func (m *Machine) cutOff(seq uint64) {
	from := int(seq - m.flight[0].Seq)
	for i, s := range m.flight[from:] {
		m.flight[from+i] = nil
		m.out[0].Lost += s.loose
		m.drop(s, ErrNotLeader)
	}
	m.flight = m.flight[:from]
}

// Abort gives up everything: what is bound may be committed yet, by whoever
// seals the session.
func (m *Machine) Abort() {
	if m.phase != Stopped {
		m.phase = Over
	}
	if len(m.flight) > 0 {
		m.cutOff(m.flight[0].Seq)
	}
	m.abandon(ErrNotLeader)
}

// abandon drops all that is not bound, and all partitions.
func (m *Machine) abandon(err error) {
	for _, s := range m.full {
		m.drop(s, err)
	}
	m.full = nil
	if m.open != nil {
		m.drop(m.open, err)
		m.open = nil
	}
	for p, l := range m.logs {
		l.gone = true
		delete(m.logs, p)
	}
}

func (m *Machine) drop(s *Slot, err error) {
	m.bytes -= s.Bytes
	m.batches -= s.Batches
	m.failAll(s, err)
	m.out[0].Dropped = append(m.out[0].Dropped, s)
}

func (m *Machine) failAll(s *Slot, err error) {
	for _, w := range s.waits {
		if w.req != nil {
			m.fail(w.req, int(w.item), err)
		}
	}
	s.waits = nil
}

// expire answers requests whose time is up. Their records stay where they are and
// are committed when their slots are (S2).
func (m *Machine) expire(now time.Time) {
	if m.waiting == 0 || m.due.IsZero() || now.Before(m.due) {
		return
	}
	m.due = time.Time{}
	for _, slots := range [...][]*Slot{m.flight, m.full, {m.open}} {
		for _, s := range slots {
			if s == nil {
				continue
			}
			for i := range s.waits {
				w := &s.waits[i]
				switch {
				case w.req == nil || w.req.deadline.IsZero():
				case !now.Before(w.req.deadline):
					m.fail(w.req, int(w.item), ErrTimedOut)
					w.req = nil
				case m.due.IsZero() || w.req.deadline.Before(m.due):
					m.due = w.req.deadline
				}
			}
		}
	}
}

func (m *Machine) succeed(r *Request, i int) {
	r.Results[i].Err = nil
	m.settle(r)
}

func (m *Machine) fail(r *Request, i int, err error) {
	r.Results[i].Base, r.Results[i].LogAppendTime, r.Results[i].Err = -1, -1, err
	m.settle(r)
}

func (m *Machine) settle(r *Request) {
	if r.waiting--; r.waiting == 0 {
		m.answer(r)
	}
}

func (m *Machine) answer(r *Request) {
	m.waiting--
	m.out[0].Answers = append(m.out[0].Answers, r)
}

package ingest

import (
	"slices"
	"time"

	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/record"
)

// Append takes a request. Each item gets an offset in the open slot, or an
// outcome at once. It returns how many slots refer to bytes of the request: the
// maker keeps them valid until each of these slots, which lists the request's
// token in Holds, is done with.
//
// Requests are appended in the order of the calls; so are the items of one.
func (m *Machine) Append(now time.Time, r *Request) (holds int) {
	if len(r.Results) != len(r.Items) {
		r.Results = make([]Result, len(r.Items))
	}
	r.waiting = len(r.Items)
	if r.Timeout > 0 {
		r.deadline = now.Add(r.Timeout)
		if m.waiting == 0 || m.due.IsZero() || r.deadline.Before(m.due) {
			m.due = r.deadline
		}
	}
	m.waiting++
	var last *Slot
	for i := range r.Items {
		s := m.item(now, r, i)
		if s != nil && s != last {
			s.Holds = append(s.Holds, r.Token)
			last = s
			holds++
		}
	}
	if len(r.Items) == 0 {
		m.answer(r)
	}
	return holds
}

// item appends one item and returns the slot that it was appended to.
func (m *Machine) item(now time.Time, r *Request, i int) *Slot {
	it, res := &r.Items[i], &r.Results[i]
	*res = Result{Base: -1, LogAppendTime: -1, LogStart: -1, Epoch: -1}
	l := m.logs[it.Partition]
	if l == nil || l.stopping || m.phase != Serving && m.phase != Draining {
		m.fail(r, i, ErrNotLeader)
		return nil
	}
	if m.Held(it.Partition) && !it.Restore {
		m.fail(r, i, ErrNotLeader)
		return nil
	}
	res.LogStart, res.Epoch = l.start, l.epoch
	h := &it.Header
	if it.Restore {
		if h.BaseOffset != l.next {
			m.fail(r, i, ErrOffset)
			return nil
		}
	}
	sent, again, err := l.appended.Check(h, m.dated(now))
	switch {
	case err != nil:
		m.fail(r, i, err)
		return nil
	case again && it.Restore: // its producer was quicker, and has it elsewhere
		m.fail(r, i, ErrOffset)
		return nil
	case again && !planted.Is(planted.NoDedupe):
		m.again(l, sent, r, i)
		return nil
	}
	s, p := m.place(now, l)
	base := l.next
	l.next += int64(h.LastOffsetDelta) + 1
	l.appended.Append(h, base, m.dated(now))
	p.Batches = append(p.Batches, Batch{Bytes: it.Batch, Header: *h, Base: base, Token: r.Token})
	p.Next = l.next
	n := int64(len(it.Batch))
	s.Bytes += n
	s.Batches++
	s.Records += int64(h.NumRecords)
	m.bytes += n
	m.batches++
	res.Base = base
	if h.LogAppendTime() {
		res.LogAppendTime = h.MaxTimestamp
	}
	switch {
	case r.Acks == AcksNone, planted.Is(planted.AckBeforePut):
		m.succeed(r, i)
	default:
		s.Sync = s.Sync || r.Acks == AcksLeader
		s.waits = append(s.waits, wait{r, int32(i)})
	}
	if s.Bytes >= m.cfg.Max {
		m.full = append(m.full, m.seal())
	}
	return s
}

// again answers a batch that was appended before with the outcome of that one
// (W6): at once when it is committed, else when its slot is.
func (m *Machine) again(l *plog, sent Sent, r *Request, i int) {
	r.Results[i].Base = sent.Base
	if r.Acks == AcksNone || sent.Last < l.hw {
		m.succeed(r, i)
		return
	}
	s := m.holder(l, sent.Last)
	if s == nil {
		panic("ingest: W1: an offset above the high watermark is in no slot")
	}
	s.Sync = s.Sync || r.Acks == AcksLeader && !s.bound
	s.waits = append(s.waits, wait{r, int32(i)})
	m.loosen() // perhaps the hot tier has it already
}

// holder finds the slot that holds an offset of a log and is not committed.
func (m *Machine) holder(l *plog, offset int64) *Slot {
	for _, slots := range [...][]*Slot{m.flight, m.full, {m.open}} {
		for _, s := range slots {
			if s == nil {
				continue
			}
			for i := range s.Parts {
				if p := &s.Parts[i]; p.log == l && p.Base <= offset && offset < p.Next {
					return s
				}
			}
		}
	}
	return nil
}

// place returns the open slot and the log's part in it.
func (m *Machine) place(now time.Time, l *plog) (*Slot, *Part) {
	if m.open == nil {
		m.open = &Slot{Opened: now}
	}
	s := m.open
	if l.slot != s {
		s.Parts = append(s.Parts, Part{Partition: l.id, Base: l.next, Next: l.next, log: l})
		l.slot, l.part = s, len(s.Parts)-1
	}
	return s, &s.Parts[l.part]
}

// bind gives a slot its number. From here on its bytes do not change (S2, W2).
func (m *Machine) bind(now time.Time, s *Slot) {
	s.Session, s.Seq = m.session, m.next
	m.next++
	s.sent, s.bound = now, true
	for i := range s.Parts {
		p := &s.Parts[i]
		p.Epoch = p.log.epoch // W8
		for j := range p.Batches {
			b := &p.Batches[j]
			record.Rebase(b.Bytes, b.Base, p.Epoch)
			b.Header.BaseOffset, b.Header.LeaderEpoch = b.Base, p.Epoch
		}
	}
	m.credit.spend()
	m.flight = append(m.flight, s)
	m.out[0].Puts = append(m.out[0].Puts, s)
}

// seal ends the open slot: it takes no more. Now, and not when it is bound, the
// producers stand as they do at the end of its parts.
func (m *Machine) seal() *Slot {
	s := m.open
	m.open = nil
	for i := range s.Parts {
		p := &s.Parts[i]
		p.log.slot = nil
		p.Producers = m.touched(p)
		m.complete(p)
	}
	return s
}

// completeEvery is how many runs of a partition may follow each other without one
// that names all producers: whoever rebuilds them reads at most so many footers
// (protocol.md 6), or an eighth of the number of producers when there are very many.
const completeEvery = 64

// complete makes the part name all producers of its partition, when these are the
// ones that appended, as usual, or when none has done so for long.
func (m *Machine) complete(p *Part) {
	l := p.log
	switch n := l.appended.Len(); {
	case len(p.Producers) == n:
	case l.partial < max(completeEvery, n/8):
		l.partial++
		return
	default:
		p.Producers = l.appended.all()
	}
	l.partial = 0
	p.Complete = true
}

// touched returns the producers that appended in a part, as they stand.
func (m *Machine) touched(p *Part) []Producer {
	m.pids = m.pids[:0]
	for i := range p.Batches {
		if id := p.Batches[i].Header.ProducerID; id >= 0 {
			m.pids = append(m.pids, id)
		}
	}
	if len(m.pids) == 0 {
		return nil
	}
	slices.Sort(m.pids)
	m.pids = slices.Compact(m.pids)
	out := make([]Producer, 0, len(m.pids))
	for _, id := range m.pids {
		if e, ok := p.log.appended.Lookup(id); ok {
			out = append(out, e)
		}
	}
	return out
}

// strip takes a log's part out of a slot that is not bound, and fails what waits
// for it.
func (m *Machine) strip(s *Slot, l *plog) {
	at := slices.IndexFunc(s.Parts, func(p Part) bool { return p.log == l })
	if at < 0 {
		return
	}
	p := &s.Parts[at]
	for i := range p.Batches {
		n := int64(len(p.Batches[i].Bytes))
		s.Bytes -= n
		m.bytes -= n
		m.batches--
		s.Batches--
		s.Records -= int64(p.Batches[i].Header.NumRecords)
	}
	s.Parts = slices.Delete(s.Parts, at, at+1)
	for i := range s.Parts {
		if q := s.Parts[i].log; q.slot == s {
			q.part = i
		}
	}
	for i := range s.waits {
		if w := &s.waits[i]; w.req != nil && w.req.Items[w.item].Partition == l.id {
			m.fail(w.req, int(w.item), ErrNotLeader)
			w.req = nil
		}
	}
	if len(s.Parts) > 0 {
		return
	}
	if s == m.open {
		m.open = nil
	} else {
		m.full = slices.DeleteFunc(m.full, func(f *Slot) bool { return f == s })
	}
	m.out[0].Dropped = append(m.out[0].Dropped, s)
}

package history

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Anomaly is something that a log must not do, or that is worth knowing.
type Anomaly struct {
	Name string
	Key  int // -1: of several keys
	What string
}

func (a Anomaly) String() string {
	if a.Key < 0 {
		return fmt.Sprintf("%s: %s", a.Name, a.What)
	}
	return fmt.Sprintf("%s: key %d: %s", a.Name, a.Key, a.What)
}

// Report is what became of a history.
type Report struct {
	Bad     []Anomaly // none of these may be
	Allowed []Anomaly // Kafka does these, too
	Sent    int       // values whose send was acknowledged
	Unsure  int       // values whose send had no definite answer
	Polled  int       // distinct values that were polled
	// Gap is the longest time between two acknowledged sends, and GapEnd when it ended.
	Gap, GapEnd time.Duration
}

// complaintsMost is how many anomalies are told one by one.
const complaintsMost = 20

// Complaints are what a test has to say of the report: what must not be, and that the
// history shows nothing when nothing was acknowledged or read.
func (r *Report) Complaints() []string {
	var out []string
	if r.Sent == 0 || r.Polled == 0 {
		out = append(out, "nothing was acknowledged or read: the history shows nothing")
	}
	for i, a := range r.Bad {
		if i == complaintsMost {
			out = append(out, fmt.Sprintf("and %d more", len(r.Bad)-i))
			break
		}
		out = append(out, a.String())
	}
	return out
}

// Check judges a history. It does not change it. It fails with ErrHistory.
func Check(lines []Op) (*Report, error) {
	c, err := pair(lines)
	if err != nil {
		return nil, err
	}
	j := &judge{
		calls: c, logs: map[int]*keyLog{}, writer: map[place]int{},
		polled: map[Type]map[place]bool{OK: {}, Fail: {}, Info: {}},
	}
	j.gather()
	j.agree()
	j.aborted()
	j.lost()
	j.unseen()
	j.polls()
	j.sends()
	j.cycles()
	return &j.report, nil
}

// place is a value of a key.
type place struct {
	key   int
	value int64
}

type judge struct {
	*calls
	report     Report
	logs       map[int]*keyLog
	writer     map[place]int // the operation that sent the value
	polled     map[Type]map[place]bool
	subscribed bool
}

// keyLog is what is known of one key's log.
type keyLog struct {
	at      map[int64][]int64 // values by offset, each once
	offsets []int64           // ascending
	first   map[int64]int     // the lowest rank of a value
	last    map[int64]int     // the highest
}

func (j *judge) bad(name string, key int, format string, args ...any) {
	j.report.Bad = append(j.report.Bad, Anomaly{name, key, fmt.Sprintf(format, args...)})
}

func (j *judge) allowed(name string, key int, format string, args ...any) {
	j.report.Allowed = append(j.report.Allowed, Anomaly{name, key, fmt.Sprintf(format, args...)})
}

// keys are those of the logs, in order.
func (j *judge) keys() []int { return slices.Sorted(maps.Keys(j.logs)) }

// gather fills what all rules look at.
func (j *judge) gather() {
	var acked time.Duration
	for i := range j.ends {
		e := &j.ends[i]
		j.subscribed = j.subscribed || e.Func == Subscribe
		sent := false
		for _, s := range e.Steps {
			if s.Send != nil {
				j.writer[place{s.Key, s.Send.Value}] = i
				switch e.Type {
				case OK:
					j.report.Sent++
					sent = true
				case Info:
					j.report.Unsure++
				}
			}
			for _, r := range s.Poll {
				j.polled[e.Type][place{s.Key, r.Value}] = true
			}
		}
		if sent {
			if gap := e.Time - acked; acked > 0 && gap > j.report.Gap {
				j.report.Gap, j.report.GapEnd = gap, e.Time
			}
			acked = e.Time
		}
	}
	j.report.Polled = len(j.polled[OK])
	for i := range j.ends {
		e := &j.ends[i]
		committed := j.committed(i)
		for _, s := range e.Steps {
			if s.Send != nil && s.Send.Offset >= 0 && committed {
				j.log(s.Key).add(*s.Send)
			}
			for _, r := range s.Poll {
				j.log(s.Key).add(r)
			}
		}
	}
	for _, l := range j.logs {
		l.rank()
	}
}

func (j *judge) log(key int) *keyLog {
	l := j.logs[key]
	if l == nil {
		l = &keyLog{at: map[int64][]int64{}, first: map[int64]int{}, last: map[int64]int{}}
		j.logs[key] = l
	}
	return l
}

func (l *keyLog) add(r Record) {
	if !slices.Contains(l.at[r.Offset], r.Value) {
		l.at[r.Offset] = append(l.at[r.Offset], r.Value)
	}
}

func (l *keyLog) rank() {
	l.offsets = slices.Sorted(maps.Keys(l.at))
	for rank, o := range l.offsets {
		for _, v := range l.at[o] {
			if _, ok := l.first[v]; !ok {
				l.first[v] = rank
			}
			l.last[v] = rank
		}
	}
}

// committed reports whether the operation must have happened: it was acknowledged,
// or somebody read what it sent.
func (j *judge) committed(i int) bool {
	e := &j.ends[i]
	if e.Type != Info {
		return e.Type == OK
	}
	for _, s := range e.Steps {
		if s.Send != nil && j.polled[OK][place{s.Key, s.Send.Value}] {
			return true
		}
	}
	return false
}

// agree: an offset holds one value, and a value is at one offset.
func (j *judge) agree() {
	for _, k := range j.keys() {
		l := j.logs[k]
		where := map[int64][]int64{}
		for _, o := range l.offsets {
			if len(l.at[o]) > 1 {
				j.bad("inconsistent-offsets", k, "offset %d holds %v", o, l.at[o])
			}
			for _, v := range l.at[o] {
				where[v] = append(where[v], o)
			}
		}
		for _, v := range slices.Sorted(maps.Keys(where)) {
			if len(where[v]) > 1 {
				j.bad("duplicate", k, "value %d is at offsets %v", v, where[v])
			}
		}
	}
}

// aborted: nobody reads what was definitely not written (G1a).
func (j *judge) aborted() {
	for i := range j.ends {
		e := &j.ends[i]
		if e.Type != Fail {
			continue
		}
		for _, s := range e.Steps {
			if s.Send != nil && j.polled[OK][place{s.Key, s.Send.Value}] {
				j.bad("G1a", s.Key, "value %d was read, and its send on line %d had failed", s.Send.Value, e.line+1)
			}
		}
	}
}

// lost: who has read up to a place of a log has been given all committed values
// before it.
func (j *judge) lost() {
	read := map[int]int{} // ranks, by key
	for p := range j.polled[OK] {
		read[p.key] = max(read[p.key], j.logs[p.key].first[p.value]+1)
	}
	for _, k := range j.keys() {
		l := j.logs[k]
		for rank := range read[k] {
			for _, v := range l.at[l.offsets[rank]] {
				w, known := j.writer[place{k, v}]
				if l.last[v] == rank && !j.polled[OK][place{k, v}] && known && j.committed(w) {
					j.bad("lost-write", k, "value %d at offset %d was sent on line %d and never read, unlike later ones", v, l.offsets[rank], j.ends[w].line+1)
				}
			}
		}
	}
}

// unseen: after the last polls, every acknowledged value was polled by somebody.
func (j *judge) unseen() {
	for i := range j.ends {
		e := &j.ends[i]
		if e.Type != OK {
			continue
		}
		for _, s := range e.Steps {
			if s.Send != nil && !j.polled[OK][place{s.Key, s.Send.Value}] {
				j.bad("unseen", s.Key, "value %d, acknowledged on line %d at offset %d, was never read", s.Send.Value, e.line+1, s.Send.Offset)
			}
		}
	}
}

// step is the distance in ranks from a value to one that came after it; 1 when a
// place is not known.
func (j *judge) step(key int, from, to int64) int {
	l := j.logs[key]
	if l == nil {
		return 1
	}
	a, ok := l.first[from]
	b, ok2 := l.first[to]
	if !ok || !ok2 {
		return 1
	}
	return b - a
}

// reader is what one process has read last, by key.
type reader map[int]int64

// polls: a consumer sees every value of its keys once, in order.
func (j *judge) polls() {
	across := j.bad
	if j.subscribed { // partitions come and go without being told here
		across = j.allowed
	}
	readers := map[int]reader{}
	for i := range j.ends {
		e := &j.ends[i]
		r := readers[e.Process]
		if r == nil {
			r = reader{}
			readers[e.Process] = r
		}
		if (e.Func == Assign || e.Func == Subscribe) && e.Type != Fail {
			maps.DeleteFunc(r, func(k int, _ int64) bool { return !slices.Contains(e.Keys, k) })
			continue
		}
		last := map[int]int64{}
		own := map[place]bool{}
		for _, s := range e.Steps {
			if s.Send != nil {
				own[place{s.Key, s.Send.Value}] = true
			}
		}
		for _, s := range e.Steps {
			for _, x := range s.Poll {
				if own[place{s.Key, x.Value}] {
					j.bad("precommitted-read", s.Key, "line %d reads its own value %d", e.line+1, x.Value)
				}
				if before, ok := last[s.Key]; ok {
					if !slices.Contains(e.Moved, s.Key) {
						j.distance(j.bad, "int-poll-skip", "int-nonmonotonic-poll", e, s.Key, before, x.Value)
					}
				} else if before, ok := r[s.Key]; ok {
					j.distance(across, "poll-skip", "nonmonotonic-poll", e, s.Key, before, x.Value)
				}
				last[s.Key] = x.Value
			}
		}
		if e.Type == OK {
			maps.Copy(r, last)
		}
	}
}

func (j *judge) distance(say func(string, int, string, ...any), skip, back string, e *end, key int, before, after int64) {
	switch d := j.step(key, before, after); {
	case d > 1:
		say(skip, key, "process %d goes from value %d to %d on line %d and leaves out %d", e.Process, before, after, e.line+1, d-1)
	case d < 1:
		say(back, key, "process %d goes from value %d back to %d on line %d", e.Process, before, after, e.line+1)
	}
}

// sends: the values of one producer are in the log in the order of its sends.
func (j *judge) sends() {
	writers := map[int]reader{}
	for i := range j.ends {
		e := &j.ends[i]
		if e.Type == Fail {
			continue
		}
		w := writers[e.Process]
		if w == nil {
			w = reader{}
			writers[e.Process] = w
		}
		last := map[int]int64{}
		for _, s := range e.Steps {
			if s.Send == nil {
				continue
			}
			v := s.Send.Value
			if before, ok := last[s.Key]; ok {
				switch d := j.step(s.Key, before, v); {
				case d > 1:
					j.allowed("int-send-skip", s.Key, "line %d sends %d and %d, and %d others are between them", e.line+1, before, v, d-1)
				case d < 1:
					j.bad("int-nonmonotonic-send", s.Key, "line %d sends %d before %d, which comes first in the log", e.line+1, before, v)
				}
			} else if before, ok := w[s.Key]; ok && j.step(s.Key, before, v) < 1 {
				j.bad("nonmonotonic-send", s.Key, "process %d sent %d before %d (line %d), which comes first in the log", e.Process, before, v, e.line+1)
			}
			last[s.Key] = v
		}
		maps.Copy(w, last)
	}
}

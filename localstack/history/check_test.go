package history

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// one expands completions into a history in which nothing overlaps.
func one(ends ...Op) []Op {
	var out []Op
	for _, e := range ends {
		begin := Op{Process: e.Process, Type: Invoke, Func: e.Func}
		begin.Time, e.Time = time.Duration(len(out)+1), time.Duration(len(out)+2)
		out = append(out, begin, e)
	}
	return out
}

// send is of key, value, offset, key, value, offset and so on.
func send(process int, t Type, kvo ...int64) Op {
	op := Op{Process: process, Type: t, Func: Send}
	for s := range slices.Chunk(kvo, 3) {
		op.Steps = append(op.Steps, Step{Key: int(s[0]), Send: &Record{Offset: s[2], Value: s[1]}})
	}
	return op
}

// poll is of offsets and values of one key.
func poll(process int, t Type, key int, ov ...int64) Op {
	s := Step{Key: key}
	for r := range slices.Chunk(ov, 2) {
		s.Poll = append(s.Poll, Record{Offset: r[0], Value: r[1]})
	}
	return Op{Process: process, Type: t, Func: Poll, Steps: []Step{s}}
}

func txn(process int, t Type, parts ...Op) Op {
	op := Op{Process: process, Type: t, Func: Txn}
	for _, p := range parts {
		op.Steps = append(op.Steps, p.Steps...)
	}
	return op
}

func assign(process int, f Func, keys ...int) Op {
	return Op{Process: process, Type: OK, Func: f, Keys: keys}
}

// all reads everything by a process that did nothing else.
func all(key int, ov ...int64) Op { return poll(99, OK, key, ov...) }

func TestAnomalies(t *testing.T) {
	moved := func(op Op, keys ...int) Op { op.Moved = keys; return op }
	abc := send(1, OK, 0, 10, 0, 0, 11, 1, 0, 12, 2)
	whole := all(0, 0, 10, 1, 11, 2, 12)
	for _, c := range []struct {
		name    string
		history []Op
		bad     string // names of what is found, in order
		allowed string
	}{
		{"nothing happened", nil, "", ""},
		{"all is well", one(abc, whole), "", ""},
		{"two polls disagree about an offset", one(send(1, OK, 0, 10, 0), send(2, Info, 0, 11, -1), all(0, 0, 10), poll(3, OK, 0, 0, 11)), "inconsistent-offsets", ""},
		{"a poll disagrees with the answer to a send", one(send(1, OK, 0, 10, 0), send(2, OK, 0, 11, 1), all(0, 0, 11, 1, 10)), "inconsistent-offsets inconsistent-offsets duplicate duplicate int-nonmonotonic-poll", ""},
		{"a poll that failed was given wrong data all the same", one(abc, whole, poll(3, Info, 0, 1, 12)), "inconsistent-offsets duplicate int-nonmonotonic-poll int-nonmonotonic-send", ""},
		{"offsets have gaps", one(send(1, OK, 0, 10, 5, 0, 11, 90), all(0, 5, 10, 90, 11)), "", ""},
		{"a retry was written twice", one(send(1, OK, 0, 10, 0), all(0, 0, 10, 1, 10)), "duplicate int-nonmonotonic-poll", ""},
		{"what failed is read", one(send(1, Fail, 0, 10, -1), all(0, 0, 10)), "G1a", ""},
		{"what nobody knows of is read", one(send(1, Info, 0, 10, -1), all(0, 0, 10)), "", ""},
		{"what nobody knows of is not read", one(send(1, Info, 0, 10, -1), all(0)), "", ""},
		{"an acknowledged value is left out by everybody", one(abc, all(0, 0, 10, 2, 12)), "lost-write unseen int-poll-skip", ""},
		{"half of an unknown send is there and half is not", one(send(1, Info, 0, 10, 0, 0, 11, 1), send(2, OK, 0, 12, 2), all(0, 0, 10), poll(3, OK, 0, 2, 12)), "lost-write", ""},
		{"an overwritten value is lost", one(send(1, OK, 0, 10, 0), send(2, OK, 0, 11, 0), all(0, 0, 11)), "inconsistent-offsets lost-write unseen", ""},
		{"the end of the log is missing", one(abc, all(0, 0, 10, 1, 11)), "unseen", ""},
		{"another key's reader does not see it", one(send(1, OK, 1, 10, 0), all(0, 0, 10)), "unseen", ""},
		{"a poll leaves a value out", one(abc, whole, poll(3, OK, 0, 0, 10), poll(3, OK, 0, 2, 12)), "poll-skip", ""},
		{"a poll leaves a value out in a group", one(abc, whole, assign(3, Subscribe, 0), poll(3, OK, 0, 0, 10), poll(3, OK, 0, 2, 12)), "", "poll-skip"},
		{"a poll goes back", one(abc, whole, poll(3, OK, 0, 0, 10, 1, 11), poll(3, OK, 0, 0, 10)), "nonmonotonic-poll", ""},
		{"a poll repeats", one(abc, whole, poll(3, OK, 0, 0, 10), poll(3, OK, 0, 0, 10)), "nonmonotonic-poll", ""},
		{"a failed poll is compared, and not what comes after it", one(abc, whole, poll(3, OK, 0, 0, 10), poll(3, Fail, 0, 2, 12), poll(3, OK, 0, 1, 11)), "poll-skip", ""},
		{"a key that was given up begins again", one(abc, whole, poll(3, OK, 0, 0, 10, 1, 11), assign(3, Assign, 1), assign(3, Assign, 0, 1), poll(3, OK, 0, 0, 10)), "", ""},
		{"a key that is kept goes on", one(abc, whole, poll(3, OK, 0, 0, 10, 1, 11), assign(3, Assign, 0, 1), poll(3, OK, 0, 0, 10)), "nonmonotonic-poll", ""},
		{"one poll leaves a value out", one(abc, whole, poll(3, OK, 0, 0, 10, 2, 12)), "int-poll-skip", ""},
		{"a rebalance within a poll", one(abc, whole, moved(poll(3, OK, 0, 0, 10, 2, 12), 0)), "", ""},
		{"one poll goes back", one(abc, whole, poll(3, OK, 0, 1, 11, 0, 10)), "int-nonmonotonic-poll", ""},
		{"a producer's sends change places", one(send(1, OK, 0, 10, 1), send(1, OK, 0, 11, 0), all(0, 0, 11, 1, 10)), "nonmonotonic-send", ""},
		{"two producers' sends need no order", one(send(1, OK, 0, 10, 1), send(2, OK, 0, 11, 0), all(0, 0, 11, 1, 10)), "", ""},
		{"a send's values change places", one(send(1, OK, 0, 10, 1, 0, 11, 0), all(0, 0, 11, 1, 10)), "int-nonmonotonic-send", ""},
		{"others come between a send's values", one(send(1, OK, 0, 10, 0, 0, 11, 2), send(2, OK, 0, 12, 1), all(0, 0, 10, 1, 12, 2, 11)), "", "int-send-skip G0"},
		{"a transaction reads what it has not committed", one(txn(1, OK, send(1, OK, 0, 10, 0), poll(1, OK, 0, 0, 10))), "precommitted-read", ""},
		{"two transactions read each other", one(
			txn(1, OK, send(1, OK, 0, 10, 0), poll(1, OK, 1, 0, 11)), txn(2, OK, send(2, OK, 1, 11, 0), poll(2, OK, 0, 0, 10)),
		), "G1c", ""},
		{"a process reads what it sends later", one(poll(1, OK, 0, 0, 10), send(1, OK, 0, 10, 0)), "G1c-process", ""},
		{"somebody reads what is sent later", one(poll(1, OK, 0, 0, 10), send(2, OK, 0, 10, 0)), "G1c-realtime", ""},
		{"somebody reads what is being sent", []Op{
			{Process: 2, Type: Invoke, Func: Send}, {Process: 1, Type: Invoke, Func: Poll},
			poll(1, OK, 0, 0, 10), send(2, OK, 0, 10, 0),
		}, "", ""},
		{"a send that never ended", append([]Op{send(2, Invoke, 0, 10, -1)}, one(all(0, 0, 10))...), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Check(c.history)
			if err != nil {
				t.Fatal(err)
			}
			names := func(as []Anomaly) string {
				var out []string
				for _, a := range as {
					out = append(out, a.Name)
				}
				return strings.Join(out, " ")
			}
			if names(r.Bad) != c.bad || names(r.Allowed) != c.allowed {
				t.Errorf("bad %q, allowed %q; want %q, %q\n%v\n%v", names(r.Bad), names(r.Allowed), c.bad, c.allowed, r.Bad, r.Allowed)
			}
		})
	}
}

func TestWhatIsCounted(t *testing.T) {
	h := one(send(1, OK, 0, 1, 0), send(1, OK, 0, 2, 1), send(2, Info, 0, 3, -1), all(0, 0, 1, 1, 2))
	h[3].Time = time.Second
	r, err := Check(h)
	if err != nil || r.Sent != 2 || r.Unsure != 1 || r.Polled != 2 || r.Gap != time.Second-2 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestWhatIsNoHistory(t *testing.T) {
	for name, h := range map[string][]Op{
		"ends before it begins":      {send(1, OK, 0, 1, 0)},
		"begins twice":               {{Type: Invoke, Func: Send}, {Type: Invoke, Func: Send}},
		"ends as something else":     {{Type: Invoke, Func: Send}, poll(0, OK, 0)},
		"goes on after its last":     append(one(send(1, Info, 0, 1, -1)), one(send(1, OK, 0, 2, 0))...),
		"is of a type that is none":  {{Type: "maybe", Func: Send}},
		"does what nobody has heard": {{Type: Invoke, Func: "eat"}},
	} {
		if _, err := Check(h); !errors.Is(err, ErrHistory) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(strings.NewReader("{}\n{\"t\":")); !errors.Is(err, ErrHistory) || !strings.Contains(err.Error(), "line 2") {
		t.Error(err)
	}
}

func TestLinesComeBackAsTheyWere(t *testing.T) {
	h := one(send(1, OK, 0, 10, 0), all(0, 0, 10), assign(4, Assign, 0))
	var b bytes.Buffer
	if err := Write(&b, h); err != nil {
		t.Fatal(err)
	}
	back, err := Read(&b)
	if err != nil || len(back) != len(h) {
		t.Fatal(back, err)
	}
	r, err := Check(back)
	if err != nil || len(r.Bad) > 0 || r.Polled != 1 {
		t.Error(r, err)
	}
}

// A judge that is slow with long histories is not asked.
func BenchmarkCheck(b *testing.B) {
	var ends []Op
	next := map[int]int64{}
	for i := range int64(100_000) {
		k := int(i % 16)
		ends = append(ends, send(int(i%8), OK, int64(k), i, next[k]), poll(100+k, OK, k, next[k], i))
		next[k]++
	}
	h := one(ends...)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := Check(h); err != nil || len(r.Bad) > 0 {
			b.Fatal(r.Bad, err)
		}
	}
}

package object

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/firnlog/firn/record"
	"pgregory.net/rapid"
)

// resummed is a header with the CRC that its bytes should have.
func resummed(h []byte) []byte {
	binary.LittleEndian.PutUint32(h[60:], crc32.Checksum(h[:60], castagnoli))
	return h
}

// plain are small batches that cost nothing to make.
func plain(r *rapid.T, base int64, epoch int32) []byte {
	var b record.Builder
	at := rapid.Int64Range(-1, 1<<42).Draw(r, "time")
	for range rapid.IntRange(1, 3).Draw(r, "records") {
		b.Add(at, nil, bytes.Repeat([]byte{'v'}, rapid.IntRange(0, 20000).Draw(r, "size")))
	}
	b.Until(int32(rapid.IntRange(0, 5).Draw(r, "until")))
	x, err := b.Build()
	if err != nil {
		r.Fatal(err)
	}
	record.Rebase(x, base, epoch)
	return x
}

func drawDetails(r *rapid.T, base, next int64) (p []Producer, a []Aborted) {
	any64 := rapid.Int64()
	for range rapid.IntRange(0, 3).Draw(r, "producers") {
		x := Producer{ID: any64.Draw(r, "id"), Epoch: rapid.Int16().Draw(r, "epoch"), TimestampMs: any64.Draw(r, "ms"), TxnStart: any64.Draw(r, "txn")}
		for range rapid.IntRange(0, 5).Draw(r, "batches") {
			first := rapid.Int64Range(base, next).Draw(r, "base")
			x.Batches = append(x.Batches, Produced{rapid.Int32().Draw(r, "seq"), rapid.Int32().Draw(r, "last"), first, first + rapid.Int64Range(0, math.MaxInt32).Draw(r, "n")})
		}
		p = append(p, x)
	}
	for range rapid.IntRange(0, 2).Draw(r, "aborted") {
		a = append(a, Aborted{any64.Draw(r, "pid"), any64.Draw(r, "first"), any64.Draw(r, "last")})
	}
	return p, a
}

// TestAnyRunsComeBack writes what is drawn, reads it in every way there is, and
// holds searches against a loop.
func TestAnyRunsComeBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := Header{Kind: Sealed, Session: rapid.Uint64().Draw(r, "job"), Slot: rapid.Uint64().Draw(r, "n"), Nonce: [16]byte{1}}
		var w bytes.Buffer
		gathered, streamed := NewEncoder(h, 99, nil), NewEncoder(h, 99, &w)
		var want int64
		for p := range int32(rapid.IntRange(0, 4).Draw(r, "partitions")) {
			base := rapid.Int64Range(0, 1<<40).Draw(r, "base")
			for epoch := range int32(rapid.IntRange(1, 2).Draw(r, "epochs")) {
				id := record.Partition{Topic: record.TopicID{byte(p / 2)}, Index: p}
				gathered.Begin(id, epoch, base)
				streamed.Begin(id, epoch, base)
				first, n := base, rapid.IntRange(0, 6).Draw(r, "batches")
				for range n {
					x := plain(r, base, epoch)
					hd, _ := record.ParseHeader(x)
					gathered.Append(hd, x)
					streamed.Append(hd, x)
					base = hd.NextOffset()
					want += int64(len(x))
				}
				if n > 0 {
					ps, as := drawDetails(r, first, base)
					gathered.Producers(ps)
					streamed.Producers(ps)
					gathered.Aborted(as)
					streamed.Aborted(as)
				}
				base += rapid.Int64Range(0, 3).Draw(r, "gap")
			}
		}
		runs, err := gathered.Finish()
		if _, err2 := streamed.Finish(); err != nil || err2 != nil {
			r.Fatal(err, err2)
		}
		b := join(gathered.Segments())
		if !bytes.Equal(b, w.Bytes()) || gathered.Size() != int64(len(b)) || gathered.Identity() != streamed.Identity() {
			r.Fatal("gathered and streamed differ")
		}
		got, read, bad := Verify(b)
		if bad != nil || got != h || len(read) != len(runs) {
			r.Fatal(bad, got)
		}
		var payload int64
		for i := range runs {
			if !reflect.DeepEqual(read[i], runs[i]) {
				r.Fatalf("%+v\n%+v", read[i], runs[i])
			}
			payload += runs[i].Len
		}
		if payload != want {
			r.Fatalf("%d bytes of batches, want %d", payload, want)
		}
		if size, err := SizeOf(b[len(b)-TrailerLen:]); err != nil || size != int64(len(b)) {
			r.Fatal(size, err)
		}
		if _, id, err := Identity(b); err != nil || id != gathered.Identity() {
			r.Fatal(id, err)
		}
		_, f, err := Open(b)
		if err != nil {
			r.Fatal(err)
		}
		for i, x := range runs {
			for _, offset := range []int64{x.Base - 1, x.Base, x.Next - 1, x.Next} {
				want := -1
				for j, y := range runs {
					if y.Partition == x.Partition && y.Base <= offset && offset < y.Next {
						want = j
					}
				}
				if got := f.Find(x.Partition, offset); got != want {
					r.Fatalf("offset %d beside run %d found in %d, want %d", offset, i, got, want)
				}
			}
		}
	})
}

func TestTheIndexIsSparse(t *testing.T) {
	xs := batches(t, 50, 100, 10, 1000) // 1 MB
	e := NewEncoder(Header{Kind: Segment}, 1, nil)
	e.Begin(record.Partition{}, 3, 50)
	for _, x := range xs {
		h, _ := record.ParseHeader(x)
		e.Append(h, x)
	}
	runs, _ := e.Finish()
	index := runs[0].Index
	if n := len(index); n < 25 || n > 34 || index[0] != (IndexEntry{50, 0, -1}) {
		t.Fatal(len(index), index[0])
	}
	for i, x := range index[1:] {
		if gap := x.Pos - index[i].Pos; gap < IndexEvery || gap > 2*IndexEvery {
			t.Fatalf("entry %d after %d bytes", i+1, gap)
		}
		if k := (x.Base - 50) / 10; x.MaxTimestamp != 1000*(k-1)+9 {
			t.Fatalf("entry at offset %d, after batch %d, says %d", x.Base, k-1, x.MaxTimestamp)
		}
	}
}

// TestCorruptLogicPanics: what a caller cannot mean never becomes an object.
func TestCorruptLogicPanics(t *testing.T) {
	p := func(i int32) record.Partition { return record.Partition{Index: i} }
	x := batches(t, 10, 1, 10, 5)[0]
	h, _ := record.ParseHeader(x)
	stale := h
	stale.BaseOffset = 20
	wal := func() *Encoder { return NewEncoder(Header{Kind: WAL}, 1, nil) }
	for name, f := range map[string]func(){
		"O1: partitions backwards": func() { e := wal(); e.Begin(p(2), 3, 10); e.Append(h, x); e.Begin(p(1), 3, 10) },
		"O1: offsets backwards":    func() { e := wal(); e.Begin(p(1), 3, 10); e.Append(h, x); e.Begin(p(1), 3, 19) },
		"O2: a gap":                func() { e := wal(); e.Begin(p(1), 3, 9); e.Append(h, x) },
		"O2: another epoch":        func() { e := wal(); e.Begin(p(1), 4, 10); e.Append(h, x) },
		"O2: half a batch":         func() { e := wal(); e.Begin(p(1), 3, 10); e.Append(h, x[:70]) },
		"O2: a stale header":       func() { e := wal(); e.Begin(p(1), 3, 20); e.Append(stale, x) },
		"O2: no run":               func() { wal().Append(h, x) },
		"O4: a run in a fence":     func() { NewEncoder(Header{Kind: Fence}, 1, nil).Begin(p(1), 3, 10) },
		"O4: a payload in a WAL":   func() { wal().Payload([]byte("x")) },
		"O4: two payloads":         func() { e := NewEncoder(Header{Kind: Index}, 1, nil); e.Payload(x); e.Payload(x) },
		"O4: a segment of two": func() {
			e := NewEncoder(Header{Kind: Segment}, 1, nil)
			e.Begin(p(1), 3, 10)
			e.Append(h, x)
			e.Begin(p(2), 3, 10)
		},
		"finished twice": func() { e := wal(); _, _ = e.Finish(); _, _ = e.Finish() },
	} {
		func() {
			defer func() {
				got := fmt.Sprint(recover())
				if want, _, _ := strings.Cut(name, ":"); !strings.Contains(got, want) {
					t.Errorf("%s: %v", name, got)
				}
			}()
			f()
		}()
	}
}

// full fails after some bytes.
type full struct{ room int }

var errFull = errors.New("no space left")

func (w *full) Write(b []byte) (int, error) {
	if w.room -= len(b); w.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestAWritersErrorIsFinishs(t *testing.T) {
	for _, room := range []int{0, 64, 1000, 3000} {
		e := NewEncoder(Header{Kind: WAL}, 1, &full{room})
		e.Begin(record.Partition{}, 3, 0)
		for _, x := range batches(t, 0, 10, 10, 30) {
			h, _ := record.ParseHeader(x)
			e.Append(h, x)
		}
		if _, err := e.Finish(); !errors.Is(err, errFull) {
			t.Fatal(room, err)
		}
	}
}

// broken is an object that cannot be read behind some byte.
type broken struct {
	b  []byte
	at int64
}

func (r broken) ReadAt(p []byte, off int64) (int, error) {
	if off <= r.at && r.at < off+int64(len(p)) {
		return 0, io.ErrUnexpectedEOF
	}
	return bytes.NewReader(r.b).ReadAt(p, off)
}

func TestWhatCannotBeReadIsNotVerified(t *testing.T) {
	e, _ := build(t, nil)
	b := join(e.Segments())
	for i := range b {
		if _, _, bad := VerifyAt(broken{b, int64(i)}, int64(len(b))); len(bad) == 0 || !errors.Is(bad[0], io.ErrUnexpectedEOF) {
			t.Fatalf("byte %d: %v", i, bad)
		}
	}
	if _, _, bad := VerifyAt(bytes.NewReader(b), int64(len(b))+1); len(bad) == 0 {
		t.Fatal("a size that is not the object's")
	}
}

// TestIdentityTellsObjectsApart: S3 takes an object for its own by it.
func TestIdentityTellsObjectsApart(t *testing.T) {
	seen := map[uint32]string{}
	for name, h := range map[string]Header{
		"a":               {Kind: Fence, Session: 1, Slot: 1},
		"another session": {Kind: Fence, Session: 2, Slot: 1},
		"another slot":    {Kind: Fence, Session: 1, Slot: 2},
		"another nonce":   {Kind: Fence, Session: 1, Slot: 1, Nonce: [16]byte{1}},
		"another fencer":  {Kind: Fence, Session: 1, Slot: 1, Fencer: [16]byte{1}},
		"another kind":    {Kind: WAL, Session: 1, Slot: 1},
	} {
		e := NewEncoder(h, 1, nil)
		if _, err := e.Finish(); err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[e.Identity()]; ok {
			t.Errorf("%s and %s have the identity %08x", name, other, e.Identity())
		}
		seen[e.Identity()] = name
	}
}

package object

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/firnlog/firn/record"
)

func batches(t testing.TB, base int64, n, records, size int) [][]byte {
	t.Helper()
	var out [][]byte
	for i := range n {
		var b record.Builder
		for r := range records {
			b.Add(int64(1000*i+r), []byte("k"), bytes.Repeat([]byte{'v'}, size))
		}
		x, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		record.Rebase(x, base, 3)
		base += int64(records)
		out = append(out, x)
	}
	return out
}

func build(t testing.TB, w *bytes.Buffer) (*Encoder, []Run) {
	t.Helper()
	h := Header{Kind: WAL, Session: 7, Slot: 9, Nonce: [16]byte{1, 2, 3}}
	var e *Encoder
	if w != nil {
		e = NewEncoder(h, 42, w)
	} else {
		e = NewEncoder(h, 42, nil)
	}
	for p := range int32(5) {
		e.Begin(record.Partition{Topic: record.TopicID{1}, Index: p}, 3, int64(p)*100)
		for _, b := range batches(t, int64(p)*100, int(p), 10, 20) {
			hd, _ := record.ParseHeader(b)
			e.Append(hd, b)
		}
		if p > 0 {
			e.Producers([]Producer{{ID: 4, Epoch: 1, TimestampMs: 77, TxnStart: -1, Batches: []Produced{{0, 9, 100, 109}, {10, 19, 110, 119}}}})
			e.Aborted([]Aborted{{4, 100, 120}})
		}
	}
	runs, err := e.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return e, runs
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	e, runs := build(t, nil)
	b := join(e.Segments())
	var streamed bytes.Buffer
	build(t, &streamed)
	if !bytes.Equal(b, streamed.Bytes()) || int64(len(b)) != e.Size() {
		t.Fatal("streamed and gathered objects differ")
	}
	h, got, bad := Verify(b)
	if bad != nil {
		t.Fatal(bad)
	}
	if h.Session != 7 || h.Slot != 9 || h.Kind != WAL || len(got) != 4 || !reflect.DeepEqual(got, runs) {
		t.Fatalf("%+v\n%+v\n%+v", h, got, runs)
	}
	tail := b[len(b)-TrailerLen-10:]
	if f, need, err := OpenFooter(tail, int64(len(b))); f != nil || err != nil || need <= int64(len(tail)) {
		t.Fatal(f, need, err)
	} else if f, _, err = OpenFooter(b[int64(len(b))-need:], int64(len(b))); err != nil || f.Find(record.Partition{Topic: record.TopicID{1}, Index: 2}, 215) != 1 || f.Find(record.Partition{Topic: record.TopicID{1}, Index: 2}, 230) != -1 || f.Find(record.Partition{}, 0) != -1 {
		t.Fatal(err)
	}
	if _, id, err := Identity(b); err != nil || id != e.Identity() {
		t.Fatal(err)
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) { // O3
	e, _ := build(t, nil)
	b := join(e.Segments())
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 0x10
		if _, _, bad := Verify(c); len(bad) == 0 {
			t.Fatalf("byte %d of %d can change unnoticed", i, len(b))
		}
	}
	for n := range len(b) {
		if _, _, bad := Verify(b[:n]); len(bad) == 0 {
			t.Fatalf("the object can be cut to %d bytes unnoticed", n)
		}
	}
}

func TestFencesAndIndexes(t *testing.T) {
	f := EncodeFence(5, 6, [16]byte{1}, [16]byte{2}, 42)
	h, runs, bad := Verify(f)
	if bad != nil || len(runs) != 0 || h.Kind != Fence || h.Session != 5 || h.Slot != 6 || h.Fencer != [16]byte{2} {
		t.Fatal(h, runs, bad)
	}
	x := EncodeIndex(5, 6, [16]byte{1}, 42, []byte("payload"))
	if p, err := DecodeIndex(x, 5, 6); err != nil || string(p) != "payload" {
		t.Fatal(err)
	}
	for _, other := range [][2]uint64{{5, 7}, {4, 6}} {
		if _, err := DecodeIndex(x, other[0], other[1]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("taken for number %d of job %d: %v", other[1], other[0], err)
		}
	}
	if _, _, bad := Verify(x); bad != nil {
		t.Fatal(bad)
	}
}

package record

import (
	"bytes"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestMarkersAreKafkas(t *testing.T) {
	for _, want := range []EndTxn{{Abort, 0}, {Commit, 7}, {Commit, 1 << 30}} {
		b := NewEndTxn(want, 4711, 3, 1000)
		h, err := CheckStored(b)
		if err != nil || !h.Control() || !h.Transactional() || h.Idempotent() || h.ProducerID != 4711 || h.ProducerEpoch != 3 || h.NumRecords != 1 {
			t.Fatal(err, h)
		}
		if _, err := Check(b, Limits{}); !errors.Is(err, ErrInvalidRecord) {
			t.Fatal("a client may not end transactions by itself:", err)
		}
		it := Iterate(h, b, nil)
		it.Next()
		key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyType(want.Marker)}
		value := kmsg.EndTxnMarker{CoordinatorEpoch: want.CoordinatorEpoch}
		if !bytes.Equal(it.Record.Key, key.AppendTo(nil)) || !bytes.Equal(it.Record.Value, value.AppendTo(nil)) {
			t.Fatalf("%x %x", it.Record.Key, it.Record.Value)
		}
		if got, ok, err := ParseEndTxn(h, b, nil); got != want || !ok || err != nil {
			t.Fatal(got, ok, err)
		}
	}
}

func TestOtherControlRecordsArePassedOver(t *testing.T) {
	control := func(key, value []byte) ([]byte, Header) {
		b := Builder{Template: Header{Attributes: attrControl}}
		b.Add(1, key, value)
		out, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		h, _ := ParseHeader(out)
		return out, h
	}
	b, h := control([]byte{0, 0, 0, 2}, nil) // a new leader
	if _, ok, err := ParseEndTxn(h, b, nil); ok || err != nil {
		t.Fatal(ok, err)
	}
	plain := batch(t, None, 1)
	h, _ = ParseHeader(plain)
	if _, ok, err := ParseEndTxn(h, plain, nil); ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, kv := range [][2][]byte{{nil, nil}, {{0, 0, 0}, nil}, {{0, 0, 0, 1}, {0, 0, 0}}} {
		b, h := control(kv[0], kv[1])
		if _, ok, err := ParseEndTxn(h, b, nil); ok || !errors.Is(err, ErrInvalidRecord) {
			t.Fatal(kv, ok, err)
		}
	}
}

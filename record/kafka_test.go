package record

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// drawn is a batch that kmsg wrote, with the records that it wrote into it.
type drawn struct {
	bytes   []byte
	records []kmsg.Record
	batch   kmsg.RecordBatch
}

func drawBatch(r *rapid.T) drawn {
	bytesOrNull := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 40))
	var d drawn
	var body []byte
	base := rapid.Int64Range(0, 1<<42).Draw(r, "time")
	delta, newest := int32(-1), int64(math.MinInt64)
	for range rapid.IntRange(1, 12).Draw(r, "records") {
		delta += int32(rapid.IntRange(1, 3).Draw(r, "step")) // gaps, as compaction leaves them
		k := kmsg.Record{OffsetDelta: delta, Key: bytesOrNull.Draw(r, "key"), Value: bytesOrNull.Draw(r, "value")}
		if len(d.records) > 0 {
			k.TimestampDelta64 = rapid.Int64Range(-1000, 1<<33).Draw(r, "delta")
		}
		for range rapid.IntRange(0, 3).Draw(r, "headers") {
			k.Headers = append(k.Headers, kmsg.Header{Key: rapid.StringN(0, 10, 20).Draw(r, "name"), Value: bytesOrNull.Draw(r, "header")})
		}
		newest = max(newest, base+k.TimestampDelta64)
		raw := k.AppendTo(nil)[1:] // without its length, which is 0 so far
		k.Length = int32(len(raw))
		body = append(binary.AppendVarint(body, int64(len(raw))), raw...)
		d.records = append(d.records, k)
	}
	d.batch = kmsg.RecordBatch{
		FirstOffset: rapid.Int64Range(0, 1<<50).Draw(r, "offset"), PartitionLeaderEpoch: rapid.Int32Range(0, 99).Draw(r, "epoch"), Magic: 2,
		LastOffsetDelta: delta + int32(rapid.IntRange(0, 2).Draw(r, "beyond")), FirstTimestamp: base, MaxTimestamp: newest,
		ProducerID: rapid.Int64Range(-1, 1<<40).Draw(r, "pid"), ProducerEpoch: 3, FirstSequence: rapid.Int32Min(0).Draw(r, "seq"),
		NumRecords: int32(len(d.records)), Records: body,
	}
	d.batch.Length = int32(HeaderLen - Overhead + len(body))
	d.bytes = d.batch.AppendTo(nil)
	d.batch.CRC = int32(CRC(d.bytes))
	d.bytes = d.batch.AppendTo(nil)
	return d
}

// same holds our reading of a batch against what kmsg wrote.
func same(r *rapid.T, h Header, b []byte, want []kmsg.Record) {
	it := Iterate(h, b, new(Decoder))
	i := 0
	for ; it.Next(); i++ {
		k, got := want[i], it.Record
		if got.OffsetDelta != k.OffsetDelta || got.TimestampDelta != k.TimestampDelta64 || got.NumHeaders() != len(k.Headers) {
			r.Fatalf("record %d: %+v, want %+v", i, got, k)
		}
		equal(r, got.Key, k.Key)
		equal(r, got.Value, k.Value)
		j := 0
		for name, v := range got.HeaderViews {
			if string(name) != k.Headers[j].Key {
				r.Fatalf("record %d: header %d is %q, want %q", i, j, name, k.Headers[j].Key)
			}
			equal(r, v, k.Headers[j].Value)
			j++
		}
	}
	if it.Err() != nil || i != len(want) {
		r.Fatal(i, it.Err())
	}
}

// dated holds a batch with a delete horizon against what it was, as Kafka's clients read it.
func dated(r *rapid.T, was Header, b []byte, records []kmsg.Record, horizon int64) {
	g, err := CheckStored(b)
	if err != nil {
		r.Fatal(err)
	}
	if ms, ok := g.DeleteHorizon(); !ok || ms != horizon {
		r.Fatalf("the delete horizon is %d, %v", ms, ok)
	}
	want := make([]kmsg.Record, len(records))
	for i, k := range records {
		k.TimestampDelta64 += was.BaseTimestamp - horizon
		want[i] = k
	}
	same(r, g, b, want)
	unlike := g
	unlike.Length, unlike.CRC, unlike.Attributes, unlike.BaseTimestamp = was.Length, was.CRC, was.Attributes, was.BaseTimestamp
	if unlike != was {
		r.Fatalf("%+v\n%+v", g, was)
	}
}

// TestABuilderDatesWhatKafkasClientsRead is the horizon of a batch that is built, and of
// that one alone.
func TestABuilderDatesWhatKafkasClientsRead(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := Builder{Codec: Codec(rapid.IntRange(0, 4).Draw(r, "codec"))}
		var records []kmsg.Record
		base := rapid.Int64Range(-1, 1<<42).Draw(r, "time")
		for i := range int32(rapid.IntRange(1, 9).Draw(r, "records")) {
			k := kmsg.Record{OffsetDelta: i, Key: []byte{byte(i)}}
			if i > 0 {
				k.TimestampDelta64 = rapid.Int64Range(-1<<33, 1<<33).Draw(r, "delta")
			}
			records = append(records, k)
		}
		build := func() []byte {
			for _, k := range records {
				b.Add(base+k.TimestampDelta64, k.Key, k.Value)
			}
			out, err := b.Build()
			if err != nil {
				r.Fatal(err)
			}
			return out
		}
		plain := build()
		h, _ := ParseHeader(plain)
		horizon := rapid.Int64().Draw(r, "horizon")
		b.DeleteHorizon(horizon)
		dated(r, h, build(), records, horizon)
		if again := build(); !bytes.Equal(again, plain) {
			r.Fatalf("%x\n%x", again, plain)
		}
	})
}

func equal(r *rapid.T, got, want []byte) {
	if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
		r.Fatalf("%#v, want %#v: null and empty are not the same", got, want)
	}
}

func TestWhatKafkasClientsWriteIsRead(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := drawBatch(r)
		h, err := CheckStored(d.bytes)
		if err != nil {
			r.Fatal(err)
		}
		k := d.batch
		want := Header{
			BaseOffset: k.FirstOffset, Length: k.Length, LeaderEpoch: k.PartitionLeaderEpoch, Magic: 2, CRC: uint32(k.CRC),
			LastOffsetDelta: k.LastOffsetDelta, BaseTimestamp: k.FirstTimestamp, MaxTimestamp: k.MaxTimestamp,
			ProducerID: k.ProducerID, ProducerEpoch: k.ProducerEpoch, BaseSequence: k.FirstSequence, NumRecords: k.NumRecords,
		}
		if h != want {
			r.Fatalf("%+v\n%+v", h, want)
		}
		same(r, h, d.bytes, d.records)
		put := make([]byte, HeaderLen)
		if h.put(put); !bytes.Equal(put, d.bytes[:HeaderLen]) {
			r.Fatalf("%x", put)
		}
	})
}

// TestRewritingChangesOnlyWhatItSays takes batches with gaps, nulls and headers
// through everything that makes batches of batches (R3, R4).
func TestRewritingChangesOnlyWhatItSays(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := drawBatch(r)
		h, _ := ParseHeader(d.bytes)
		c := Codec(rapid.IntRange(0, 4).Draw(r, "codec"))
		b, err := Recompress(h, d.bytes, new(Decoder), c)
		if err != nil {
			r.Fatal(err)
		}
		g, err := CheckStored(b)
		if err != nil || g.Codec() != c {
			r.Fatal(err, g)
		}
		same(r, g, b, d.records)
		unlike := g
		unlike.Length, unlike.CRC, unlike.Attributes = h.Length, h.CRC, h.Attributes
		if unlike != h {
			r.Fatalf("%+v\n%+v", g, h)
		}

		mask := rapid.Uint32().Draw(r, "keep")
		keep := func(x Record) bool { return mask>>(x.OffsetDelta%32)&1 == 1 }
		var left []kmsg.Record
		newest := h.MaxTimestamp
		for _, k := range d.records {
			if !keep(Record{OffsetDelta: k.OffsetDelta}) {
				continue
			}
			if ts := h.BaseTimestamp + k.TimestampDelta64; len(left) == 0 || ts > newest {
				newest = ts
			}
			left = append(left, k)
		}
		f, err := new(Compressor).Filter(g, b, new(Decoder), keep)
		if err != nil {
			r.Fatal(err)
		}
		e, err := CheckStored(f)
		if err != nil || e.BaseOffset != h.BaseOffset || e.LastOffset() != h.LastOffset() || e.ProducerID != h.ProducerID ||
			e.BaseSequence != h.BaseSequence || e.LastSequence() != h.LastSequence() || e.LeaderEpoch != h.LeaderEpoch || e.MaxTimestamp != newest {
			r.Fatalf("%v\n%+v\n%+v", err, e, h)
		}
		same(r, e, f, left)

		horizon := rapid.Int64().Draw(r, "horizon")
		z, err := new(Compressor).SetDeleteHorizon(g, b, new(Decoder), horizon)
		if err != nil {
			r.Fatal(err)
		}
		dated(r, h, z, d.records, horizon)

		before := bytes.Clone(f)
		Rebase(f, 77, 8)
		if e, err = CheckStored(f); err != nil || e.BaseOffset != 77 || e.LeaderEpoch != 8 || !bytes.Equal(f[16:], before[16:]) || !bytes.Equal(f[8:12], before[8:12]) {
			r.Fatal(err, e)
		}
	})
}

func TestMaxAtFindsWhatALoopFinds(t *testing.T) { // kafka.md 37
	rapid.Check(t, func(r *rapid.T) {
		d := drawBatch(r)
		stamped := rapid.Bool().Draw(r, "log append time")
		if stamped {
			StampLogAppendTime(d.bytes, d.batch.MaxTimestamp+5)
		}
		h, err := CheckStored(d.bytes)
		if err != nil {
			r.Fatal(err)
		}
		at := func(k kmsg.Record) int64 {
			if stamped {
				return h.MaxTimestamp
			}
			return h.BaseTimestamp + k.TimestampDelta64
		}
		newest := 0
		for i, k := range d.records {
			if at(k) > at(d.records[newest]) {
				newest = i
			}
		}
		off, ts, ok, err := MaxAt(h, d.bytes, new(Decoder))
		if err != nil || !ok || off != h.BaseOffset+int64(d.records[newest].OffsetDelta) || ts != at(d.records[newest]) {
			r.Fatal(off, ts, ok, err)
		}
	})
}

// TestBuilderCopiesALogWithItsGaps writes anew what it reads, byte for byte.
func TestBuilderCopiesALogWithItsGaps(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := drawBatch(r)
		h, _ := ParseHeader(d.bytes)
		b := Builder{Template: h, HasProducer: true}
		b.Start(h.BaseOffset)
		it := Iterate(h, d.bytes, nil)
		for it.Next() {
			var headers []KeyValue
			it.Record.Headers(func(k string, v []byte) { headers = append(headers, KeyValue{k, v}) })
			b.AddAt(it.Record.OffsetDelta, it.Timestamp(), it.Record.Key, it.Record.Value, headers...)
		}
		b.Until(h.LastOffsetDelta)
		out, err := b.Build()
		if err != nil || !bytes.Equal(out, d.bytes) {
			r.Fatalf("%v\n%x\n%x", err, out, d.bytes)
		}
	})
}

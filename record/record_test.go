package record

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func batch(t testing.TB, c Codec, n int) []byte {
	t.Helper()
	b := Builder{Codec: c}
	for i := range n {
		b.Add(1000+int64(i), fmt.Appendf(nil, "key-%d", i%7), bytes.Repeat([]byte{byte('a' + i%26)}, 1+i%50), KeyValue{"h", []byte("v")})
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBatchesAreKafkas(t *testing.T) {
	for c := None; c <= Zstd; c++ {
		b := batch(t, c, 100)
		var k kmsg.RecordBatch
		if err := k.ReadFrom(b); err != nil {
			t.Fatal(err)
		}
		if k.NumRecords != 100 || k.LastOffsetDelta != 99 || k.CRC != int32(crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli))) {
			t.Fatalf("%s: %+v", c, k)
		}
		raw, err := kgo.DefaultDecompressor().Decompress(k.Records, kgo.CompressionCodecType(c))
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		var first kmsg.Record
		if err := first.ReadFrom(raw); err != nil || string(first.Key) != "key-0" || first.Headers[0].Key != "h" {
			t.Fatalf("%s: %v %+v", c, err, first)
		}
		h, err := Check(b, Limits{MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckRecords(h, b, new(Decoder), true); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClientsCompressionIsUnderstood(t *testing.T) { // kafka.md 24
	body := batch(t, None, 200)[HeaderLen:]
	for c := Gzip; c <= Zstd; c++ {
		codec := []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}[c-1]
		comp, err := kgo.DefaultCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		var dst bytes.Buffer
		out, _ := comp.Compress(&dst, body)
		got, err := new(Decoder).Decompress(c, out)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%s: %v", c, err)
		}
	}
	// xerial framing, as Java producers send snappy
	framed := append([]byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}, 0, 0, 0, 0)
	block, _ := new(Compressor).compress(Snappy, 0, body)
	framed[19], framed[18], framed[17] = byte(len(block)), byte(len(block)>>8), byte(len(block)>>16)
	got, err := new(Decoder).Decompress(Snappy, append(framed, block...))
	if err != nil || !bytes.Equal(got, body) {
		t.Fatal(err)
	}
}

func TestCheckRefusesWhatKafkaRefuses(t *testing.T) { // kafka.md 21, 22
	good := batch(t, None, 10)
	mutate := func(f func(b []byte, h *Header)) []byte {
		b := bytes.Clone(good)
		h, _ := ParseHeader(b)
		f(b, &h)
		h.put(b)
		h.CRC = CRC(b)
		h.put(b)
		return b
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		b    []byte
		l    Limits
		want error
	}{
		"empty":              {nil, Limits{}, ErrCorrupt},
		"cut":                {good[:len(good)-1], Limits{}, ErrCorrupt},
		"flipped bit":        {flipped, Limits{}, ErrCorrupt},
		"two batches":        {append(bytes.Clone(good), good...), Limits{}, ErrInvalidRecord},
		"too large":          {good, Limits{MaxBytes: len(good) - 1}, ErrTooLarge},
		"old format":         {mutate(func(_ []byte, h *Header) { h.Magic = 1 }), Limits{}, ErrUnsupportedMagic},
		"unknown codec":      {mutate(func(_ []byte, h *Header) { h.Attributes |= 5 }), Limits{}, ErrUnsupportedCodec},
		"control":            {mutate(func(_ []byte, h *Header) { h.Attributes |= attrControl }), Limits{}, ErrInvalidRecord},
		"lying count":        {mutate(func(_ []byte, h *Header) { h.NumRecords = 9 }), Limits{}, ErrInvalidRecord},
		"no records":         {mutate(func(_ []byte, h *Header) { h.NumRecords, h.LastOffsetDelta = 0, -1 }), Limits{}, ErrInvalidRecord},
		"absurd count":       {mutate(func(_ []byte, h *Header) { h.NumRecords, h.LastOffsetDelta = 1<<30, 1<<30-1 }), Limits{}, ErrInvalidRecord},
		"future":             {mutate(func(_ []byte, h *Header) { h.MaxTimestamp = 5000 }), Limits{Now: 1000, AfterMax: 3999, BeforeMax: 1 << 40}, ErrInvalidTimestamp},
		"past":               {good, Limits{Now: 9000, AfterMax: 1, BeforeMax: 7999}, ErrInvalidTimestamp},
		"producer, no epoch": {mutate(func(_ []byte, h *Header) { h.ProducerID, h.ProducerEpoch = 4, -1 }), Limits{}, ErrInvalidRecord},
	} {
		if _, err := Check(c.b, c.l); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	b := Builder{}
	b.Add(1, []byte("k"), nil)
	b.Add(1, nil, []byte("v"))
	b.Add(9, []byte("k"), nil)
	b.Add(1, nil, []byte("v"))
	nullKeys, _ := b.Build()
	h, _ := ParseHeader(nullKeys)
	var bad BadRecords
	if err := CheckRecords(h, nullKeys, new(Decoder), true); !errors.As(err, &bad) || len(bad) != 2 || bad[0].Index != 1 || bad[1].Index != 3 || !errors.Is(err, ErrInvalidRecord) {
		t.Fatal(err)
	}
	late := Limits{Now: 5, AfterMax: 1, BeforeMax: -1}
	_, err := Check(nullKeys, late)
	if err = NameUntimely(h, nullKeys, new(Decoder), late, err); !errors.As(err, &bad) || len(bad) != 1 || bad[0].Index != 2 || !errors.Is(err, ErrInvalidTimestamp) || errors.Is(err, ErrInvalidRecord) {
		t.Fatal(err)
	}
}

// A batch of a few KiB can hold a million bad records.
func TestBadRecordsAreToldOfUpToABound(t *testing.T) {
	b := Builder{Codec: Zstd}
	for range 3 * maxBadRecords {
		b.Add(1, nil, nil)
	}
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	h, _ := ParseHeader(batch)
	var bad BadRecords
	if err := CheckRecords(h, batch, new(Decoder), true); !errors.As(err, &bad) || len(bad) != maxBadRecords {
		t.Fatalf("%d of %d records in %d bytes", len(bad), h.NumRecords, len(batch))
	}
}

func TestRebaseAndLogAppendTime(t *testing.T) { // kafka.md 23
	b := batch(t, Zstd, 5)
	Rebase(b, 1<<40, 7)
	h, err := Check(b, Limits{})
	if err != nil || h.BaseOffset != 1<<40 || h.LeaderEpoch != 7 {
		t.Fatal(err, h)
	}
	StampLogAppendTime(b, 9999)
	h, err = CheckStored(b)
	if err != nil || !h.LogAppendTime() || h.MaxTimestamp != 9999 {
		t.Fatal(err, h)
	}
	if _, err := Check(b, Limits{}); !errors.Is(err, ErrInvalidTimestamp) {
		t.Fatal("a client may not say when the broker appended:", err)
	}
	it := Iterate(h, b, new(Decoder))
	for it.Next() {
		if it.Timestamp() != 9999 {
			t.Fatal(it.Timestamp())
		}
	}
}

func TestTheNewestTimestampIsFound(t *testing.T) { // kafka.md 37
	b := batch(t, Gzip, 100)
	Rebase(b, 500, 0)
	h, _ := ParseHeader(b)
	if off, ts, ok, _ := MaxAt(h, b, new(Decoder)); off != 599 || ts != 1099 || !ok {
		t.Fatal(off, ts)
	}
}

func TestFilterKeepsOffsetsAndEnds(t *testing.T) { // kafka.md 52
	b := batch(t, LZ4, 10)
	Rebase(b, 100, 3)
	h, _ := ParseHeader(b)
	out, err := new(Compressor).Filter(h, b, new(Decoder), func(r Record) bool { return r.OffsetDelta%3 == 0 })
	if err != nil {
		t.Fatal(err)
	}
	g, err := ParseHeader(out)
	if err != nil || g.BaseOffset != 100 || g.LastOffset() != 109 || g.NumRecords != 4 || g.CRC != CRC(out) {
		t.Fatal(err, g)
	}
	it := Iterate(g, out, new(Decoder))
	var offs []int64
	for it.Next() {
		offs = append(offs, it.Offset())
	}
	if fmt.Sprint(offs) != "[100 103 106 109]" || it.Err() != nil {
		t.Fatal(offs, it.Err())
	}
	if out, err = new(Compressor).Filter(h, b, new(Decoder), func(Record) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if g, _ = ParseHeader(out); g.NumRecords != 0 || g.LastOffset() != 109 || len(out) != HeaderLen {
		t.Fatal(g)
	}
}

func TestSequencesWrap(t *testing.T) { // kafka.md 26
	if s := AddSequence(1<<31-1, 1); s != 0 {
		t.Fatal(s)
	}
	if s := AddSequence(1<<31-3, 5); s != 2 {
		t.Fatal(s)
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := Builder{Codec: Codec(rapid.IntRange(0, 4).Draw(r, "codec"))}
		type kv struct{ k, v []byte }
		var want []kv
		for range rapid.IntRange(1, 20).Draw(r, "n") {
			x := kv{rapid.SliceOf(rapid.Byte()).Draw(r, "k"), rapid.SliceOf(rapid.Byte()).Draw(r, "v")}
			b.Add(rapid.Int64Range(0, 1<<40).Draw(r, "ts"), x.k, x.v)
			want = append(want, x)
		}
		out, err := b.Build()
		if err != nil {
			r.Fatal(err)
		}
		h, err := Check(out, Limits{})
		if err != nil {
			r.Fatal(err)
		}
		it := Iterate(h, out, new(Decoder))
		for i := 0; it.Next(); i++ {
			if !bytes.Equal(it.Record.Key, want[i].k) || !bytes.Equal(it.Record.Value, want[i].v) {
				r.Fatal(i)
			}
		}
		if it.Err() != nil {
			r.Fatal(it.Err())
		}
	})
}

// TestAHeaderOfAnotherBatchIsRefused holds reading to the slice that it is given:
// what lies behind it in memory is another client's (R1).
func TestAHeaderOfAnotherBatchIsRefused(t *testing.T) {
	b := batch(t, None, 10)
	h, _ := ParseHeader(b)
	for n := range len(b) {
		it := Iterate(h, b[:n], nil)
		if it.Next() || !errors.Is(it.Err(), ErrCorrupt) {
			t.Fatalf("read %d bytes as a batch of %d: %v", n, len(b), it.Err())
		}
		if _, err := Recompress(h, b[:n], nil, Gzip); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	}
	h.Length = -5
	if it := Iterate(h, b, nil); it.Next() || it.Err() == nil {
		t.Fatal("a negative length")
	}
}

func TestStoredBatchesAreChecked(t *testing.T) {
	for name, f := range map[string]func(h *Header){
		"more records than offsets": func(h *Header) { h.NumRecords = 11 },
		"a negative count":          func(h *Header) { h.NumRecords = -1 },
		"an absurd count":           func(h *Header) { h.NumRecords, h.LastOffsetDelta = 1<<30, 1<<30 },
		"no offsets":                func(h *Header) { h.NumRecords, h.LastOffsetDelta = 0, -2 },
		"a negative offset":         func(h *Header) { h.BaseOffset = -1 },
		"an offset that overflows":  func(h *Header) { h.BaseOffset = 1<<63 - 5 },
		"an unknown codec":          func(h *Header) { h.Attributes = 6 },
	} {
		b := batch(t, None, 10)
		h, _ := ParseHeader(b)
		f(&h)
		h.put(b)
		h.CRC = CRC(b)
		h.put(b)
		if _, err := CheckStored(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := batch(t, None, 10)
	b[len(b)-1] ^= 1
	if _, err := CheckStored(b); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if _, err := CheckStored(append(batch(t, None, 10), 0)); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

func TestFewBytesDoNotTakeManyOffsets(t *testing.T) { // Check, compressed
	for c := Gzip; c <= Zstd; c++ {
		b := batch(t, c, 10)
		h, _ := ParseHeader(b)
		h.NumRecords, h.LastOffsetDelta = 1<<31-1, 1<<31-2
		h.put(b)
		h.CRC = CRC(b)
		h.put(b)
		if _, err := Check(b, Limits{}); !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("%s: %d bytes took %d offsets: %v", c, len(b), h.NumRecords, err)
		}
	}
}

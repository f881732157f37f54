package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"
)

// pressed is src in a codec.
func pressed(t testing.TB, c Codec, src []byte) []byte {
	t.Helper()
	b, err := new(Compressor).compress(c, 0, src)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b)
}

// allocated is the bytes that fn allocates, all told.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestBombsAreRefused(t *testing.T) { // R2
	zeros := make([]byte, MaxDecompressed+1)
	for c := Gzip; c <= Zstd; c++ {
		b := pressed(t, c, zeros)
		var err error
		spent := allocated(func() { _, err = new(Decoder).Decompress(c, b) })
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %d bytes became more than %d: %v", c, len(b), MaxDecompressed, err)
		}
		// Buffers double, so all of them together are twice the last.
		if most := uint64(2*limit(len(b)) + 20<<20); spent > most {
			t.Errorf("%s: %d bytes took %d bytes of memory, want %d", c, len(b), spent, most)
		}
		t.Logf("%-6s %8d bytes, allowed %8d, took %9d, %v", c, len(b), limit(len(b)), spent, err)
	}
}

func TestAHundredfoldIsTheMost(t *testing.T) { // R2
	for c := Gzip; c <= Zstd; c++ {
		free := make([]byte, FreeRatio)
		if out, err := new(Decoder).Decompress(c, pressed(t, c, free)); err != nil || len(out) != len(free) {
			t.Errorf("%s: %d zeros are no attack: %d, %v", c, len(free), len(out), err)
		}
		b := pressed(t, c, make([]byte, 8*FreeRatio))
		_, err := new(Decoder).Decompress(c, b)
		if tooMuch := limit(len(b)) < 8*FreeRatio; tooMuch != errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %d of %d: %v", c, len(b), 8*FreeRatio, err)
		}
	}
}

func TestSizesThatLieTakeNoMemory(t *testing.T) { // R2
	frame := binary.LittleEndian.AppendUint32([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x50}, 60<<20)
	snappy := binary.AppendUvarint(nil, 60<<20)
	framed := append(append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1), 0xff, 0xff, 0xff, 0xff, 1)
	for name, x := range map[string]struct {
		c Codec
		b []byte
	}{
		"zstd content size":  {Zstd, append(frame, 1, 0, 0)},
		"snappy length":      {Snappy, append(snappy, 0, 0, 0)},
		"xerial block":       {Snappy, framed},
		"xerial, no blocks":  {Snappy, append(bytes.Clone(xerial), 0, 0, 0)},
		"zstd, nothing":      {Zstd, []byte{0x28, 0xb5}},
		"gzip, nothing":      {Gzip, []byte{0x1f, 0x8b}},
		"lz4, nothing":       {LZ4, []byte{4, 0x22, 0x4d}},
		"a codec from space": {7, []byte{1}},
	} {
		var err error
		spent := allocated(func() { _, err = new(Decoder).Decompress(x.c, x.b) })
		if err == nil || spent > 2*FreeRatio {
			t.Errorf("%s: took %d bytes, %v", name, spent, err)
		}
	}
}

func TestZstdWindowsAreBounded(t *testing.T) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithWindowSize(2*MaxWindow), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // more than a window, in pieces, so that its size is not known before
		if _, err := z.Write(bytes.Repeat([]byte{byte(i)}, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := new(Decoder).Decompress(Zstd, b.Bytes()); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "window") {
		t.Fatal(err)
	}
}

// TestPoolsOutliveBubbles holds what is pooled to be usable in and out of
// testing/synctest's bubbles: other packages' tests run there.
func TestPoolsOutliveBubbles(t *testing.T) {
	for c := None; c <= Zstd; c++ {
		b := batch(t, c, 10)
		h, _ := ParseHeader(b)
		dec, z := new(Decoder), new(Compressor)
		use := func() {
			if err := CheckRecords(h, b, dec, true); err != nil {
				t.Error(c, err)
			}
			if _, err := z.Recompress(h, b, dec, c, 0); err != nil {
				t.Error(c, err)
			}
		}
		synctest.Test(t, func(*testing.T) { use() })
		use()
		synctest.Test(t, func(*testing.T) { use() })
	}
}

func TestDecodersAreReusedAfterFaults(t *testing.T) {
	dec := new(Decoder)
	for c := Gzip; c <= Zstd; c++ {
		good := pressed(t, c, bytes.Repeat([]byte("snow "), 1000))
		for n := range good {
			if out, err := dec.Decompress(c, good[:n]); err == nil && len(out) == 5000 {
				if c != LZ4 && c != Zstd || n < len(good)-8 { // their checksum may be missing, not their data
					t.Errorf("%s: %d bytes of %d were enough", c, n, len(good))
				}
			}
			if out, err := dec.Decompress(c, good); err != nil || len(out) != 5000 {
				t.Fatalf("%s: after a fault at %d: %v", c, n, err)
			}
		}
	}
}

func TestLevelsAreKafkas(t *testing.T) { // KIP-390
	src := batch(t, None, 500)[HeaderLen:]
	z := new(Compressor)
	for c, levels := range map[Codec][]int{Gzip: {-1, 0, 1, 9, 99}, LZ4: {0, 1, 9, 12, 17}, Zstd: {-131072, 0, 1, 3, 7, 22}} {
		for _, level := range levels {
			b, err := z.compress(c, level, src)
			if err != nil {
				t.Fatalf("%s %d: %v", c, level, err)
			}
			if got, err := new(Decoder).Decompress(c, b); err != nil || !bytes.Equal(got, src) {
				t.Fatalf("%s %d: %v", c, level, err)
			}
		}
	}
	if fmt.Sprint(lz4Level(1), lz4Level(17)) != "Level1 Level9" {
		t.Fatal(lz4Level(1), lz4Level(17))
	}
}

// TestWhatIsWrittenCanBeRead is R2 from the other side: records that compress better than
// is believed of a batch, as when compaction gathers small batches into one.
func TestWhatIsWrittenCanBeRead(t *testing.T) {
	const n = 20
	zeros := make([]byte, FreeRatio/n+1000)
	for c := None; c <= Zstd; c++ {
		b := Builder{Codec: c}
		for range n {
			b.Add(1, []byte("k"), zeros)
		}
		built, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		h, err := CheckStored(built)
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		if err := CheckRecords(h, built, new(Decoder), true); err != nil {
			t.Errorf("%s: what Build has written: %v", c, err)
			continue
		}
		kept, err := new(Compressor).Filter(h, built, new(Decoder), func(r Record) bool { return r.OffsetDelta != 3 })
		if err != nil {
			t.Fatal(err)
		}
		if h, err = CheckStored(kept); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		it := Iterate(h, kept, new(Decoder))
		left := 0
		for it.Next() {
			left++
		}
		if it.Err() != nil || left != n-1 {
			t.Errorf("%s: what Filter has written: %d records, %v", c, left, it.Err())
		}
	}
}

package record

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// spare is what any function may allocate beside 16 times its input: pools that
// fill, and what the test itself takes.
const spare = 1 << 20

func seeds(f *testing.F) {
	for c := None; c <= Zstd; c++ {
		f.Add(batch(f, c, 20))
	}
	f.Add(NewEndTxn(EndTxn{Commit, 3}, 1, 2, 3))
	f.Add([]byte{})
}

// mended is b with the length and the CRC that its bytes should have, so that
// the fuzzer gets behind them.
func mended(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) >= HeaderLen {
		binary.BigEndian.PutUint32(b[8:], uint32(len(b)-Overhead))
		b[16] = 2
		binary.BigEndian.PutUint32(b[17:], CRC(b))
	}
	return b
}

func FuzzCheck(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, b := range [][]byte{in, mended(in)} {
			spent := allocated(func() {
				h, err := Check(b, Limits{MaxBytes: 1 << 20, Now: 5})
				if err == nil && (h.Size() != len(b) || h.NumRecords != h.LastOffsetDelta+1 || h.Control() || h.LogAppendTime()) {
					t.Errorf("%+v", h)
				}
				if _, stored := CheckStored(b); err == nil && stored != nil && h.BaseOffset >= 0 && h.BaseOffset < 1<<62 {
					t.Errorf("a client's batch passes and the log's does not: %v", stored)
				}
				for rest := b; len(rest) > 0 && err == nil; {
					_, _, rest, err = Next(rest)
				}
			})
			if spent > uint64(16*len(b)+spare) {
				t.Errorf("%d bytes took %d", len(b), spent)
			}
		}
	})
}

func FuzzIterate(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		b := mended(in)
		h, err := ParseHeader(b)
		if err != nil {
			return
		}
		dec := BorrowDecoder()
		defer dec.Return()
		most := uint64(16*len(b) + spare)
		if h.Codec() != None {
			most += uint64(3*limit(len(b)) + 16<<20)
		}
		spent := allocated(func() {
			n := int32(0)
			it := Iterate(h, b, dec)
			for it.Next() {
				n++
				if it.Record.OffsetDelta > h.LastOffsetDelta {
					t.Errorf("offset delta %d of %d", it.Record.OffsetDelta, h.LastOffsetDelta)
				}
				for k := range it.Record.HeaderViews {
					if k == nil {
						t.Error("a header without a key")
					}
				}
			}
			if it.Err() == nil && n != h.NumRecords {
				t.Errorf("%d records of %d", n, h.NumRecords)
			}
			whole := it.Err() == nil
			if err := CheckRecords(h, b, dec, true); err == nil && !whole {
				t.Error("checked, and cannot be read")
			}
			_, _, _, _ = MaxAt(h, b, dec)
			_, _, _ = ParseEndTxn(h, b, dec)
			for _, short := range []int{len(b) / 2, HeaderLen} { // a header of other bytes
				for it := Iterate(h, b[:short], dec); it.Next(); {
				}
			}
		})
		if spent > most {
			t.Errorf("%d bytes of %s took %d, want %d", len(b), h.Codec(), spent, most)
		}
		if out, err := new(Compressor).SetDeleteHorizon(h, b, dec, 9); err == nil {
			if g, err := ParseHeader(out); err != nil || g.LastOffset() != h.LastOffset() || g.NumRecords != h.NumRecords {
				t.Error(err, g)
			}
		}
		out, err := new(Compressor).Filter(h, b, dec, func(r Record) bool { return r.OffsetDelta%2 == 0 })
		if err != nil {
			return
		}
		if g, err := ParseHeader(out); err != nil || g.LastOffset() != h.LastOffset() || g.BaseOffset != h.BaseOffset {
			t.Error(err, g)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	for c := Gzip; c <= Zstd; c++ {
		f.Add(uint8(c), pressed(f, c, bytes.Repeat([]byte("firn "), 300)))
	}
	f.Add(uint8(Snappy), append(append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4), pressed(f, Snappy, []byte("ab"))...))
	f.Fuzz(func(t *testing.T, c uint8, b []byte) {
		dec := new(Decoder)
		var out []byte
		var err error
		spent := allocated(func() { out, err = dec.Decompress(Codec(c), b) })
		if Codec(c) != None && len(out) > limit(len(b)) {
			t.Errorf("%d bytes became %d", len(b), len(out))
		}
		// Buffers double; LZ4 and zstd have blocks and a window beside them.
		if most := uint64(3*limit(len(b)) + 16<<20); spent > most {
			t.Errorf("%s: %d bytes took %d, want %d", Codec(c), len(b), spent, most)
		}
		if again, err2 := dec.Decompress(Codec(c), b); (err == nil) != (err2 == nil) || len(again) != len(out) {
			t.Errorf("%s: %d bytes, %v; then %d, %v", Codec(c), len(out), err, len(again), err2)
		}
	})
}

package object

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"testing"

	"github.com/firnlog/firn/record"
)

// allocated is the bytes that fn allocates, all told.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const spare = 1 << 20

func FuzzHeader(f *testing.F) {
	for k := WAL; k <= Index; k++ {
		f.Add(Header{Kind: k, Session: 1 << 60, Slot: 3, Nonce: [16]byte{4}, Fencer: [16]byte{5}}.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ParseHeader(b)
		if len(b) < HeaderLen {
			return
		}
		b = resummed(bytes.Clone(b[:HeaderLen]))
		if h, err := ParseHeader(b); err == nil && !bytes.Equal(h.Encode(), b) {
			t.Errorf("%x is read as %+v, which is %x", b, h, h.Encode())
		}
	})
}

// mended makes of any bytes an object whose checksums are right, so that the
// fuzzer gets to what they protect; at is where the footer begins.
func mended(b []byte, at, runs uint16) []byte {
	b = bytes.Clone(b)
	for len(b) < HeaderLen+TrailerLen {
		b = append(b, 0)
	}
	copy(b, magicHeader)
	b[4], b[6], b[7] = version, 0, 0
	copy(b[56:60], make([]byte, 4))
	resummed(b[:HeaderLen])
	end := len(b) - TrailerLen
	pos := HeaderLen + int(at)%(end-HeaderLen+1)
	n := min(int(runs), (end-pos)/runLen)
	if n == 0 {
		pos = end
	} else { // the last run's details end where the footer does
		binary.LittleEndian.PutUint32(b[pos+(n-1)*runLen+80:], uint32(end-pos-n*runLen))
	}
	trailer := Trailer{FooterPos: int64(pos), FooterLen: int64(end - pos), Runs: n}
	copy(b[end:], trailer.encode(b[:HeaderLen], b[pos:end]))
	return b
}

func FuzzFooter(f *testing.F) {
	e, _ := build(f, nil)
	f.Add(join(e.Segments()), uint16(e.trailer.FooterPos-HeaderLen), uint16(e.trailer.Runs))
	f.Add(EncodeFence(1, 2, [16]byte{}, [16]byte{}, 1), uint16(0), uint16(0))
	f.Add(EncodeIndex(1, 2, [16]byte{}, 1, []byte("payload")), uint16(7), uint16(1))
	f.Fuzz(func(t *testing.T, in []byte, at, runs uint16) {
		for i, b := range [][]byte{in, mended(in, at, runs)} {
			spent := allocated(func() {
				if _, err := SizeOf(b); i == 1 && err != nil {
					t.Error(err)
				}
				_, file, err := Open(b)
				if i == 1 && err != nil {
					if k := Kind(b[5]); k >= WAL && k <= Index {
						t.Error(err)
					}
					return
				}
				if err == nil {
					_, _ = file.Runs()
					file.Find(record.Partition{}, 3)
				}
				h, _ := ParseHeader(b)
				_, _ = DecodeIndex(b, h.Session, h.Slot)
			})
			if spent > uint64(16*len(b)+spare) {
				t.Errorf("%d bytes took %d", len(b), spent)
			}
		}
		b := mended(in, at, runs)
		spent := allocated(func() { _, _, _ = Verify(b) })
		// A run is read with a buffer of its own, and lying runs may overlap.
		if spent > uint64(16*len(b)*(1+int(runs))+spare) {
			t.Errorf("verify: %d bytes took %d", len(b), spent)
		}
	})
}

// TestDetailsThatLieTakeNoMemory gives counts that the bytes cannot hold.
func TestDetailsThatLieTakeNoMemory(t *testing.T) {
	run := Run{Base: 0, Next: 1 << 40, Len: 1 << 31}
	for _, prefix := range [][]byte{{}, {0}, {0, 0}, {0, 1, 2, 2, 2, 2}} {
		for _, n := range []uint64{1 << 40, 1 << 19, 1001} {
			b := binary.AppendUvarint(bytes.Clone(prefix), n)
			b = append(b, make([]byte, 1000)...)
			spent := allocated(func() {
				if _, err := decodeDetails(b, run); err == nil {
					t.Errorf("%x was read", b[:10])
				}
			})
			if spent > 16*uint64(len(b)) {
				t.Errorf("%d entries in %d bytes took %d", n, len(b), spent)
			}
		}
	}
	whole := append([]byte{0, 1, 2}, binary.AppendUvarint(nil, 1<<16)...) // an epoch of 17 bits
	if _, err := decodeDetails(append(whole, 2, 2, 0, 0), run); err == nil {
		t.Error("an epoch was cut to fit")
	}
	if crc32.Checksum(nil, castagnoli) != 0 {
		t.Error("an empty run has a CRC")
	}
}

package object

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// HeaderLen is the bytes of the header.
const HeaderLen = 64

const (
	version     = 1
	magicHeader = "FIRN"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind says what an object is.
type Kind uint8

// The kinds of objects.
const (
	WAL     Kind = 1 // one flush: runs of many partitions
	Sealed  Kind = 2 // pressed: runs of many partitions, sorted
	Segment Kind = 3 // pressed: one partition
	Fence   Kind = 4 // no runs: ends a session (S6)
	Index   Kind = 5 // a payload: extents pressed out of the catalog
)

// String is the kind's name in listings.
func (k Kind) String() string {
	switch k {
	case WAL:
		return "wal"
	case Sealed:
		return "sealed"
	case Segment:
		return "segment"
	case Fence:
		return "fence"
	case Index:
		return "index"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// hasRuns reports whether objects of the kind hold runs of batches.
func (k Kind) hasRuns() bool { return k == WAL || k == Sealed || k == Segment }

// Header is the first 64 bytes of every object.
type Header struct {
	Kind    Kind
	Session uint64   // or the job that wrote it
	Slot    uint64   // or the number within the job
	Nonce   [16]byte // of the process whose session or job it is
	Fencer  [16]byte // of a fence: the nonce of the process that put it
}

// Encode returns the header's bytes.
func (h Header) Encode() []byte {
	b := make([]byte, HeaderLen)
	copy(b, magicHeader)
	b[4], b[5] = version, byte(h.Kind)
	binary.LittleEndian.PutUint64(b[8:], h.Session)
	binary.LittleEndian.PutUint64(b[16:], h.Slot)
	copy(b[24:], h.Nonce[:])
	copy(b[40:], h.Fencer[:])
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// ParseHeader reads the header that b begins with. It fails with ErrCorrupt, or
// with ErrVersion when the header is whole and says what this program does not
// know.
func ParseHeader(b []byte) (Header, error) {
	var h Header
	if len(b) < HeaderLen || string(b[:4]) != magicHeader {
		return h, fmt.Errorf("%w: no header", ErrCorrupt)
	}
	if got, want := crc32.Checksum(b[:60], castagnoli), binary.LittleEndian.Uint32(b[60:]); got != want {
		return h, fmt.Errorf("%w: header: CRC-32C is %08x, want %08x", ErrCorrupt, got, want)
	}
	if b[4] != version {
		return h, fmt.Errorf("%w: version %d, this program knows %d", ErrVersion, b[4], version)
	}
	if binary.LittleEndian.Uint16(b[6:]) != 0 || binary.LittleEndian.Uint32(b[56:]) != 0 {
		return h, fmt.Errorf("%w: reserved bytes of the header are used", ErrVersion)
	}
	h.Kind = Kind(b[5])
	if h.Kind < WAL || h.Kind > Index {
		return h, fmt.Errorf("%w: %s", ErrVersion, h.Kind)
	}
	h.Session = binary.LittleEndian.Uint64(b[8:])
	h.Slot = binary.LittleEndian.Uint64(b[16:])
	copy(h.Nonce[:], b[24:])
	copy(h.Fencer[:], b[40:])
	return h, nil
}

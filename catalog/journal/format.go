package journal

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/firnlog/firn/catalog"
)

// Every object of the journal is one frame:
//
//	offset  size  field
//	0       4     magic "FIRJ"
//	4       1     version, 1
//	5       1     kind: 'E' entry, 'X' side object, 'S' snapshot, 'B' boundary
//	6       2     zero
//	8       8     number (entry n, snapshot n, boundary k), little endian
//	16      16    writer: nonce of the process that put it
//	32      8     seq: of the writer's puts, so that it knows its own (J2)
//	40      4     length of the payload
//	44      n     payload
//	44+n    4     CRC-32C of all that is before
//
// Payloads: E: 0 and the commands, or 1 and the name of the side object. X: the
// commands. S: catalog.State. B: two uvarints, the boundary and the snapshot at
// or above it.
const (
	frameMagic   = "FIRJ"
	frameVersion = 1
	frameHead    = 44

	kindEntry    = 'E'
	kindSide     = 'X'
	kindSnapshot = 'S'
	kindBoundary = 'B'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writer tells frames apart that were put for the same number.
type writer struct {
	nonce [16]byte
	seq   uint64
}

type frame struct {
	kind    byte
	number  uint64
	writer  writer
	payload []byte
}

func (f frame) encode() []byte {
	b := make([]byte, 0, frameHead+len(f.payload)+4)
	b = append(b, frameMagic...)
	b = append(b, frameVersion, f.kind, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, f.number)
	b = append(b, f.writer.nonce[:]...)
	b = binary.LittleEndian.AppendUint64(b, f.writer.seq)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.payload)))
	b = append(b, f.payload...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeFrame(b []byte, kind byte, number uint64) (frame, error) {
	var f frame
	if len(b) < frameHead+4 || string(b[:4]) != frameMagic {
		return f, fmt.Errorf("%w: not a journal object", catalog.ErrCorrupt)
	}
	if b[4] != frameVersion {
		return f, fmt.Errorf("%w: journal format: version %d, this program knows %d", catalog.ErrVersion, b[4], frameVersion)
	}
	n := len(b) - 4
	if got, want := crc32.Checksum(b[:n], castagnoli), binary.LittleEndian.Uint32(b[n:]); got != want {
		return f, fmt.Errorf("%w: CRC-32C is %08x, the object says %08x", catalog.ErrCorrupt, got, want)
	}
	f.kind, f.number = b[5], binary.LittleEndian.Uint64(b[8:])
	copy(f.writer.nonce[:], b[16:32])
	f.writer.seq = binary.LittleEndian.Uint64(b[32:])
	f.payload = b[frameHead:n]
	if int(binary.LittleEndian.Uint32(b[40:])) != len(f.payload) || f.kind != kind || f.number != number {
		return f, fmt.Errorf("%w: it says that it is %c %d with %d bytes", catalog.ErrCorrupt, f.kind, f.number, binary.LittleEndian.Uint32(b[40:]))
	}
	return f, nil
}

// Prefixes of the journal's objects.
const (
	PrefixEntries    = "catalog/journal/"
	PrefixSnapshots  = "catalog/snapshot/"
	PrefixBoundaries = "catalog/boundary/"
	PrefixSide       = "catalog/side/"
)

func numbered(prefix string, n uint64) string {
	return string(catalog.AppendNumber(append(make([]byte, 0, 64), prefix...), n))
}

// Name is the name of an entry's object.
func Name(entry uint64) string { return numbered(PrefixEntries, entry) }

func parseNumber(prefix, name string) (uint64, bool) {
	if len(name) != len(prefix)+20 || !strings.HasPrefix(name, prefix) {
		return 0, false
	}
	var n uint64
	for _, c := range name[len(prefix):] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

func sideName(w writer) string {
	return fmt.Sprintf("%s%s-%020d", PrefixSide, hex.EncodeToString(w.nonce[:]), w.seq)
}

// Entry is one entry of the journal, decoded.
type Entry struct {
	Number   uint64
	Writer   [16]byte
	Commands []catalog.Command
	size     int // bytes of the commands
}

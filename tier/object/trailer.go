package object

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// TrailerLen is the bytes of the trailer.
const TrailerLen = 32

const magicTrailer = "NRIF"

// Trailer is the last 32 bytes of every object.
type Trailer struct {
	FooterPos int64
	FooterLen int64
	Runs      int
	FooterCRC uint32
	// Identity tells whether two objects of one name are the same bytes (S3).
	Identity uint32
}

// encode writes the trailer.
func (t *Trailer) encode(header, footer []byte) []byte {
	b := make([]byte, TrailerLen)
	binary.LittleEndian.PutUint64(b, uint64(t.FooterPos))
	binary.LittleEndian.PutUint32(b[8:], uint32(t.FooterLen))
	binary.LittleEndian.PutUint32(b[12:], uint32(t.Runs))
	t.FooterCRC = crc32.Checksum(footer, castagnoli)
	binary.LittleEndian.PutUint32(b[16:], t.FooterCRC)
	t.Identity = identity(header, footer, b)
	binary.LittleEndian.PutUint32(b[20:], t.Identity)
	binary.LittleEndian.PutUint32(b[24:], crc32.Checksum(b[:24], castagnoli))
	copy(b[28:], magicTrailer)
	return b
}

// identity covers the header, the footer and where the trailer says that it is;
// and since the footer has the CRC of every run, it stands for the whole object
// without the payload being hashed twice. It leaves the CRCs of header and footer
// out: bytes followed by their own CRC have the same CRC whatever they are, so that
// with them every header would do.
func identity(header, footer, trailer []byte) uint32 {
	crc := crc32.Checksum(header[:60], castagnoli)
	crc = crc32.Update(crc, castagnoli, footer)
	return crc32.Update(crc, castagnoli, trailer[:16])
}

// ParseTrailer reads the trailer from the end of the object: b holds its last
// bytes, size is the whole object's.
func ParseTrailer(b []byte, size int64) (Trailer, error) {
	t, at, err := parseTrailer(b)
	if err == nil && at != size {
		err = fmt.Errorf("%w: %d bytes, but the trailer belongs to an object of %d", ErrCorrupt, size, at)
	}
	return t, err
}

// SizeOf is the size of an object by its own account, which its trailer's
// checksum vouches for: who has the end of an object need not ask how large it is.
// tail holds its last bytes.
func SizeOf(tail []byte) (int64, error) {
	_, size, err := parseTrailer(tail)
	return size, err
}

func parseTrailer(b []byte) (t Trailer, size int64, err error) {
	if len(b) < TrailerLen {
		return t, 0, fmt.Errorf("%w: %d bytes are too few for a trailer", ErrCorrupt, len(b))
	}
	b = b[len(b)-TrailerLen:]
	if string(b[28:]) != magicTrailer {
		return t, 0, fmt.Errorf("%w: no trailer: it is cut short, or not an object", ErrCorrupt)
	}
	if got, want := crc32.Checksum(b[:24], castagnoli), binary.LittleEndian.Uint32(b[24:]); got != want {
		return t, 0, fmt.Errorf("%w: trailer: CRC-32C is %08x, want %08x", ErrCorrupt, got, want)
	}
	t.FooterPos = int64(binary.LittleEndian.Uint64(b))
	t.FooterLen = int64(binary.LittleEndian.Uint32(b[8:]))
	t.Runs = int(binary.LittleEndian.Uint32(b[12:]))
	t.FooterCRC = binary.LittleEndian.Uint32(b[16:])
	t.Identity = binary.LittleEndian.Uint32(b[20:])
	if t.FooterPos < HeaderLen || t.FooterPos > 1<<60 || int64(t.Runs)*runLen > t.FooterLen {
		return t, 0, fmt.Errorf("%w: trailer: a footer of %d bytes at %d for %d runs", ErrCorrupt, t.FooterLen, t.FooterPos, t.Runs)
	}
	return t, t.FooterPos + t.FooterLen + TrailerLen, nil
}

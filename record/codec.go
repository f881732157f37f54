package record

import "fmt"

// Codec is how the records of a batch are compressed.
type Codec uint8

// The codecs, numbered as in the attributes.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// String is the codec's name in compression.type.
func (c Codec) String() string {
	switch c {
	case None:
		return "uncompressed"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// ParseCodec is the reverse of String.
func ParseCodec(s string) (Codec, bool) {
	for c := None; c <= Zstd; c++ {
		if c.String() == s {
			return c, true
		}
	}
	return None, false
}

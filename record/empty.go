package record

import "encoding/binary"

// Empty is a batch without records that spans the offsets [base, next), at most 2³¹ of
// them. It holds their place, so that consumers reach what is behind.
func Empty(base, next int64, epoch int32) []byte {
	b := make([]byte, HeaderLen)
	binary.BigEndian.PutUint32(b[8:], HeaderLen-Overhead)
	b[16] = 2
	binary.BigEndian.PutUint32(b[23:], uint32(next-1-base))
	for i := 27; i < 57; i++ { // no timestamps, producer, epoch or sequence: all are -1
		b[i] = 0xff
	}
	binary.BigEndian.PutUint32(b[17:], CRC(b))
	Rebase(b, base, epoch)
	return b
}

package record

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// crcFrom is where in a batch the bytes begin that its CRC is of.
const crcFrom = 21

// joinFrom is the length from which on joining costs less than reading the bytes.
const joinFrom = 512

// Extend returns the CRC-32C of what crc is of, followed by the batch. Of the batch
// it reads the first bytes alone: what Check or whoever built it has found about the
// rest is in the batch. So a batch is read once on its way in, and bytes that
// change in memory afterwards do not get a checksum that fits them.
func Extend(crc uint32, batch []byte) uint32 {
	if len(batch) < joinFrom {
		return crc32.Update(crc, castagnoli, batch)
	}
	head := crc32.Update(crc, castagnoli, batch[:crcFrom])
	return Join(head, binary.BigEndian.Uint32(batch[crcFrom-4:]), int64(len(batch)-crcFrom))
}

// Join returns the CRC-32C of two strings, one behind the other, by the CRC-32C of
// each and the length of the second. It takes some twenty nanoseconds.
func Join(a, b uint32, n int64) uint32 {
	// A CRC is the remainder of a polynomial over GF(2), and n bytes behind it
	// multiply it by x to the 8n. The complements at both ends of CRC-32 cancel out.
	s := shifts()
	for i := 0; n > 0; i, n = i+1, n>>4 {
		if d := n & 15; d > 0 {
			a = times(a, &s[i][d])
		}
	}
	return a ^ b
}

// factor is a polynomial to multiply with: its products with all polynomials of 4
// bits, in each of the eight places.
type factor [8][16]uint32

// shifts holds at [i][d] x to the 8·d·16^i: 128 KB, made in a millisecond when they
// are needed first.
var shifts = sync.OnceValue(func() *[16][16]factor {
	s := new([16][16]factor)
	power := uint32(1) << 23 // x^8, reflected: x^0 is the highest bit
	for i := range s {
		p := uint32(1) << 31 // 1
		for d := 1; d < 16; d++ {
			p = multiply(p, power)
			s[i][d] = factorOf(p)
		}
		power = multiply(p, power)
	}
	return s
})

func factorOf(p uint32) (f factor) {
	for place := range f {
		for bits := range f[place] {
			f[place][bits] = multiply(uint32(bits)<<(4*place), p)
		}
	}
	return f
}

// times is multiply by a factor.
func times(a uint32, f *factor) uint32 {
	return f[0][a&15] ^ f[1][a>>4&15] ^ f[2][a>>8&15] ^ f[3][a>>12&15] ^
		f[4][a>>16&15] ^ f[5][a>>20&15] ^ f[6][a>>24&15] ^ f[7][a>>28]
}

// multiply is the product of two reflected polynomials modulo Castagnoli's.
func multiply(a, b uint32) (p uint32) {
	for ; a != 0; a <<= 1 {
		if a>>31 != 0 {
			p ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.Castagnoli
		} else {
			b >>= 1
		}
	}
	return p
}

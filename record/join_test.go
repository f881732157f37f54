package record

import (
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJoinIsTheChecksumOfBoth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 15, 16, 17, 255, 256, 4095, 65536, 70_001, 1 << 20} {
		for range 5 {
			b := make([]byte, 100+n)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			first, second := b[:100], b[100:]
			require.Equal(t, crc32.Checksum(b, castagnoli), Join(crc32.Checksum(first, castagnoli), crc32.Checksum(second, castagnoli), int64(n)), n)
		}
	}
	// Behind 2^40 zero bytes, by doubling.
	want, zeros := crc32.Checksum([]byte("firn"), castagnoli), crc32.Checksum([]byte{0}, castagnoli)
	one := Join(want, zeros, 1)
	require.Equal(t, crc32.Checksum([]byte("firn\x00"), castagnoli), one)
	size := int64(1)
	for range 40 {
		zeros = Join(zeros, zeros, size)
		size *= 2
	}
	half := zeros
	require.Equal(t, Join(Join(want, half, size), half, size), Join(want, Join(half, half, size), 2*size))
}

func TestExtendIsTheChecksumOfTheBatch(t *testing.T) {
	for _, size := range []int{10, 1000, 3000, 40_000, 900_000} {
		var b Builder
		b.Add(0, nil, make([]byte, size))
		batch, err := b.Build()
		require.NoError(t, err)
		Rebase(batch, 12345, 6) // the first bytes change; the CRC does not cover them
		require.Equal(t, crc32.Update(77, castagnoli, batch), Extend(77, batch), size)
		if size > joinFrom { // a byte that changed in memory does not get a checksum that fits
			batch[size/2] ^= 1
			require.NotEqual(t, crc32.Update(77, castagnoli, batch), Extend(77, batch))
		}
	}
}

func BenchmarkExtend(b *testing.B) {
	for _, size := range []int{1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10, 512 << 10} {
		batch := make([]byte, size)
		b.Run("join", func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				Join(1, 2, int64(len(batch)-crcFrom))
			}
		})
		b.Run("read", func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				crc32.Update(1, castagnoli, batch)
			}
		})
	}
}

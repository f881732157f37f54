package coldtest

import (
	"fmt"
	"testing"

	"github.com/firnlog/firn/tier/cold"
)

// Benchmark puts bodies of many segments, as a flush of the write path does, and
// gets ranges into a buffer that is used again. Look at B/op and allocs/op: the
// times are those of the store behind.
func Benchmark(b *testing.B, s cold.Store) {
	for _, size := range []int{64 << 10, 1 << 20, 8 << 20} {
		var segments [][]byte
		for data := noise(1, size); len(data) > 0; {
			n := min(len(data), 16<<10)
			segments, data = append(segments, data[:n]), data[n:]
		}
		body := cold.Bytes(segments...)
		b.Run(fmt.Sprintf("put-%dKiB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				name := fmt.Sprintf("wal/%d/%020d", size, i)
				if err := s.PutIfAbsent(b.Context(), name, body); err != nil {
					b.Fatal(err)
				}
				if i >= 4 {
					b.StopTimer() // a bucket that keeps everything would fill the disk
					s.Delete(b.Context(), fmt.Sprintf("wal/%d/%020d", size, i-4))
					b.StartTimer()
				}
			}
			for info := range s.List(b.Context(), "wal/", "") {
				s.Delete(b.Context(), info.Name)
			}
		})
	}
	if err := s.PutIfAbsent(b.Context(), "wal/get", cold.Bytes(noise(1, 2<<20))); err != nil {
		b.Fatal(err)
	}
	for _, size := range []int64{64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("get-%dKiB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			buf := make([]byte, 0, size)
			for b.Loop() {
				if _, err := s.Get(b.Context(), "wal/get", cold.Range{Offset: 4096, Length: size}, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package doctor

import (
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/firnlog/firn/tier/cold"
)

// Latency is the name of the check that measures; its figures come in pairs, the
// p50 and the p99 of an operation and size.
const Latency = "latency"

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// latency measures puts and gets, one at a time, of the sizes that Firn uses: a
// lone record, a flush of light traffic, one of busy traffic, one at full speed.
func (p *patient) latency(ctx context.Context) {
	const check = Latency
	var figures []Figure
	for _, s := range []struct {
		label       string
		size        int
		quick, full int
	}{
		{"4 KiB", 4 << 10, 4, 30},
		{"64 KiB", 64 << 10, 4, 30},
		{"1 MiB", 1 << 20, 2, 15},
		{"8 MiB", 8 << 20, 0, 6},
	} {
		n := p.times(s.quick, s.full)
		if n == 0 {
			continue
		}
		puts, gets := make([]time.Duration, n), make([]time.Duration, n)
		var buf []byte
		for i := range n {
			name, body := p.name("latency/%d/%d", s.size, i), p.noise[:s.size]
			start := time.Now()
			if err := p.put(ctx, name, body); err != nil {
				p.badPut(check, err)
				return
			}
			puts[i] = time.Since(start)
			start = time.Now()
			var err error
			if buf, err = p.store.Get(ctx, name, cold.Whole, buf[:0]); err != nil {
				buf, err = p.get(ctx, name, cold.Whole)
			}
			gets[i] = time.Since(start)
			if err != nil {
				p.unreached(check, err)
				return
			}
			if !equal(buf, [][]byte{body}) {
				p.fail(check, Fatal, fmt.Sprintf("an object of %s came back with other bytes", s.label), "The store, its disks or something between damages data. Find the cause before you use it.")
				return
			}
		}
		figures = append(figures,
			milliseconds("put "+s.label+" p50", puts, 0.5), milliseconds("put "+s.label+" p99", puts, 0.99),
			milliseconds("get "+s.label+" p50", gets, 0.5), milliseconds("get "+s.label+" p99", gets, 0.99))
	}
	// A flush of light traffic has some ten KiB: its put is what a producer waits for.
	p.pass(check, fmt.Sprintf("an acknowledgement takes about %.3g ms here, one of a hundred %.3g ms", figures[4].Value, figures[5].Value), figures...)
}

func milliseconds(name string, took []time.Duration, q float64) Figure {
	sorted := slices.Sorted(slices.Values(took))
	return Figure{name, float64(sorted[int(q*float64(len(sorted)-1)+0.5)].Microseconds()) / 1000, "ms"}
}

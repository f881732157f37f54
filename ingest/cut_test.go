package ingest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestCut(t *testing.T) { // protocol.md 3.3
	free := Config{}.defaults()
	billed := Config{Rate: 8}.defaults()
	ms := time.Millisecond
	for _, c := range []struct {
		what string
		cfg  Config
		load load
		now  bool
		wait time.Duration
	}{
		{"nothing there", free, load{}, false, 0},
		{"nothing in flight", free, load{bytes: 1}, true, 0},
		{"nothing in flight, whatever a put takes", free, load{bytes: 1, usual: time.Second}, true, 0},
		{"small, beside another", free, load{bytes: 1, inFlight: 1, usual: 30 * ms}, false, 15 * ms},
		{"small, has waited", free, load{bytes: 1, inFlight: 1, usual: 30 * ms, age: 15 * ms}, true, 0},
		{"large, beside another", free, load{bytes: 1 << 20, inFlight: 1, usual: 30 * ms}, true, 0},
		{"large, window taken", free, load{bytes: 1 << 20, inFlight: 4}, false, 0},
		{"of the largest size, window taken", free, load{full: true, inFlight: 4}, false, 0},
		{"sick store", free, load{bytes: 1, inFlight: 1, usual: time.Minute}, false, longestWait},
		{"no credit", billed, load{bytes: 1, credit: 0}, false, 125 * ms},
		{"some credit", billed, load{bytes: 1, credit: 0.5}, false, 62500 * time.Microsecond},
		{"credit", billed, load{bytes: 1, credit: 1}, true, 0},
		{"large, no credit", billed, load{bytes: 2 << 20, inFlight: 1}, false, 125 * ms},
		{"of the largest size, no credit", billed, load{full: true}, true, 0},
	} {
		now, wait := c.cfg.cut(c.load)
		assert.Equal(t, c.now, now, c.what)
		assert.Equal(t, c.wait, wait, c.what)
	}
}

func TestPutsStayWithinTheBill(t *testing.T) {
	cfg := Config{Rate: 8}.defaults()
	var c credit
	puts := 0
	for now := t0; now.Before(t0.Add(time.Minute)); now = now.Add(time.Millisecond) {
		c.refill(&cfg, now)
		if due, _ := cfg.cut(load{bytes: 100, credit: c.amount}); due {
			c.spend()
			puts++
		}
	}
	assert.InDelta(t, 8*60+8*4, puts, 2)
}

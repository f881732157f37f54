package ingest

import (
	"math"
	"time"
)

// load is what the decision to cut looks at.
type load struct {
	inFlight int   // puts that are not decided
	full     bool  // an object of the largest size waits
	bytes    int64 // in the open object
	age      time.Duration
	usual    time.Duration // what a put usually takes
	credit   float64       // puts that the bill allows now
}

// longestWait bounds how long a batch waits for company: half of what a put
// usually takes is worth waiting for, but not when the store is sick.
const longestWait = 250 * time.Millisecond

// cut decides whether an object is cut now (protocol.md 3.3). When it is only a
// matter of time, it says how long; otherwise an answer to a put will bring the
// next decision.
func (c *Config) cut(l load) (now bool, wait time.Duration) {
	switch {
	case l.inFlight >= c.Window:
		return false, 0
	case l.full:
		return true, 0 // large objects are cheap for what they carry
	case l.bytes == 0:
		return false, 0
	}
	if l.inFlight > 0 && l.bytes < c.Large {
		wait = min(l.usual/2, longestWait) - l.age
	}
	if c.Rate > 0 && l.credit < 1 {
		// Rounded up: a timer must not find that a hair is missing.
		wait = max(wait, time.Duration(math.Ceil((1-l.credit)/c.Rate*1e9)))
	}
	return wait <= 0, max(wait, 0)
}

// credit is a token bucket of puts.
type credit struct {
	amount float64
	at     time.Time
}

func (c *credit) refill(cfg *Config, now time.Time) {
	if cfg.Rate <= 0 {
		return
	}
	most := max(1, cfg.Rate*cfg.Burst.Seconds())
	if c.at.IsZero() {
		c.amount = most
	} else if d := now.Sub(c.at); d > 0 {
		c.amount = min(most, c.amount+d.Seconds()*cfg.Rate)
	}
	c.at = now
}

// spend takes one put off. An object of the largest size may find nothing left.
func (c *credit) spend() { c.amount = max(0, c.amount-1) }

package ingest

import "time"

// Config steers the write path. The zero value of each field is its default.
type Config struct {
	// Window is how many puts may be in flight beside each other (W). Default 4:
	// one that is slow holds back those above it (S4), so more of them add
	// memory rather than speed.
	Window int
	// Large is the size in bytes from which on an object is cut although others
	// are in flight. Default 1 MiB: there a put costs about as much for its bytes
	// as for being a put.
	Large int64
	// Max is the size in bytes at which an object is always cut. Default 8 MiB.
	Max int64
	// Pending is the memory, about, that may wait for the bucket before Full says so (W7).
	// Default 64 MiB: a window of the largest objects, and as much again.
	Pending int64
	// Rate is how many puts per second the bill allows, and Burst how many seconds
	// of it may be saved up. Rate 0 is no limit. Default Burst 4 s. Objects of Max
	// bytes are put whatever the credit.
	Rate  float64
	Burst time.Duration
	// Producers is how many producer ids are remembered per partition. Default
	// 16,384: 2.5 MB. ProducerExpiry is producer.id.expiration.ms, default 1 day.
	Producers      int
	ProducerExpiry time.Duration
}

func (c Config) defaults() Config {
	if c.Window <= 0 {
		c.Window = 4
	}
	if c.Large <= 0 {
		c.Large = 1 << 20
	}
	if c.Max <= 0 {
		c.Max = 8 << 20
	}
	if c.Pending <= 0 {
		c.Pending = 64 << 20
	}
	if c.Burst <= 0 {
		c.Burst = 4 * time.Second
	}
	if c.Producers <= 0 {
		c.Producers = 16384
	}
	if c.ProducerExpiry <= 0 {
		c.ProducerExpiry = 24 * time.Hour
	}
	return c
}

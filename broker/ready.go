package broker

import (
	"fmt"
	"time"
)

// unready is why clients are better sent to another broker, empty when they are not. What
// is wrong with the bucket is wrong for all brokers alike: it counts once it has lasted so
// long that clients are failed anyway. Reads: the lease is over (S13). Writes: no put has
// succeeded for bucket.unready.ms, though something waits for one.
func (b *Broker) unready() string {
	if why := b.lease.why(); why != "" {
		return why
	}
	if d := b.starved(); d > 0 {
		why := fmt.Sprintf("no put to the bucket has succeeded for %s", d.Round(time.Millisecond))
		if err := b.settler.Trouble(); err != nil {
			why += ": " + err.Error()
		}
		return why
	}
	return ""
}

// starved is how long no put has succeeded though something waits; 0 unless that is
// bucket.unready.ms.
func (b *Broker) starved() time.Duration {
	if d := b.pump.Starving(); d >= b.values.Duration("bucket.unready.ms") {
		return d
	}
	return 0
}

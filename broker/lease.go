package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/firnlog/firn/planted"
)

// lease is how long a broker may serve what it knows without having reached the
// journal (S13, broker.session.timeout.ms). Whoever took its partitions meanwhile
// serves newer records and offsets than it knows of. It is about stale reads: writes
// are safe without it (S6).
type lease struct {
	limit   time.Duration
	contact func() time.Duration // since the journal was last known to be current
}

// renewal is how often the journal is looked at, so that one look that fails or is
// late costs no lease.
func (l lease) renewal() time.Duration { return min(time.Second, l.limit/4) }

// fresh reports whether the bucket answered the last look at the journal that was due.
func (l lease) fresh() bool { return l.contact() <= l.renewal()*5/4 }

// held reports whether the broker may serve as a leader. It does not block.
func (l lease) held() bool { return l.contact() < l.limit || planted.Is(planted.LeaseIgnored) }

// why is empty while the lease is held, or says what is wrong in a few words.
func (l lease) why() string {
	if c := l.contact(); c >= l.limit {
		return fmt.Sprintf("the journal in the bucket was not reached for %s", c.Round(time.Millisecond))
	}
	return ""
}

// watch calls changed with what held says whenever that has changed, until ctx ends.
func (l lease) watch(ctx context.Context, changed func(held bool)) {
	held := true
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := l.renewal()
		if held {
			next = max(next, l.limit-l.contact()) // it cannot end earlier
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if now := l.held(); now != held {
			held = now
			changed(held)
		}
	}
}

// leased tells those who do not ask for the lease themselves, and the operator.
func (b *Broker) leased(held bool) {
	if held {
		b.log.Info("the journal is reached again: serving as leader")
	} else {
		b.log.Error("not serving as leader", "why", b.lease.why())
	}
	b.groups.lead()
	b.show(nil)
}

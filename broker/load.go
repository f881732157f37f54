package broker

import (
	"sync/atomic"
	"time"

	"github.com/firnlog/firn/record"
)

// loadEvery is over what time a broker's load is measured.
const loadEvery = 10 * time.Second

// load is what clients write and read at this broker: bytes per second, over the last ten
// seconds. It is told to the others and to operators, and moves nothing: partitions are
// spread by their number, which does not change with the hour.
type load struct {
	bytes  atomic.Int64 // since the start
	second atomic.Int64 // as measured last

	// maintain's alone.
	at   time.Time
	then int64
}

// counting is count that counts here, too.
func (l *load) counting(count func(record.TopicID, int64, int64)) func(record.TopicID, int64, int64) {
	return func(topic record.TopicID, records, bytes int64) {
		l.bytes.Add(bytes)
		count(topic, records, bytes)
	}
}

// measure is called each second; true when there is a new reading.
func (l *load) measure(now time.Time) bool {
	if l.at.IsZero() {
		l.at, l.then = now, l.bytes.Load()
		return false
	}
	took := now.Sub(l.at)
	if took < loadEvery {
		return false
	}
	n := l.bytes.Load()
	l.second.Store(int64(float64(n-l.then) / took.Seconds()))
	l.at, l.then = now, n
	return true
}

package web

import (
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// Source tells what a scrape shows of the cluster. Its methods are called from
// several goroutines and do not wait for anything but memory (M3).
type Source interface {
	// State is the catalog as this broker knows it.
	State() *catalog.State
	// Brokers are the live brokers by ascending node id, and this one's id.
	Brokers() (live []Broker, self int32)
	// Span is what a partition that this broker leads holds: the first offset and the
	// high watermark. False when it leads it not.
	Span(p record.Partition) (start, end int64, ok bool)
	// Groups are the groups that this broker coordinates.
	Groups() []Group
	// Readings are the numbers that the broker's parts keep.
	Readings() Readings
}

// Broker is one live broker.
type Broker struct {
	Node    int32
	Address string // host:port for Kafka clients
	Load    uint64 // bytes per second that clients write and read there, about
}

// Group is one consumer group.
type Group struct {
	ID      string
	Members int
	Offsets []Committed
}

// Committed is an offset that a group has committed.
type Committed struct {
	Topic     string
	Partition int32
	Offset    int64
	// End is the end of the partition, as far as this broker knows it, or negative when
	// it knows nothing: the lag is left out then.
	End int64
}

// Readings are numbers that the broker's parts keep: totals since they were
// made, but for those that say "now". What a broker does not have stays zero.
type Readings struct {
	// Caches are the places that are asked before the bucket: tail, hot, block.
	Caches []Cache
	// FromBucket is the bytes that were served from the bucket.
	FromBucket int64
	// Gets is the GETs that readers have caused.
	Gets int64
	// ReadAhead is the bytes asked for ahead of readers; ReadAheadSkipped those
	// that were not, since too many were; ReadAheadWasted those lost before use.
	ReadAhead, ReadAheadSkipped, ReadAheadWasted int64
	// Damaged is what came from the bucket and failed its check.
	Damaged int64
	// HotState is the hot tier now: healthy, full, unavailable, or empty without one.
	HotState string
	// HotDamaged is the values of the hot tier that failed their checksum.
	HotDamaged int64
	// HotGenerations is how many there are now.
	HotGenerations int
}

// Cache is one place that is asked before the bucket.
type Cache struct {
	Tier         string // tail, hot or block
	Hits, Misses int64  // reads that found something there, or nothing
	Served       int64  // bytes; of block they count as the bucket's
	Bytes        int64  // held now
}

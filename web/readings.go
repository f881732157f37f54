package web

import "github.com/prometheus/client_golang/prometheus"

// readings are the numbers that the broker's parts keep themselves.
type readings struct{ source Source }

var (
	cacheHits      = desc("firn_cache_hits_total", "Reads that found something in a tier before the bucket.", "tier")
	cacheMisses    = desc("firn_cache_misses_total", "Reads that did not. Consumers that keep up should hit tail; those seconds behind, hot: otherwise raise tail.bytes or hot.max.bytes. block is asked last: many readers of one history should hit it, otherwise raise cache.bytes.", "tier")
	readBytes      = desc("firn_read_bytes_total", "Bytes of batches served, by where they came from. Much from the bucket while nobody replays: the tiers before it are too small.", "tier")
	readGets       = desc("firn_read_gets_total", "GETs sent for readers: firn_object_requests_total{op=\"get\"} has the others too, of journal, sealing and compaction. Many for few bytes: raise cache.bytes.")
	readAhead      = desc("firn_read_ahead_bytes_total", "Bytes asked for before the reader needed them: what makes history fast.")
	aheadSkipped   = desc("firn_read_ahead_skipped_bytes_total", "Bytes not asked for early, since too many were. Growth: more readers of history than this broker has cache for; raise cache.bytes.")
	aheadWasted    = desc("firn_read_ahead_wasted_bytes_total", "Bytes that were read early and lost again before the reader came. Growth: raise cache.bytes.")
	damaged        = desc("firn_read_damaged_total", "What came from the bucket and failed its checksum. It was fetched again; if that failed too, the client was told. Run firn object verify.")
	hotState       = desc("firn_hot_state", "1 for the state that the hot tier is in. full: raise hot.max.bytes or free the disk; unavailable: look at the disk. The broker works without, more slowly.", "state")
	hotDamaged     = desc("firn_hot_damaged_total", "Values of the hot tier that failed their checksum. They were read from the bucket instead. Growth: replace the disk.")
	hotGenerations = desc("firn_hot_generations", "Generations of the hot tier. Growth without end: sealing fails; look at the log.")
)

// Describe implements prometheus.Collector.
func (r *readings) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{cacheHits, cacheMisses, readBytes, readGets, readAhead, aheadSkipped, aheadWasted, damaged, hotState, hotDamaged, hotGenerations, tierBytes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *readings) Collect(ch chan<- prometheus.Metric) {
	s := r.source.Readings()
	for _, c := range s.Caches {
		sendTotal(ch, cacheHits, c.Hits, c.Tier)
		sendTotal(ch, cacheMisses, c.Misses, c.Tier)
		if c.Tier != "block" { // what it serves came from the bucket, and counts there
			sendTotal(ch, readBytes, c.Served, c.Tier)
		}
		send(ch, tierBytes, c.Bytes, c.Tier)
	}
	sendTotal(ch, readBytes, s.FromBucket, "bucket")
	sendTotal(ch, readGets, s.Gets)
	sendTotal(ch, readAhead, s.ReadAhead)
	sendTotal(ch, aheadSkipped, s.ReadAheadSkipped)
	sendTotal(ch, aheadWasted, s.ReadAheadWasted)
	sendTotal(ch, damaged, s.Damaged)
	if s.HotState != "" {
		for _, state := range []string{"healthy", "full", "unavailable"} {
			is := 0
			if s.HotState == state {
				is = 1
			}
			send(ch, hotState, is, state)
		}
		sendTotal(ch, hotDamaged, s.HotDamaged)
		send(ch, hotGenerations, s.HotGenerations)
	}
	live, self := r.source.Brokers()
	if len(live) == 0 || live[0].Node == self { // M1
		var bytes int64
		for t := range r.source.State().AllTopics() {
			for _, p := range t.Partitions {
				bytes += p.Bytes
			}
		}
		send(ch, tierBytes, bytes, "bucket")
	}
}

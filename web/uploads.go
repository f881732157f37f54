package web

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firnlog/firn/ingest"
)

// Uploads observes the write path. It is a pump.Observer.
type Uploads struct {
	now func() time.Time

	pending atomic.Int64 // bytes
	since   atomic.Int64 // when the oldest of them came, in Unix nanoseconds

	slots   *prometheus.CounterVec
	bytes   prometheus.Counter
	put     prometheus.Histogram
	commit  prometheus.Histogram
	records prometheus.Counter
	batches prometheus.Counter
	payload prometheus.Counter
	skipped prometheus.Counter
	lost    prometheus.Counter
}

func newUploads(f factory, now func() time.Time) *Uploads {
	u := &Uploads{
		now: now,
		slots: f.counters("firn_upload_slots_total",
			"WAL objects whose fate is known. mine is normal; fenced means that another broker took over from this one: look for pauses and lost connections; foreign must never be seen: report it.", "outcome"),
		bytes: f.counter("firn_upload_bytes_total",
			"Bytes of WAL objects put. Divided by firn_upload_slots_total it is the size of an object: below some 64 KiB at high rates, puts cost more than they should; lower put.rate."),
		put: f.duration("firn_upload_duration_seconds",
			"From a WAL object sent to its outcome known, retries included. This is what acks=all waits for."),
		commit: f.duration("firn_commit_duration_seconds",
			"From the first batch of a WAL object to its commit. Much above firn_upload_duration_seconds: batches wait to be cut, since put.rate is reached or the bucket is slow."),
		records: f.counter("firn_commit_records_total",
			"Records committed to the bucket by this broker. Zero while clients produce: see firn_upload_oldest_pending_age_seconds."),
		batches: f.counter("firn_commit_batches_total",
			"Batches committed. Few records per batch cost CPU everywhere: raise linger.ms or batch.size of the producers."),
		payload: f.counter("firn_commit_bytes_total",
			"Bytes of batches committed: what the bucket keeps, before retention."),
		skipped: f.counter("firn_hot_skipped_slots_total",
			"WAL objects that the hot tier did not take: full, broken or too slow. They are safe in the bucket; recent reads go there and acks=1 waits for it. Look at the disk and hot.max.bytes."),
		lost: f.counter("firn_lost_unacked_records_total",
			"Records acknowledged with acks=1 only, not in the bucket when this broker was fenced. Unless it got their partitions back before anybody else had them, and appended them again, they are gone, as Kafka would lose them. Use acks=all for what must not be."),
	}
	for _, o := range []ingest.Outcome{ingest.Mine, ingest.Fenced, ingest.Foreign} {
		u.slots.WithLabelValues(o.String())
	}
	f.reading("firn_upload_pending_bytes",
		"Bytes accepted and not committed. It should hover about what clients send in one round trip of the bucket; growth means that the bucket is slower than the producers.",
		func() float64 { return float64(u.pending.Load()) })
	f.reading("firn_upload_oldest_pending_age_seconds",
		"Age of the oldest byte that is not committed. Above some seconds the bucket is not taking puts: see firn_object_requests_total{outcome=\"failed\"}. Alert on it.",
		u.age)
	return u
}

// age goes on growing when nothing is reported: a stuck loop must show.
func (u *Uploads) age() float64 {
	if u.pending.Load() == 0 {
		return 0
	}
	return max(0, u.now().Sub(time.Unix(0, u.since.Load())).Seconds())
}

// Committed counts a slot that was committed.
func (u *Uploads) Committed(records, bytes int64, batches int, took time.Duration) {
	u.records.Add(float64(records))
	u.payload.Add(float64(bytes))
	u.batches.Add(float64(batches))
	u.commit.Observe(took.Seconds())
}

// Put counts a slot whose outcome is known.
func (u *Uploads) Put(outcome ingest.Outcome, bytes int64, took time.Duration) {
	u.slots.WithLabelValues(outcome.String()).Inc()
	u.bytes.Add(float64(bytes))
	u.put.Observe(took.Seconds())
}

// Pending notes what waits for the bucket.
func (u *Uploads) Pending(bytes int64, oldest time.Duration) {
	u.since.Store(u.now().Add(-oldest).UnixNano())
	u.pending.Store(bytes)
}

// Waiting is how many bytes were accepted and are not committed, as was told last.
func (u *Uploads) Waiting() int64 { return u.pending.Load() }

// HotSkipped counts a slot that the hot tier did not take.
func (u *Uploads) HotSkipped(int64, error) { u.skipped.Inc() }

// Lost counts records acknowledged with acks=1 that a fence has cut off.
func (u *Uploads) Lost(records int64) { u.lost.Add(float64(records)) }

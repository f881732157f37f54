package ingest

import (
	"fmt"
	"testing"
	"time"

	"github.com/firnlog/firn/record"
)

// BenchmarkAppendToCommit is the machine's share of a batch: append, cut, commit,
// answer. Slots of the given number of requests, one batch of 100 records each.
func BenchmarkAppendToCommit(b *testing.B) {
	for _, perSlot := range []int{1, 16, 256} {
		for _, idempotent := range []bool{false, true} {
			b.Run(fmt.Sprintf("requests=%d/idempotent=%v", perSlot, idempotent), func(b *testing.B) {
				m := New(Config{})
				m.Begin(1, nil)
				for i := range int32(16) {
					m.Own(part(i), Start{})
				}
				now := time.Now()
				bytes := make([]byte, 16<<10)
				var seq [16]int32
				b.SetBytes(int64(len(bytes)))
				b.ReportAllocs()
				slot := uint64(0)
				for n := 0; n < b.N; n += perSlot {
					for k := range perSlot {
						p := k % 16
						h := record.Header{ProducerID: -1, NumRecords: 100, LastOffsetDelta: 99}
						if idempotent {
							h.ProducerID, h.BaseSequence = int64(p), seq[p]
							seq[p] += 100
						}
						r := &Request{Acks: AcksAll, Timeout: time.Minute, Items: make([]Item, 1)}
						r.Items[0] = Item{Partition: part(int32(p)), Batch: bytes, Header: h}
						m.Append(now, r)
					}
					m.Step(now)
					m.Take()
					m.PutDone(now, slot, Mine)
					slot++
					m.Take()
				}
			})
		}
	}
}

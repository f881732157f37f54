package catalog

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/firnlog/firn/record"
)

// BenchmarkPartitions is what partitions cost: memory, bytes in a snapshot, and the
// time to write and to read one. Each has one sealed extent and one that is new.
func BenchmarkPartitions(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			heap := func() uint64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			for b.Loop() {
				before := heap()
				s := NewState()
				s.Apply(1, []Command{&CreateCluster{ID: "c"}})
				id := s.Apply(2, []Command{&RegisterSession{Node: 1}})[0].ID
				owners := make([]uint64, 1000)
				for i := range owners {
					owners[i] = id
				}
				for t := range n / 1000 {
					topic := record.TopicID{0: 1, 14: byte(t >> 8), 15: byte(t)}
					c := &Cover{Session: id, From: uint64(t), To: uint64(t) + 1}
					for p := range owners {
						for k := range int64(2) {
							c.Extents = append(c.Extents, Located{record.Partition{Topic: topic, Index: int32(p)}, Extent{
								Base: k * 1000, Next: k*1000 + 1000, Object: Seg(uint64(t)<<10, 0), Pos: int64(p) << 16, Len: 1 << 16,
								MaxTimestamp: 1_700_000_000_000, CRC: uint32(p) * 7919, Records: 1000,
							}})
						}
					}
					res := s.Apply(s.Number()+1, []Command{&CreateTopic{Name: fmt.Sprint("topic-", t), ID: topic, Replicas: 1, Owners: owners}, c})
					if res[0].Err != nil || res[1].Err != nil {
						b.Fatal(res)
					}
				}
				b.ReportMetric(float64(heap()-before)/float64(n), "heap-B/partition")
				began := time.Now()
				enc := s.Encode()
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "encode-ms")
				b.ReportMetric(float64(len(enc))/float64(n), "snapshot-B/partition")
				began = time.Now()
				if _, err := DecodeState(enc); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(time.Since(began).Milliseconds()), "decode-ms")
				runtime.KeepAlive(s)
			}
		})
	}
}

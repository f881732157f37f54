package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// want is one partition to fetch.
type want struct {
	topic     string
	id        [16]byte
	partition int32
	offset    int64
	change    func(*kmsg.FetchRequestTopicPartition)
}

func fetch(ws ...want) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.ReplicaID, q.MinBytes, q.MaxBytes, q.SessionEpoch = -1, 1, 1<<20, -1
	q.ReplicaState.ID = -1
	for _, w := range ws {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LastFetchedEpoch, p.LogStartOffset = w.partition, w.offset, 1<<20, -1, -1, -1
		if w.change != nil {
			w.change(&p)
		}
		if n := len(q.Topics); n == 0 || q.Topics[n-1].Topic != w.topic {
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = w.topic, w.id
			q.Topics = append(q.Topics, t)
		}
		t := &q.Topics[len(q.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	return q
}

// fetching is what comes out of logs.
func fetching() []scenario {
	return []scenario{
		{"fetch/offsets", func(s *side) {
			id := create(s, "fetched", 2)
			give(s, "fetched", 0, batch(some(3)))
			give(s, "fetched", 0, batch(some(2), zipped))
			give(s, "fetched", 1, batch(some(1)))
			at := func(offset int64, change ...func(*kmsg.FetchRequestTopicPartition)) want {
				w := want{topic: "fetched", id: id, offset: offset}
				if len(change) > 0 {
					w.change = change[0]
				}
				return w
			}
			for _, o := range []int64{0, 1, 2, 3, 4, 5, 6, 99, -1, -2, 1 << 40} {
				every[*kmsg.FetchResponse](s, fmt.Sprintf("from %d", o), fetch(at(o)))
			}
			for _, committed := range []int8{0, 1} {
				q := fetch(at(0), want{topic: "fetched", id: id, partition: 1})
				q.IsolationLevel = committed
				every[*kmsg.FetchResponse](s, "two partitions", q)
			}
			every[*kmsg.FetchResponse](s, "unknown partition", fetch(want{topic: "fetched", id: id, partition: 7}))
			every[*kmsg.FetchResponse](s, "negative partition", fetch(want{topic: "fetched", id: id, partition: -1}))
			every[*kmsg.FetchResponse](s, "unknown topic", fetch(want{topic: "nosuch", id: [16]byte{1, 2}}))
			every[*kmsg.FetchResponse](s, "no topic", fetch(want{}))
			every[*kmsg.FetchResponse](s, "nothing", fetch())
			every[*kmsg.FetchResponse](s, "one unknown", fetch(at(0), want{topic: "nosuch", id: [16]byte{1, 2}}))
			for _, epoch := range []int32{-1, 0, 1, 9, -2} {
				every[*kmsg.FetchResponse](s, fmt.Sprintf("leader epoch %d", epoch), fetch(at(0, func(p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = epoch })))
				every[*kmsg.FetchResponse](s, fmt.Sprintf("last epoch %d", epoch), fetch(at(5, func(p *kmsg.FetchRequestTopicPartition) { p.LastFetchedEpoch = epoch })))
			}
			for _, most := range []int32{0, 1, 70, 90, 180, 1000} {
				q := fetch(at(0, func(p *kmsg.FetchRequestTopicPartition) { p.PartitionMaxBytes = most }), want{topic: "fetched", id: id, partition: 1})
				every[*kmsg.FetchResponse](s, fmt.Sprintf("at most %d of a partition", most), q)
				q = fetch(at(0), want{topic: "fetched", id: id, partition: 1})
				q.MaxBytes = most
				every[*kmsg.FetchResponse](s, fmt.Sprintf("at most %d", most), q)
			}
			// The same request again and again gives the same partition first.
			q := fetch(want{topic: "fetched", id: id, partition: 1}, at(0))
			q.MaxBytes = 1
			every[*kmsg.FetchResponse](s, "the first alone", q)
			q = fetch(at(0))
			q.ReplicaID, q.ReplicaState.ID = 1, 1
			ask[*kmsg.FetchResponse](s, "as a replica", 12, q)
			q = fetch(at(0))
			q.Rack = "nowhere"
			every[*kmsg.FetchResponse](s, "from a rack", q)
			q.IsolationLevel = 5
			every[*kmsg.FetchResponse](s, "isolation 5", q)
			q.IsolationLevel, q.MaxWaitMillis, q.MinBytes = 0, -5, -5
			every[*kmsg.FetchResponse](s, "negative wait", q)
		}},
		{"fetch/waiting", func(s *side) {
			id := create(s, "awaited", 2)
			give(s, "awaited", 0, batch(some(1)))
			for _, c := range []struct {
				step string
				wait int32
				min  int32
				ws   []want
			}{
				{"enough", 3000, 1, []want{{topic: "awaited", id: id}}},
				{"no minimum", 3000, 0, []want{{topic: "awaited", id: id, offset: 1}}},
				{"not enough", 600, 5000, []want{{topic: "awaited", id: id}}},
				{"nothing", 600, 1, []want{{topic: "awaited", id: id, offset: 1}}},
				{"an error", 3000, 1, []want{{topic: "awaited", id: id, offset: 99}}},
				{"an error beside", 3000, 1, []want{{topic: "awaited", id: id, offset: 1}, {topic: "awaited", id: id, partition: 9}}},
				{"no partitions", 600, 1, nil},
			} {
				q := fetch(c.ws...)
				q.MaxWaitMillis, q.MinBytes = c.wait, c.min
				for _, v := range []int16{4, s.newest(q)} {
					began := time.Now()
					ask[*kmsg.FetchResponse](s, c.step, v, q)
					s.say(c.step+", time", fmt.Sprint("waited: ", time.Since(began) > 400*time.Millisecond))
				}
			}
			q := fetch(want{topic: "awaited", id: id, offset: 1})
			q.MaxWaitMillis = 10000
			v := s.newest(q)
			s.conn.send(v, q)
			time.Sleep(200 * time.Millisecond)
			s.other(func() { give(s, "awaited", 0, batch(some(1))) })
			answered[*kmsg.FetchResponse](s, "woken", v, q)
		}},
		{"fetch/sessions", func(s *side) {
			id := create(s, "session", 2)
			give(s, "session", 0, batch(some(1)))
			a, b := want{topic: "session", id: id}, want{topic: "session", id: id, partition: 1}
			for _, v := range s.versions(1) {
				if v < 7 {
					continue
				}
				q := fetch(a, b)
				q.SessionEpoch = 0
				r := ask[*kmsg.FetchResponse](s, "begin", v, q)
				s.is("a session", decimal(int64(r.SessionID)))
				for _, c := range []struct {
					step      string
					id, epoch int32
				}{{"unknown", 12345, 1}, {"none with an epoch", 0, 5}, {"end unknown", 12345, -1}, {"restart unknown", 12345, 0}, {"negative epoch", 0, -7}, {"negative epoch of unknown", 12345, -7}} {
					q := fetch(a)
					q.SessionID, q.SessionEpoch = c.id, c.epoch
					r := ask[*kmsg.FetchResponse](s, c.step, v, q)
					s.is("a session", decimal(int64(r.SessionID)))
				}
			}
		}},
		{"fetch/formats", func(s *side) {
			for _, c := range [][]string{
				{"plain"}, {"stamped-fetch", "message.timestamp.type", "LogAppendTime"}, {"zipped-fetch", "compression.type", "gzip"}, {"unzipped-fetch", "compression.type", "uncompressed"},
			} {
				id := create(s, c[0], 1, c[1:]...)
				give(s, c[0], 0, batch(some(2)))
				give(s, c[0], 0, batch(some(3), zipped))
				give(s, c[0], 0, batch([]rec{{key: "", value: ""}, {noKey: true, value: strings.Repeat("x", 500)}}))
				every[*kmsg.FetchResponse](s, c[0], fetch(want{topic: c[0], id: id}))
			}
		}},
		{"fetch/deleted records", func(s *side) {
			id := create(s, "trimmed", 2)
			for range 4 {
				give(s, "trimmed", 0, batch(some(5)))
			}
			trim := func(topic string, partition int32, offset int64) *kmsg.DeleteRecordsRequest {
				q := kmsg.NewPtrDeleteRecordsRequest()
				q.TimeoutMillis = 10000
				t := kmsg.NewDeleteRecordsRequestTopic()
				t.Topic = topic
				p := kmsg.NewDeleteRecordsRequestTopicPartition()
				p.Partition, p.Offset = partition, offset
				t.Partitions = append(t.Partitions, p)
				q.Topics = append(q.Topics, t)
				return q
			}
			every[*kmsg.DeleteRecordsResponse](s, "unknown topic", trim("nosuch", 0, 1))
			every[*kmsg.DeleteRecordsResponse](s, "unknown partition", trim("trimmed", 9, 1))
			every[*kmsg.DeleteRecordsResponse](s, "beyond", trim("trimmed", 0, 21))
			every[*kmsg.DeleteRecordsResponse](s, "negative", trim("trimmed", 0, -2))
			every[*kmsg.DeleteRecordsResponse](s, "to 7", trim("trimmed", 0, 7))
			every[*kmsg.DeleteRecordsResponse](s, "to 3", trim("trimmed", 0, 3))
			for _, o := range []int64{0, 6, 7, 8} {
				every[*kmsg.FetchResponse](s, fmt.Sprintf("fetch %d", o), fetch(want{topic: "trimmed", id: id, offset: o}))
			}
			every[*kmsg.DeleteRecordsResponse](s, "all", trim("trimmed", 0, -1))
			every[*kmsg.DeleteRecordsResponse](s, "of an empty one", trim("trimmed", 1, -1))
			every[*kmsg.FetchResponse](s, "fetch the end", fetch(want{topic: "trimmed", id: id, offset: 20}))
			twice := trim("trimmed", 0, -1)
			twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, trim("trimmed", 1, 5).Topics[0].Partitions[0])
			twice.Topics = append(twice.Topics, trim("nosuch", 0, 0).Topics[0])
			every[*kmsg.DeleteRecordsResponse](s, "some", twice)
			create(s, "trimmed-compact", 1, "cleanup.policy", "compact")
			give(s, "trimmed-compact", 0, batch(some(5)))
			every[*kmsg.DeleteRecordsResponse](s, "compacted", trim("trimmed-compact", 0, 1))
			create(s, "trimmed-both", 1, "cleanup.policy", "compact,delete")
			give(s, "trimmed-both", 0, batch(some(5)))
			every[*kmsg.DeleteRecordsResponse](s, "both", trim("trimmed-both", 0, 1))
			create(s, "trimmed-none", 1, "cleanup.policy", "")
			give(s, "trimmed-none", 0, batch(some(5)))
			every[*kmsg.DeleteRecordsResponse](s, "no policy", trim("trimmed-none", 0, 1))
		}},
	}
}

// offsets are found by time and by epoch.
func offsets() []scenario {
	return []scenario{
		{"offsets/list", func(s *side) {
			create(s, "listed", 2)
			give(s, "listed", 0, batch([]rec{{key: "a"}, {key: "b", after: 100}, {key: "c", after: 50}}))
			give(s, "listed", 0, batch([]rec{{key: "d", after: 70}, {key: "e", after: 100}, {key: "f", after: 200}}, zipped))
			give(s, "listed", 0, batch([]rec{{key: "g", after: 10}, {key: "h", after: 200}}))
			list := func(topic string, partition int32, at int64, epoch int32) *kmsg.ListOffsetsRequest {
				q := kmsg.NewPtrListOffsetsRequest()
				q.ReplicaID = -1
				q.TimeoutMillis = 5000
				t := kmsg.NewListOffsetsRequestTopic()
				t.Topic = topic
				p := kmsg.NewListOffsetsRequestTopicPartition()
				p.Partition, p.Timestamp, p.CurrentLeaderEpoch = partition, at, epoch
				t.Partitions = append(t.Partitions, p)
				q.Topics = append(q.Topics, t)
				return q
			}
			for _, at := range []int64{-1, -2, -3, -4, -5, -6, -7, 0, past - 1, past, past + 1, past + 50, past + 51, past + 70, past + 100, past + 101, past + 200, past + 201} {
				step := fmt.Sprint(at)
				if at > 0 {
					step = fmt.Sprintf("after %d", at-past)
				}
				every[*kmsg.ListOffsetsResponse](s, step, list("listed", 0, at, -1))
				every[*kmsg.ListOffsetsResponse](s, step+" of nothing", list("listed", 1, at, -1))
			}
			q := list("listed", 0, -1, -1)
			q.IsolationLevel = 1
			every[*kmsg.ListOffsetsResponse](s, "committed", q)
			every[*kmsg.ListOffsetsResponse](s, "unknown topic", list("nosuch", 0, -1, -1))
			every[*kmsg.ListOffsetsResponse](s, "unknown partition", list("listed", 5, -1, -1))
			for _, epoch := range []int32{0, 1, 7} {
				every[*kmsg.ListOffsetsResponse](s, fmt.Sprintf("leader epoch %d", epoch), list("listed", 0, -1, epoch))
			}
			q = list("listed", 0, -1, -1)
			q.Topics[0].Partitions = append(q.Topics[0].Partitions, q.Topics[0].Partitions[0])
			every[*kmsg.ListOffsetsResponse](s, "twice", q)
			q = list("listed", 0, -1, -1)
			q.ReplicaID = 1
			every[*kmsg.ListOffsetsResponse](s, "as replica 1", q)
			q.ReplicaID = -2
			every[*kmsg.ListOffsetsResponse](s, "as a debugger", q)
			q.Topics = nil
			every[*kmsg.ListOffsetsResponse](s, "nothing", q)
		}},
		{"offsets/epochs", func(s *side) {
			create(s, "epochs", 2)
			give(s, "epochs", 0, batch(some(3)))
			for _, c := range []struct {
				step                   string
				topic                  string
				partition, epoch, mine int32
			}{
				{"of records", "epochs", 0, 0, -1}, {"later", "epochs", 0, 4, -1}, {"none", "epochs", 0, -1, -1}, {"negative", "epochs", 0, -5, -1}, {"of no records", "epochs", 1, 0, -1},
				{"leader epoch 0", "epochs", 0, 0, 0}, {"leader epoch 3", "epochs", 0, 0, 3}, {"unknown topic", "nosuch", 0, 0, -1}, {"unknown partition", "epochs", 8, 0, -1},
			} {
				q := kmsg.NewPtrOffsetForLeaderEpochRequest()
				q.ReplicaID = -1
				t := kmsg.NewOffsetForLeaderEpochRequestTopic()
				t.Topic = c.topic
				p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
				p.Partition, p.LeaderEpoch, p.CurrentLeaderEpoch = c.partition, c.epoch, c.mine
				t.Partitions = append(t.Partitions, p)
				q.Topics = append(q.Topics, t)
				every[*kmsg.OffsetForLeaderEpochResponse](s, c.step, q)
			}
		}},
	}
}

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groups commits the same offsets again and again, and looks at how long the coordinator
// takes after a start: by how many offsets there are, not by how often they were committed.
func (r *real) groups(ctx context.Context) error {
	const groups, partitions = 10, 100
	mq := kmsg.NewPtrMetadataRequest()
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = kmsg.StringPtr(r.topic(0))
	mq.Topics = append(mq.Topics, mt)
	meta, err := mq.RequestWith(ctx, r.client)
	if err != nil {
		return err
	}
	commits := 0
	commit := func(rounds int) error {
		for range rounds {
			for g := range groups {
				q := kmsg.NewPtrOffsetCommitRequest()
				q.Group, q.Generation = fmt.Sprint("group-", g), -1
				t := kmsg.NewOffsetCommitRequestTopic()
				t.Topic, t.TopicID = r.topic(0), meta.Topics[0].TopicID // v10 has the id alone
				for p := range min(partitions, r.per) {
					c := kmsg.NewOffsetCommitRequestTopicPartition()
					c.Partition, c.Offset = int32(p), int64(commits)
					t.Partitions = append(t.Partitions, c)
				}
				q.Topics = append(q.Topics, t)
				resp, err := q.RequestWith(ctx, r.client)
				if err != nil {
					return err
				}
				for _, p := range resp.Topics[0].Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						return err
					}
				}
				commits += len(t.Partitions)
			}
		}
		return nil
	}
	for _, rounds := range []int{10, 1000} {
		if err := commit(rounds); err != nil {
			return fmt.Errorf("commit offsets: %w", err)
		}
		time.Sleep(15 * time.Second) // sealed and compacted
		addr := r.a.Kafka
		r.a.Kill()
		if r.a, err = r.start(ctx, "a", addr); err != nil {
			return err
		}
		began := time.Now()
		for g := range groups {
			q := kmsg.NewPtrOffsetFetchRequest()
			qg := kmsg.NewOffsetFetchRequestGroup()
			qg.Group = fmt.Sprint("group-", g)
			q.Groups = append(q.Groups, qg)
			resp, err := q.RequestWith(ctx, r.client)
			if err != nil {
				return fmt.Errorf("fetch offsets: %w", err)
			}
			if n := len(resp.Groups); n != 1 || len(resp.Groups[0].Topics) != 1 || len(resp.Groups[0].Topics[0].Partitions) != min(partitions, r.per) {
				return fmt.Errorf("offsets of %s are gone: %+v", qg.Group, resp)
			}
		}
		say(fmt.Sprintf("%d offsets of %d groups after %d commits: ready / all offsets", groups*partitions, groups, commits), "%s / %s", ms(r.a.ReadyAfter), ms(r.a.ReadyAfter+time.Since(began)))
	}
	return nil
}

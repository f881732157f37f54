package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeLogDirs (35): how large partitions are. Tools add up the answers of all
// brokers, so each tells of the partitions that it leads, and the sum is what the
// bucket holds.
//
//   - There is one directory, named by where the bucket is; it is never offline.
//     Its capacity is unknown, -1 (v4, KIP-827). Sizes count what the catalog
//     describes: some seconds of the newest records are missing.
func apiDescribeLogDirs() api {
	return api{
		key: 35, name: "DescribeLogDirs", min: 0, max: 4,
		shape: parseShape(2, `topics:[ name:str partitions:[i32] ]?`),
		serve: on((*node).describeLogDirs),
	}
}

func (n *node) describeLogDirs(_ context.Context, _ *call, q *kmsg.DescribeLogDirsRequest) *kmsg.DescribeLogDirsResponse {
	v := n.view()
	var wanted map[string]map[int32]bool // nil: all
	if q.Topics != nil {
		wanted = map[string]map[int32]bool{}
		for i := range q.Topics {
			t := wanted[q.Topics[i].Topic]
			if t == nil {
				t = map[int32]bool{}
				wanted[q.Topics[i].Topic] = t
			}
			for _, p := range q.Topics[i].Partitions {
				t[p] = true
			}
		}
	}
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = n.place
	dir.Topics = []kmsg.DescribeLogDirsResponseDirTopic{}
	for _, t := range v.Topics() {
		if wanted != nil && wanted[t.Name] == nil {
			continue
		}
		dt := kmsg.NewDescribeLogDirsResponseDirTopic()
		dt.Topic = t.Name
		for _, p := range t.Partitions {
			if leader, ok := v.leader(p); !ok || leader != v.self || wanted != nil && !wanted[t.Name][p.ID.Index] {
				continue
			}
			dp := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
			dp.Partition, dp.Size = p.ID.Index, p.Bytes
			dt.Partitions = append(dt.Partitions, dp)
		}
		if len(dt.Partitions) > 0 {
			dir.Topics = append(dir.Topics, dt)
		}
	}
	r := kmsg.NewPtrDescribeLogDirsResponse()
	r.Dirs = append(r.Dirs, dir)
	return r
}

package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterReplicaLogDirs (34): there is one directory, the one that DescribeLogDirs
// tells, and everything lies in it already.
func apiAlterReplicaLogDirs() api {
	return api{
		key: 34, name: "AlterReplicaLogDirs", min: 1, max: 2,
		shape: parseShape(2, `dirs:[ dir:str topics:[ name:str partitions:[i32] ] ]`),
		serve: on((*node).alterReplicaLogDirs),
	}
}

func (n *node) alterReplicaLogDirs(ctx context.Context, _ *call, q *kmsg.AlterReplicaLogDirsRequest) *kmsg.AlterReplicaLogDirsResponse {
	v := n.view()
	r := kmsg.NewPtrAlterReplicaLogDirsResponse()
	r.Topics = []kmsg.AlterReplicaLogDirsResponseTopic{}
	for i := range q.Dirs {
		for j := range q.Dirs[i].Topics {
			qt := &q.Dirs[i].Topics[j]
			rt := kmsg.NewAlterReplicaLogDirsResponseTopic()
			rt.Topic = qt.Topic
			t, fault := v.topic(ctx, qt.Topic, [16]byte{}, false)
			for _, index := range qt.Partitions {
				rp := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				rp.Partition = index
				found := fault
				switch {
				case q.Dirs[i].Dir != n.place:
					found = codeLogDirNotFound
				case found == codeNone:
					_, found = v.partition(ctx, t, index)
				}
				rp.ErrorCode = int16(found)
				rt.Partitions = append(rt.Partitions, rp)
			}
			r.Topics = append(r.Topics, rt)
		}
	}
	return r
}

package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
)

// CreateTopics (19): new topics, each on its own (kafka.md 15, 16).
//
//   - validate_only checks everything and creates nothing. A name that comes twice
//     in a request is INVALID_REQUEST, once. An illegal config is INVALID_CONFIG.
//   - -1 partitions or replicas mean the broker's default (KIP-464), in all versions,
//     as in Kafka 4.
//   - Any replication factor from 1 on is accepted and stored, also more than there
//     are brokers (protocol.md 7). A manual assignment is accepted when it is well-formed;
//     it decides the number of partitions and of replicas and is otherwise not
//     followed: the bucket replicates, and partitions move to where it is quiet.
//   - v5 effective configs (KIP-525), v7 the topic's id (KIP-516).
//   - When the call is answered, the topic has leaders and can be used on every
//     broker (kafka.md 10).
func apiCreateTopics() api {
	return api{
		key: 19, name: "CreateTopics", min: 0, max: 7,
		shape: parseShape(5, `topics:[ name:str partitions:i32 replicas:i16 assignment:[ partition:i32 nodes:[i32] ] configs:[ name:str value:str? ] ] timeout:i32 validate:bool@1+`),
		serve: on((*node).createTopics),
	}
}

// maxReplicas bounds a replication factor by what replica lists can show.
const maxReplicas = math.MaxInt16

func (n *node) createTopics(ctx context.Context, c *call, q *kmsg.CreateTopicsRequest) *kmsg.CreateTopicsResponse {
	v := n.view()
	r := kmsg.NewPtrCreateTopicsResponse()
	own, fault := n.ownSettings(ctx)
	times := map[string]int{}
	for i := range q.Topics {
		times[q.Topics[i].Topic]++
	}
	var create []NewTopic
	var places []int
	for i := range q.Topics {
		qt := &q.Topics[i]
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic = qt.Topic
		twice := times[qt.Topic] > 1
		if times[qt.Topic] == 0 {
			continue // it has its answer
		}
		times[qt.Topic] = 0
		var t NewTopic
		var err error
		if twice {
			err = codeInvalidRequest.because("the topic is in the request more than once")
		} else if err = checkName(ctx, &v, qt.Topic); err == nil {
			// That a topic is there comes before what is wrong with the rest: who makes sure
			// of a topic with what an older broker took goes on.
			if t, err = n.newTopic(qt); err == nil {
				err = fault
			}
		}
		if err != nil {
			n.refuseTopic(&rt, err)
		} else if create = append(create, t); true {
			places = append(places, len(r.Topics))
		}
		r.Topics = append(r.Topics, rt)
	}
	var errs []error
	if !q.ValidateOnly && len(create) > 0 {
		errs = n.Topics.Create(ctx, create)
		v = n.view()
	}
	for i, at := range places {
		rt := &r.Topics[at]
		if errs != nil && errs[i] != nil {
			n.refuseTopic(rt, errs[i])
			continue
		}
		rt.NumPartitions, rt.ReplicationFactor = create[i].Partitions, create[i].Replicas
		shown := &catalog.Topic{Configs: create[i].Configs}
		if t, ok := v.TopicNamed(rt.Topic); ok {
			rt.TopicID = t.ID
			shown = t
		}
		rt.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
		for _, d := range describeTopic(shown, own) {
			rc := kmsg.NewCreateTopicsResponseTopicConfig()
			rc.Name, rc.Value, rc.ReadOnly, rc.Source = d.name, &d.value, d.readOnly, int8(d.source)
			rt.Configs = append(rt.Configs, rc)
		}
	}
	return r
}

func (n *node) refuseTopic(rt *kmsg.CreateTopicsResponseTopic, err error) {
	rt.ErrorCode, rt.ErrorMessage = int16(n.code("CreateTopics", err)), message(err)
	if errors.Is(err, catalog.ErrExists) {
		rt.ErrorMessage = kmsg.StringPtr("Topic '" + rt.Topic + "' already exists.")
	}
	rt.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
}

// checkName says why no topic of that name can be created now.
func checkName(ctx context.Context, v *view, name string) error {
	switch {
	case name == "__cluster_metadata":
		return codeInvalidRequest.because("the name is taken by Kafka's own metadata")
	case internalName(name):
		return fmt.Errorf("%w: the broker creates it itself", catalog.ErrInvalidTopic)
	}
	return v.checkNew(ctx, name)
}

// newTopic checks what does not depend on other topics.
func (n *node) newTopic(q *kmsg.CreateTopicsRequestTopic) (NewTopic, error) {
	t := NewTopic{Name: q.Topic, Partitions: q.NumPartitions, Replicas: q.ReplicationFactor}
	if len(q.ReplicaAssignment) > 0 {
		if err := assigned(&t, q.ReplicaAssignment); err != nil {
			return t, err
		}
	} else {
		if t.Partitions == -1 {
			t.Partitions = int32(n.settingInt(settingPartitions, defaultPartitions))
		}
		if t.Replicas == -1 {
			t.Replicas = int16(n.settingInt(settingReplicas, defaultReplicas))
		}
	}
	switch {
	case t.Partitions < 1 || t.Partitions > catalog.MaxPartitions:
		return t, fmt.Errorf("%w: %d, want 1 to %d", catalog.ErrInvalidParts, t.Partitions, catalog.MaxPartitions)
	case t.Replicas < 1:
		return t, fmt.Errorf("%w: %d, want at least 1", catalog.ErrInvalidReplicas, t.Replicas)
	}
	for i := range q.Configs {
		c := &q.Configs[i]
		if c.Value == nil {
			return t, fmt.Errorf("%w: null value for %s", catalog.ErrInvalidConfig, c.Name)
		}
		if err := catalog.CheckTopicConfig(c.Name, *c.Value); err != nil {
			return t, err
		}
		if t.Configs == nil {
			t.Configs = map[string]string{}
		}
		t.Configs[c.Name] = *c.Value // the last one counts
	}
	return t, catalog.CheckTopicConfigs(t.Configs)
}

// assigned takes partitions and replicas from a manual assignment: partitions 0 to
// n-1, each once, all with the same number of distinct nodes.
func assigned(t *NewTopic, as []kmsg.CreateTopicsRequestTopicReplicaAssignment) error {
	if t.Partitions != -1 || t.Replicas != -1 {
		return codeInvalidRequest.because("with an assignment, partitions and replicas must be -1")
	}
	bad := func(why string) error { return codeInvalidReplicaAssignment.because("%s", why) }
	seen := make([]bool, len(as))
	for i := range as {
		a := &as[i]
		if a.Partition < 0 || int(a.Partition) >= len(as) || seen[a.Partition] {
			return bad("partitions must be 0 to n-1, each once")
		}
		seen[a.Partition] = true
		if err := distinct(a.Replicas, len(as[0].Replicas)); err != "" {
			return bad(err)
		}
	}
	t.Partitions, t.Replicas = int32(len(as)), int16(len(as[0].Replicas))
	return nil
}

// distinct says what is wrong with the replicas of one partition.
func distinct(nodes []int32, want int) string {
	switch {
	case len(nodes) == 0 || len(nodes) > maxReplicas:
		return "a partition needs replicas"
	case len(nodes) != want:
		return "all partitions must have the same number of replicas"
	}
	seen := make(map[int32]bool, len(nodes))
	for _, n := range nodes {
		if n < 0 || seen[n] {
			return "replicas must be distinct brokers"
		}
		seen[n] = true
	}
	return ""
}

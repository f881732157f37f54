package kafka

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

func createOf(name string, partitions int32, replicas int16, configs ...string) *kmsg.CreateTopicsRequest {
	q := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	for i := 0; i < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		t.Configs = append(t.Configs, c)
	}
	q.Topics = append(q.Topics, t)
	return q
}

func TestSemantic15CreateTopics(t *testing.T) {
	for v := int16(0); v <= 7; v++ {
		f := newFake()
		f.settings[settingPartitions] = "6"
		c := serve(t, f, Limits{}).client(t)
		exists := func(name string) bool { _, ok := f.State().TopicNamed(name); return ok }
		create := func(q *kmsg.CreateTopicsRequest) code {
			r := ask[*kmsg.CreateTopicsResponse](c, v, q)
			if t := r.Topics[0]; t.ErrorCode != 0 && v >= 1 && (t.ErrorMessage == nil || *t.ErrorMessage == "") {
				c.t.Errorf("v%d: error %d without message", v, t.ErrorCode)
			}
			return code(r.Topics[0].ErrorCode)
		}
		is := func(what string, got, want code) {
			t.Helper()
			wantCode(t, fmt.Sprintf("v%d %s", v, what), int16(got), want)
		}
		if v >= 1 {
			q := createOf("dry", 1, 1)
			q.ValidateOnly = true
			is("validate only", create(q), codeNone)
			if exists("dry") {
				t.Errorf("v%d: validate_only created it", v)
			}
			q = createOf("dry", 1, 1, "retention.ms", "x")
			q.ValidateOnly = true
			is("validate only", create(q), codeInvalidConfig)
		}
		is("create", create(createOf("t", 2, 1, "cleanup.policy", "compact,delete")), codeNone)
		is("again", create(createOf("t", 2, 1)), codeTopicAlreadyExists)
		for _, q := range []*kmsg.CreateTopicsRequest{createOf("t", 0, 1), createOf("t", 1, 0), createOf("t", 1, 1, "no.such", "1")} {
			is("again, and wrong besides", create(q), codeTopicAlreadyExists)
		}
		is("illegal name, and wrong besides", create(createOf("a b", 0, 1)), codeInvalidTopic)
		is("bad value", create(createOf("u", 1, 1, "retention.ms", "soon")), codeInvalidConfig)
		is("unknown config", create(createOf("u", 1, 1, "no.such", "1")), codeInvalidConfig)
		is("contradicting configs", create(createOf("u", 1, 1, "min.compaction.lag.ms", "9", "max.compaction.lag.ms", "8")), codeInvalidConfig)
		is("throttled replicas", create(createOf("u", 1, 1, "leader.replication.throttled.replicas", "x")), codeInvalidConfig)
		is("Kafka's metadata", create(createOf("__cluster_metadata", 1, 1)), codeInvalidRequest)
		is("no partitions", create(createOf("u", 0, 1)), codeInvalidPartitions)
		is("no replicas", create(createOf("u", 1, 0)), codeInvalidReplicationFactor)
		is("internal", create(createOf("__consumer_offsets", 1, 1)), codeInvalidTopic)
		if exists("u") {
			t.Errorf("v%d: an error created it", v)
		}
		is("defaults", create(createOf("d", -1, -1)), codeNone)
		if topic, ok := f.State().TopicNamed("d"); !ok || len(topic.Partitions) != 6 {
			t.Errorf("v%d: defaults: %v", v, topic)
		}
		// The last value of a config counts, and no cleanup policy at all is one.
		is("config twice", create(createOf("e", 1, 1, "retention.ms", "1", "retention.ms", "2", "cleanup.policy", "")), codeNone)
		if topic, _ := f.State().TopicNamed("e"); topic.Configs["retention.ms"] != "2" {
			t.Errorf("v%d: config twice: %v", v, topic.Configs)
		}
		twice := createOf("w", 1, 1)
		twice.Topics = append(twice.Topics, twice.Topics[0], createOf("good", 1, 1).Topics[0])
		r := ask[*kmsg.CreateTopicsResponse](c, v, twice)
		if len(r.Topics) != 2 {
			t.Fatalf("v%d: %d answers for two names", v, len(r.Topics))
		}
		for i, want := range []code{codeInvalidRequest, codeNone} {
			wantCode(t, fmt.Sprintf("v%d twice %d", v, i), r.Topics[i].ErrorCode, want)
			if v >= 5 && r.Topics[i].Configs == nil {
				t.Errorf("v%d: null configs, want a list", v)
			}
		}
		if exists("w") || !exists("good") {
			t.Errorf("v%d: topics are not each on their own", v)
		}
	}
	f := newFake()
	c := serve(t, f, Limits{}).client(t)
	r := ask[*kmsg.CreateTopicsResponse](c, 7, createOf("t", 2, 3, "cleanup.policy", "compact")).Topics[0]
	topic, _ := f.State().TopicNamed("t")
	if r.TopicID != topic.ID || r.NumPartitions != 2 || r.ReplicationFactor != 3 || len(r.Configs) != len(catalog.TopicConfigs()) {
		t.Errorf("v7: %+v", r)
	}
	for _, x := range r.Configs {
		if x.Name == "cleanup.policy" && (*x.Value != "compact" || x.Source != int8(sourceTopic)) {
			t.Errorf("effective config: %+v", x)
		}
	}
}

func TestCreateTopicsTakesAssignments(t *testing.T) {
	f := newFake()
	c := serve(t, f, Limits{}).client(t)
	assign := func(partitions int32, nodes ...[]int32) code {
		q := createOf(fmt.Sprintf("t%d", len(f.State().Topics())), partitions, int16(partitions))
		for i, n := range nodes {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = int32(i), n
			q.Topics[0].ReplicaAssignment = append(q.Topics[0].ReplicaAssignment, a)
		}
		return code(ask[*kmsg.CreateTopicsResponse](c, 5, q).Topics[0].ErrorCode)
	}
	wantCode(t, "assignment", int16(assign(-1, []int32{1, 2}, []int32{2, 3})), codeNone)
	topic, _ := f.State().TopicNamed("t0")
	if len(topic.Partitions) != 2 || topic.Replicas != 2 {
		t.Errorf("%d partitions, %d replicas", len(topic.Partitions), topic.Replicas)
	}
	wantCode(t, "with a count", int16(assign(2, []int32{1})), codeInvalidRequest)
	wantCode(t, "uneven", int16(assign(-1, []int32{1, 2}, []int32{1})), codeInvalidReplicaAssignment)
	wantCode(t, "same node twice", int16(assign(-1, []int32{1, 1})), codeInvalidReplicaAssignment)
	wantCode(t, "no node", int16(assign(-1, []int32{})), codeInvalidReplicaAssignment)
}

func TestSemantic16TopicNames(t *testing.T) {
	f := newFake()
	f.topic("a.b", 1)
	c := serve(t, f, Limits{}).client(t)
	for name, want := range map[string]code{
		"": codeInvalidTopic, ".": codeInvalidTopic, "..": codeInvalidTopic, "a b": codeInvalidTopic, "é": codeInvalidTopic,
		strings.Repeat("x", 250): codeInvalidTopic, strings.Repeat("x", 249): codeNone, "A-Za.z_09": codeNone,
		"a_b": codeInvalidTopic, // collides with a.b in metric names
	} {
		wantCode(t, name, ask[*kmsg.CreateTopicsResponse](c, 7, createOf(name, 1, 1)).Topics[0].ErrorCode, want)
	}
}

// describe asks for the configs of one resource.
func describe(c *client, version int16, kind kmsg.ConfigResourceType, name string, names ...string) kmsg.DescribeConfigsResponseResource {
	c.t.Helper()
	q := kmsg.NewPtrDescribeConfigsRequest()
	q.IncludeSynonyms, q.IncludeDocumentation = true, true
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, names
	q.Resources = append(q.Resources, r)
	return ask[*kmsg.DescribeConfigsResponse](c, version, q).Resources[0]
}

func config(c *client, kind kmsg.ConfigResourceType, name, key string) kmsg.DescribeConfigsResponseResourceConfig {
	c.t.Helper()
	r := describe(c, 4, kind, name, key)
	if r.ErrorCode != 0 || len(r.Configs) != 1 {
		c.t.Fatalf("%s of %s: %+v", key, name, r)
	}
	return r.Configs[0]
}

const (
	ofTopic  = kmsg.ConfigResourceTypeTopic
	ofBroker = kmsg.ConfigResourceTypeBroker
)

func TestSemantic17DescribeConfigs(t *testing.T) {
	f := newFake()
	f.topic("t", 1, "cleanup.policy", "delete", "retention.ms", "1000")
	f.settings["log.retention.bytes"] = "777"
	c := serve(t, f, Limits{}).client(t)
	// Kafka shows no synonym where no setting of a broker has a default for it.
	synonym := func(name string) bool { s, _ := catalog.TopicConfig(name); return s.Synonym != "" }
	for v := int16(0); v <= 4; v++ {
		r := describe(c, v, ofTopic, "t")
		if r.ErrorMessage == nil {
			t.Errorf("v%d: a null message, want an empty one", v)
		}
		if len(r.Configs) != len(catalog.TopicConfigs()) {
			t.Errorf("v%d: %d configs, want every one of %d", v, len(r.Configs), len(catalog.TopicConfigs()))
		}
		for _, x := range r.Configs {
			if x.Name == "" || x.Value == nil || v >= 1 && (x.Source < 1 || len(x.ConfigSynonyms) == 0 && synonym(x.Name)) || v >= 3 && (x.ConfigType == 0 || *x.Documentation == "") {
				t.Errorf("v%d: %+v is not complete", v, x)
			}
			if v == 0 && x.IsDefault == (x.Name == "cleanup.policy" || x.Name == "retention.ms" || x.Name == "retention.bytes" || x.Name == "max.message.bytes") {
				t.Errorf("v0: %s default %v", x.Name, x.IsDefault)
			}
		}
	}
	for _, x := range []struct {
		name, value string
		source      source
		synonyms    string
	}{
		{"cleanup.policy", "delete", sourceTopic, "cleanup.policy=delete log.cleanup.policy=delete"}, // set, though to the default
		{"retention.ms", "1000", sourceTopic, "retention.ms=1000"},
		{"retention.bytes", "777", sourceStatic, "log.retention.bytes=777 log.retention.bytes=-1"},
		{"max.message.bytes", "2097152", sourceBrokerDefault, "message.max.bytes=2097152 message.max.bytes=1048576 message.max.bytes=1048588"},
		{"segment.ms", "604800000", sourceDefault, ""},
	} {
		got := config(c, ofTopic, "t", x.name)
		var synonyms []string
		for _, s := range got.ConfigSynonyms {
			synonyms = append(synonyms, s.Name+"="+*s.Value)
		}
		if *got.Value != x.value || source(got.Source) != x.source || strings.Join(synonyms, " ") != x.synonyms {
			t.Errorf("%s: %s from %d (%v), want %+v", x.name, *got.Value, got.Source, synonyms, x)
		}
	}
	wantCode(t, "unknown topic", describe(c, 4, ofTopic, "none").ErrorCode, codeUnknownTopicOrPartition)
	wantCode(t, "illegal topic", describe(c, 4, ofTopic, "a b").ErrorCode, codeInvalidTopic)
	wantCode(t, "logger", describe(c, 4, kmsg.ConfigResourceTypeBrokerLogger, "1").ErrorCode, codeInvalidRequest)
	for _, kind := range []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeClientMetrics} {
		if got := describe(c, 4, kind, "g"); got.ErrorCode != 0 || len(got.Configs) != 0 {
			t.Errorf("%v: code %d, %d configs, want neither", kind, got.ErrorCode, len(got.Configs))
		}
		wantCode(t, "all of "+kind.String(), describe(c, 4, kind, "").ErrorCode, codeInvalidRequest)
	}
	wantCode(t, "another broker", describe(c, 4, ofBroker, "7").ErrorCode, codeInvalidRequest)
	wantCode(t, "no broker", describe(c, 4, ofBroker, "x").ErrorCode, codeInvalidRequest)
	for _, name := range []string{"default.replication.factor", "num.partitions", "delete.topic.enable", "auto.create.topics.enable", "message.max.bytes"} {
		config(c, ofBroker, "1", name)
	}
	if got := config(c, ofBroker, "1", "num.partitions"); source(got.Source) != sourceStatic || !got.ReadOnly || *got.Value != "3" || len(got.ConfigSynonyms) != 2 {
		t.Errorf("num.partitions: %+v", got)
	}
	if got := config(c, ofBroker, "1", "ssl.key"); got.Value != nil || !got.IsSensitive || got.ConfigSynonyms[0].Value != nil {
		t.Errorf("a secret is shown: %+v", got)
	}
}

// edit edits one config of a resource.
func edit(c *client, kind kmsg.ConfigResourceType, resource, name string, op kmsg.IncrementalAlterConfigOp, value *string, validateOnly bool) code {
	c.t.Helper()
	return code(edited(c, kind, resource, name, op, value, validateOnly).ErrorCode)
}

func edited(c *client, kind kmsg.ConfigResourceType, resource, name string, op kmsg.IncrementalAlterConfigOp, value *string, validateOnly bool) kmsg.IncrementalAlterConfigsResponseResource {
	c.t.Helper()
	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	q.ValidateOnly = validateOnly
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, resource
	x := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	x.Name, x.Op, x.Value = name, op, value
	r.Configs = append(r.Configs, x)
	q.Resources = append(q.Resources, r)
	return ask[*kmsg.IncrementalAlterConfigsResponse](c, 1, q).Resources[0]
}

// Clients have names for codes: the words beside one say what they do not know.
func TestWhatIsNotThereIsCalledByItsName(t *testing.T) {
	c := serve(t, newFake(), Limits{}).client(t)
	r := edited(c, ofTopic, "nowhere", "retention.ms", kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr("1"), false)
	wantCode(t, "no topic", r.ErrorCode, codeUnknownTopicOrPartition)
	if r.ErrorMessage == nil || *r.ErrorMessage != `there is no "nowhere"` {
		t.Errorf("%v", r.ErrorMessage)
	}
}

func TestSemantic18AlterReplacesAndIncrementalEdits(t *testing.T) {
	const (
		set      = kmsg.IncrementalAlterConfigOpSet
		del      = kmsg.IncrementalAlterConfigOpDelete
		appendTo = kmsg.IncrementalAlterConfigOpAppend
		subtract = kmsg.IncrementalAlterConfigOpSubtract
	)
	f := newFake()
	f.topic("t", 1, "retention.ms", "1000")
	c := serve(t, f, Limits{}).client(t)
	configs := func() string {
		topic, _ := f.State().TopicNamed("t")
		var out []string
		for k, v := range topic.Configs {
			out = append(out, k+"="+v)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	s := kmsg.StringPtr
	for i, x := range []struct {
		name  string
		op    kmsg.IncrementalAlterConfigOp
		value *string
		dry   bool
		want  code
		after string
	}{
		{"segment.ms", set, s("5"), false, codeNone, "retention.ms=1000 segment.ms=5"},
		{"segment.ms", del, nil, false, codeNone, "retention.ms=1000"},
		{"segment.ms", set, s("9"), true, codeNone, "retention.ms=1000"},
		{"segment.ms", set, s("x"), true, codeInvalidConfig, "retention.ms=1000"},
		{"segment.ms", set, nil, false, codeInvalidRequest, "retention.ms=1000"},
		{"no.such", set, s("1"), false, codeInvalidConfig, "retention.ms=1000"},
		{"no.such", del, nil, false, codeNone, "retention.ms=1000"},
		{"min.compaction.lag.ms", set, s("9223372036854775807"), false, codeNone, "min.compaction.lag.ms=9223372036854775807 retention.ms=1000"},
		{"max.compaction.lag.ms", set, s("5"), false, codeInvalidConfig, "min.compaction.lag.ms=9223372036854775807 retention.ms=1000"},
		{"min.compaction.lag.ms", del, nil, false, codeNone, "retention.ms=1000"},
		{"segment.ms", appendTo, s("1"), false, codeInvalidConfig, "retention.ms=1000"},
		{"cleanup.policy", appendTo, s("compact"), false, codeNone, "cleanup.policy=delete,compact retention.ms=1000"},
		{"cleanup.policy", appendTo, s("compact"), false, codeNone, "cleanup.policy=delete,compact retention.ms=1000"},
		{"cleanup.policy", subtract, s("delete"), false, codeNone, "cleanup.policy=compact retention.ms=1000"},
		{"cleanup.policy", 9, s("delete"), false, codeInvalidRequest, "cleanup.policy=compact retention.ms=1000"},
	} {
		wantCode(t, fmt.Sprintf("step %d", i), int16(edit(c, ofTopic, "t", x.name, x.op, x.value, x.dry)), x.want)
		if got := configs(); got != x.after {
			t.Errorf("step %d: %s, want %s", i, got, x.after)
		}
	}
	// AlterConfigs replaces the whole set.
	for v := int16(0); v <= 2; v++ {
		q := kmsg.NewPtrAlterConfigsRequest()
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = ofTopic, "t"
		x := kmsg.NewAlterConfigsRequestResourceConfig()
		x.Name, x.Value = "flush.ms", s("7")
		r.Configs = append(r.Configs, x)
		q.Resources = append(q.Resources, r)
		wantCode(t, "AlterConfigs", ask[*kmsg.AlterConfigsResponse](c, v, q).Resources[0].ErrorCode, codeNone)
		if got := configs(); got != "flush.ms=7" {
			t.Errorf("after AlterConfigs: %s", got)
		}
		q.Resources = append(q.Resources, r)
		wantCode(t, "a resource twice", ask[*kmsg.AlterConfigsResponse](c, v, q).Resources[0].ErrorCode, codeInvalidRequest)
	}
	wantCode(t, "broker", int16(edit(c, ofBroker, "1", "message.max.bytes", set, s("5"), false)), codeNone)
	if f.settings["message.max.bytes"] != "5" {
		t.Error("the broker's setting was not changed")
	}
	wantCode(t, "broker, unknown", int16(edit(c, ofBroker, "", "bogus", set, s("5"), false)), codeInvalidConfig)
	wantCode(t, "all brokers, from the default", int16(edit(c, ofBroker, "", "log.cleanup.policy", appendTo, s("compact"), false)), codeNone)
	if f.settings["log.cleanup.policy"] != "delete,compact" {
		t.Errorf("appended: %q", f.settings["log.cleanup.policy"])
	}
	wantCode(t, "all topics", int16(edit(c, ofTopic, "", "segment.ms", set, s("5"), false)), codeInvalidRequest)
	wantCode(t, "topic, unknown", int16(edit(c, ofTopic, "none", "segment.ms", set, s("5"), false)), codeUnknownTopicOrPartition)
}

func TestSemantic19DescribeTopicPartitionsAndCluster(t *testing.T) {
	f := newFake()
	for _, name := range []string{"c", "a", "b"} {
		f.topic(name, 3)
	}
	c := serve(t, f, Limits{}).client(t)
	var got []string
	q := kmsg.NewPtrDescribeTopicPartitionsRequest()
	q.ResponsePartitionLimit = 2
	for page := 0; ; page++ {
		r := ask[*kmsg.DescribeTopicPartitionsResponse](c, 0, q)
		n := 0
		for _, rt := range r.Topics {
			for _, p := range rt.Partitions {
				got = append(got, fmt.Sprintf("%s%d", *rt.Topic, p.Partition))
				n++
				if p.LeaderID != 1 || !slices.Equal(p.ISR, []int32{1}) {
					t.Errorf("%+v", p)
				}
			}
			if rt.AuthorizedOperations != topicOperations {
				t.Errorf("operations %d", rt.AuthorizedOperations)
			}
		}
		if n > 2 || page > 10 {
			t.Fatalf("page %d has %d partitions", page, n)
		}
		if r.NextCursor == nil {
			break
		}
		at := kmsg.NewDescribeTopicPartitionsRequestCursor()
		at.Topic, at.Partition = r.NextCursor.Topic, r.NextCursor.Partition
		q.Cursor = &at
	}
	if want := "a0 a1 a2 b0 b1 b2 c0 c1 c2"; strings.Join(got, " ") != want {
		t.Errorf("pages: %v, want %s", got, want)
	}
	q = kmsg.NewPtrDescribeTopicPartitionsRequest()
	for _, name := range []string{"b", "none", "x y"} {
		qt := kmsg.NewDescribeTopicPartitionsRequestTopic()
		qt.Topic = name
		q.Topics = append(q.Topics, qt)
	}
	r := ask[*kmsg.DescribeTopicPartitionsResponse](c, 0, q)
	for i, want := range []code{codeNone, codeUnknownTopicOrPartition, codeInvalidTopic} {
		wantCode(t, *r.Topics[i].Topic, r.Topics[i].ErrorCode, want)
		if ops := r.Topics[i].AuthorizedOperations; ops != topicOperations {
			t.Errorf("%s: authorized operations %d, want %d", *r.Topics[i].Topic, ops, topicOperations)
		}
	}

	for v := int16(0); v <= 2; v++ {
		d := kmsg.NewPtrDescribeClusterRequest()
		d.IncludeClusterAuthorizedOperations = true
		r := ask[*kmsg.DescribeClusterResponse](c, v, d)
		if r.ErrorCode != 0 || r.ClusterID != "firn-test" || r.ControllerID != 1 || len(r.Brokers) != 1 || r.Brokers[0].Host != "firn" || r.ClusterAuthorizedOperations != clusterOperations {
			t.Errorf("v%d: %+v", v, r)
		}
		if v >= 1 {
			d.EndpointType = 2
			wantCode(t, "controllers", ask[*kmsg.DescribeClusterResponse](c, v, d).ErrorCode, codeMismatchedEndpointType)
			d.EndpointType = 3
			wantCode(t, "no type", ask[*kmsg.DescribeClusterResponse](c, v, d).ErrorCode, codeUnsupportedEndpointType)
		}
	}
}

func TestDeleteTopics(t *testing.T) {
	for v := int16(0); v <= 6; v++ {
		f := newFake()
		f.topic("t", 1)
		other := f.topic("u", 1)
		f.apply(&catalog.CreateTopic{Name: "__consumer_offsets", ID: record.TopicID{9}, Replicas: 1, Owners: []uint64{f.session}, Internal: true})
		c := serve(t, f, Limits{}).client(t)
		q := kmsg.NewPtrDeleteTopicsRequest()
		names := []string{"t", "none", "__consumer_offsets"}
		q.TopicNames = names
		for _, name := range names {
			qt := kmsg.NewDeleteTopicsRequestTopic()
			qt.Topic = &name
			q.Topics = append(q.Topics, qt)
		}
		f.settings[settingDelete] = "false"
		want := codeTopicDeletionDisabled
		if v < 3 {
			want = codeInvalidRequest
		}
		wantCode(t, "disabled", ask[*kmsg.DeleteTopicsResponse](c, v, q).Topics[0].ErrorCode, want)
		delete(f.settings, settingDelete)
		r := ask[*kmsg.DeleteTopicsResponse](c, v, q)
		for i, want := range []code{codeNone, codeUnknownTopicOrPartition, codePolicyViolation} {
			wantCode(t, fmt.Sprintf("v%d %s", v, names[i]), r.Topics[i].ErrorCode, want)
		}
		if m := r.Topics[1].ErrorMessage; v >= 5 && (m == nil || *m != "there is no such topic") {
			t.Errorf("v%d: a person is told %v", v, m)
		}
		if _, ok := f.State().TopicNamed("t"); ok {
			t.Errorf("v%d: it is still there", v)
		}
		if v < 6 {
			continue
		}
		q = kmsg.NewPtrDeleteTopicsRequest()
		for _, id := range []record.TopicID{other.ID, {1, 2}} {
			qt := kmsg.NewDeleteTopicsRequestTopic()
			qt.TopicID = id
			q.Topics = append(q.Topics, qt)
		}
		r = ask[*kmsg.DeleteTopicsResponse](c, v, q)
		wantCode(t, "by id", r.Topics[0].ErrorCode, codeNone)
		wantCode(t, "unknown id", r.Topics[1].ErrorCode, codeUnknownTopicID)
		if *r.Topics[0].Topic != "u" || r.Topics[1].Topic != nil {
			t.Errorf("names: %v %v", r.Topics[0].Topic, r.Topics[1].Topic)
		}
	}
}

func TestCreatePartitions(t *testing.T) {
	f := newFake()
	f.topic("t", 2)
	c := serve(t, f, Limits{}).client(t)
	grow := func(v int16, name string, count int32, dry bool, assignment ...[]int32) code {
		q := kmsg.NewPtrCreatePartitionsRequest()
		q.ValidateOnly = dry
		qt := kmsg.NewCreatePartitionsRequestTopic()
		qt.Topic, qt.Count = name, count
		for _, a := range assignment {
			x := kmsg.NewCreatePartitionsRequestTopicAssignment()
			x.Replicas = a
			qt.Assignment = append(qt.Assignment, x)
		}
		q.Topics = append(q.Topics, qt)
		return code(ask[*kmsg.CreatePartitionsResponse](c, v, q).Topics[0].ErrorCode)
	}
	for _, x := range []struct {
		name       string
		topic      string
		count      int32
		dry        bool
		assignment [][]int32
		want       code
		after      int
	}{
		{"fewer", "t", 1, false, nil, codeInvalidPartitions, 2},
		{"as many", "t", 2, false, nil, codeInvalidPartitions, 2},
		{"dry", "t", 3, true, nil, codeNone, 2},
		{"more", "t", 3, false, nil, codeNone, 3},
		{"assigned", "t", 5, false, [][]int32{{1}, {1}}, codeNone, 5},
		{"wrong assignment", "t", 7, false, [][]int32{{1}}, codeInvalidReplicaAssignment, 5},
		{"far too many", "t", 1 << 30, false, nil, codeInvalidPartitions, 5},
		{"unknown", "u", 3, false, nil, codeUnknownTopicOrPartition, 5},
	} {
		wantCode(t, x.name, int16(grow(3, x.topic, x.count, x.dry, x.assignment...)), x.want)
		if topic, _ := f.State().TopicNamed("t"); len(topic.Partitions) != x.after {
			t.Errorf("%s: %d partitions, want %d", x.name, len(topic.Partitions), x.after)
		}
	}
}

func TestDeleteRecords(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	f.topic("c", 1, "cleanup.policy", "compact")
	f.fill(topic, 0, 5, 100)
	c := serve(t, f, Limits{}).client(t)
	trim := func(v int16, name string, offset int64) (code, int64) {
		q := kmsg.NewPtrDeleteRecordsRequest()
		qt := kmsg.NewDeleteRecordsRequestTopic()
		qt.Topic = name
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Offset = offset
		qt.Partitions = append(qt.Partitions, p)
		q.Topics = append(q.Topics, qt)
		r := ask[*kmsg.DeleteRecordsResponse](c, v, q).Topics[0].Partitions[0]
		return code(r.ErrorCode), r.LowWatermark
	}
	for i, x := range []struct {
		topic  string
		offset int64
		want   code
		low    int64
	}{
		{"t", 2, codeNone, 2}, {"t", 1, codeNone, 2}, {"t", 6, codeOffsetOutOfRange, -1}, {"t", -2, codeOffsetOutOfRange, -1},
		{"t", -1, codeNone, 5}, {"c", 0, codePolicyViolation, -1}, {"none", 0, codeUnknownTopicOrPartition, -1},
	} {
		if got, low := trim(int16(i%3), x.topic, x.offset); got != x.want || low != x.low {
			t.Errorf("%s to %d: error %d, low watermark %d; want %d, %d", x.topic, x.offset, got, low, x.want, x.low)
		}
	}
}

func TestDescribeLogDirs(t *testing.T) {
	f := newFake()
	f.topic("t", 2)
	f.topic("u", 1)
	c := serve(t, f, Limits{}).client(t)
	for v := int16(0); v <= 4; v++ {
		r := ask[*kmsg.DescribeLogDirsResponse](c, v, kmsg.NewPtrDescribeLogDirsRequest())
		if len(r.Dirs) != 1 || r.Dirs[0].Dir != "bucket" || len(r.Dirs[0].Topics) != 2 || v >= 4 && r.Dirs[0].TotalBytes != -1 {
			t.Errorf("v%d: %+v", v, r)
		}
		q := kmsg.NewPtrDescribeLogDirsRequest()
		qt := kmsg.NewDescribeLogDirsRequestTopic()
		qt.Topic, qt.Partitions = "t", []int32{1, 7}
		q.Topics = append(q.Topics, qt)
		r = ask[*kmsg.DescribeLogDirsResponse](c, v, q)
		if len(r.Dirs[0].Topics) != 1 || len(r.Dirs[0].Topics[0].Partitions) != 1 || r.Dirs[0].Topics[0].Partitions[0].Partition != 1 {
			t.Errorf("v%d narrowed: %+v", v, r.Dirs[0].Topics)
		}
	}
}

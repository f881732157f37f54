package kafka

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
)

// DescribeConfigs (32): configs of topics and settings of brokers (kafka.md 17).
//
//   - Every config is there, with its source, its synonyms (v1, KIP-226), its type
//     and its documentation (v3, KIP-569); a list of names narrows it.
//   - Topics, and brokers by node id, or by "" for what holds for all of them.
//     Groups and client metrics have none, which is no error: kafka-configs
//     asks for those of every group that it lists. Loggers are not configurable
//     here: INVALID_REQUEST.
//   - A sensitive value is null.
func apiDescribeConfigs() api {
	return api{
		key: 32, name: "DescribeConfigs", min: 0, max: 4,
		shape: parseShape(4, `resources:[ type:i8 name:str names:[str]? ] synonyms:bool@1+ docs:bool@3+`),
		serve: on((*node).describeConfigs),
	}
}

func (n *node) describeConfigs(ctx context.Context, c *call, q *kmsg.DescribeConfigsRequest) *kmsg.DescribeConfigsResponse {
	r := kmsg.NewPtrDescribeConfigsResponse()
	for i := range q.Resources {
		qr := &q.Resources[i]
		rr := kmsg.NewDescribeConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = qr.ResourceType, qr.ResourceName
		rr.Configs = []kmsg.DescribeConfigsResponseResourceConfig{}
		ds, err := n.describeResource(ctx, qr.ResourceType, qr.ResourceName)
		rr.ErrorMessage = new(string) // empty rather than null, as ConfigHelper has it
		if err != nil {
			rr.ErrorCode = int16(n.code("DescribeConfigs", err))
			if m := message(err); m != nil {
				rr.ErrorMessage = m
			}
		}
		for _, d := range ds {
			if len(qr.ConfigNames) == 0 || slices.Contains(qr.ConfigNames, d.name) {
				rr.Configs = append(rr.Configs, d.wire(c.version, q.IncludeSynonyms, q.IncludeDocumentation))
			}
		}
		r.Resources = append(r.Resources, rr)
	}
	return r
}

// describeResource describes everything of a topic or a broker, and nothing of what
// may be asked for and has no configs.
func (n *node) describeResource(ctx context.Context, kind kmsg.ConfigResourceType, name string) ([]described, error) {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		t, err := n.configured(ctx, name)
		if err != nil {
			return nil, err
		}
		own, err := n.ownSettings(ctx)
		if err != nil {
			return nil, err
		}
		return describeTopic(t, own), nil
	case kmsg.ConfigResourceTypeBroker:
		id, err := nodeOf(name)
		if err != nil {
			return nil, err
		}
		settings, err := n.Settings.List(ctx, id)
		if err != nil {
			return nil, err
		}
		return describeBroker(settings, id < 0), nil
	case kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeClientMetrics:
		if name == "" {
			return nil, codeInvalidRequest.because("groups and client metrics have no defaults for all of them")
		}
		return nil, nil
	}
	return nil, codeInvalidRequest.because("only topics and brokers have configs here")
}

// configured finds a topic whose configs are asked for.
func (n *node) configured(ctx context.Context, name string) (*catalog.Topic, error) {
	if err := catalog.CheckTopicName(name); err != nil {
		return nil, err
	}
	v := n.view()
	t, code := v.topic(ctx, name, [16]byte{}, false)
	return t, code.orNil()
}

// nodeOf reads the name of a broker resource: a node id, or "" (-1) for all.
func nodeOf(name string) (int32, error) {
	if name == "" {
		return -1, nil
	}
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil || id < 0 {
		return 0, codeInvalidRequest.because("%q is no node id", name)
	}
	return int32(id), nil
}

func (d described) wire(version int16, synonyms, docs bool) kmsg.DescribeConfigsResponseResourceConfig {
	show := func(v string) *string {
		if d.sensitive {
			return nil
		}
		return &v
	}
	rc := kmsg.NewDescribeConfigsResponseResourceConfig()
	rc.Name, rc.Value, rc.ReadOnly, rc.IsSensitive = d.name, show(d.value), d.readOnly, d.sensitive
	rc.IsDefault, rc.Source, rc.ConfigType = d.source == sourceDefault, kmsg.ConfigSource(d.source), kmsg.ConfigType(d.kind)
	rc.ConfigSynonyms = []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{}
	if synonyms && version >= 1 {
		for _, s := range d.synonyms {
			rs := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			rs.Name, rs.Value, rs.Source = s.name, show(s.value), kmsg.ConfigSource(s.source)
			rc.ConfigSynonyms = append(rc.ConfigSynonyms, rs)
		}
	}
	if docs && version >= 3 {
		rc.Documentation = kmsg.StringPtr(d.doc)
	}
	return rc
}

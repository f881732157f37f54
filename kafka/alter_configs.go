package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
)

// AlterConfigs (33) replaces the whole set of a resource; IncrementalAlterConfigs
// (44) edits it (kafka.md 18): SET, DELETE, and APPEND and SUBTRACT on lists, which
// start from the value in effect (KIP-339).
//
//   - A resource is changed as a whole or, on any fault, not at all; resources are at the
//     same time, of which MirrorMaker sends all there are in one request. validate_only
//     changes nothing. An unknown name or illegal value is INVALID_CONFIG, the same
//     name or resource twice INVALID_REQUEST.
func apiAlterConfigs() api {
	return api{
		key: 33, name: "AlterConfigs", min: 0, max: 2,
		shape: parseShape(2, `resources:[ type:i8 name:str configs:[ name:str value:str? ] ] validate:bool`),
		serve: on((*node).alterConfigs),
	}
}

func apiIncrementalAlterConfigs() api {
	return api{
		key: 44, name: "IncrementalAlterConfigs", min: 0, max: 1,
		shape: parseShape(1, `resources:[ type:i8 name:str configs:[ name:str op:i8 value:str? ] ] validate:bool`),
		serve: on((*node).incrementalAlterConfigs),
	}
}

// resource names what is configured.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

// configEdit is one edit of one config.
type configEdit struct {
	name  string
	op    kmsg.IncrementalAlterConfigOp
	value *string
}

func (n *node) alterConfigs(ctx context.Context, _ *call, q *kmsg.AlterConfigsRequest) *kmsg.AlterConfigsResponse {
	r := kmsg.NewPtrAlterConfigsResponse()
	times := map[resource]int{}
	for i := range q.Resources {
		times[resource{q.Resources[i].ResourceType, q.Resources[i].ResourceName}]++
	}
	r.Resources = make([]kmsg.AlterConfigsResponseResource, len(q.Resources))
	together(len(q.Resources), alterWidth, func(i int) {
		qr, rr := &q.Resources[i], &r.Resources[i]
		what := resource{qr.ResourceType, qr.ResourceName}
		var edits []configEdit
		for _, c := range qr.Configs {
			edits = append(edits, configEdit{c.Name, kmsg.IncrementalAlterConfigOpSet, c.Value})
		}
		err := n.alter(ctx, what, times[what], edits, true, q.ValidateOnly)
		rr.ResourceType, rr.ResourceName = what.kind, what.name
		rr.ErrorCode, rr.ErrorMessage = int16(n.code("AlterConfigs", err)), message(err)
	})
	return r
}

func (n *node) incrementalAlterConfigs(ctx context.Context, _ *call, q *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsResponse {
	r := kmsg.NewPtrIncrementalAlterConfigsResponse()
	times := map[resource]int{}
	for i := range q.Resources {
		times[resource{q.Resources[i].ResourceType, q.Resources[i].ResourceName}]++
	}
	r.Resources = make([]kmsg.IncrementalAlterConfigsResponseResource, len(q.Resources))
	together(len(q.Resources), alterWidth, func(i int) {
		qr, rr := &q.Resources[i], &r.Resources[i]
		what := resource{qr.ResourceType, qr.ResourceName}
		var edits []configEdit
		for _, c := range qr.Configs {
			edits = append(edits, configEdit{c.Name, c.Op, c.Value})
		}
		err := n.alter(ctx, what, times[what], edits, false, q.ValidateOnly)
		rr.ResourceType, rr.ResourceName = what.kind, what.name
		rr.ErrorCode, rr.ErrorMessage = int16(n.code("AlterConfigs", err)), message(err)
	})
	return r
}

// alter edits the configs of one resource, or with replace sets all of them.
func (n *node) alter(ctx context.Context, what resource, times int, edits []configEdit, replace, validateOnly bool) error {
	if times > 1 {
		return codeInvalidRequest.because("the resource is in the request more than once")
	}
	if what.kind == kmsg.ConfigResourceTypeTopic && what.name == "" {
		return codeInvalidRequest.because("the default resource of topics has no configs")
	}
	current, err := n.inEffect(ctx, what)
	if err != nil {
		return err
	}
	set, err := editConfigs(current, edits)
	if err != nil {
		return err
	}
	if what.kind == kmsg.ConfigResourceTypeBroker {
		id, err := nodeOf(what.name)
		if err != nil {
			return err
		}
		return n.Settings.Alter(ctx, id, set, replace, validateOnly)
	}
	for name, v := range set {
		if _, known := catalog.TopicConfig(name); v == nil && !known {
			delete(set, name) // it is not set, and never was
		} else if v != nil {
			if err := catalog.CheckTopicConfig(name, *v); err != nil {
				return err
			}
		}
	}
	t, err := n.configured(ctx, what.name)
	if err != nil {
		return err
	}
	if err := checkTogether(t, set, replace); err != nil || validateOnly {
		return err
	}
	return n.Topics.Alter(ctx, t.ID, set, replace)
}

// inEffect describes what edits of lists start from. For all brokers that is what
// holds for all of them, or the default: never what one broker has of its own.
func (n *node) inEffect(ctx context.Context, what resource) ([]described, error) {
	current, err := n.describeResource(ctx, what.kind, what.name)
	if err != nil {
		if bare, ok := err.(code); ok {
			err = bare.because("there is no %q", what.name)
		}
		return nil, err
	}
	if what.kind != kmsg.ConfigResourceTypeBroker || what.name != "" {
		return current, nil
	}
	own, err := n.Settings.List(ctx, n.Cluster.Self())
	if err != nil {
		return nil, err
	}
	for _, s := range own {
		if !slices.ContainsFunc(current, func(d described) bool { return d.name == s.Name }) {
			current = append(current, described{name: s.Name, value: s.Default, kind: s.Type})
		}
	}
	return current, nil
}

// checkTogether checks what a topic's configs would be.
func checkTogether(t *catalog.Topic, set map[string]*string, replace bool) error {
	configs := map[string]string{}
	if !replace {
		maps.Copy(configs, t.Configs)
	}
	for name, v := range set {
		if delete(configs, name); v != nil {
			configs[name] = *v
		}
	}
	return catalog.CheckTopicConfigs(configs)
}

// editConfigs turns edits into values (nil resets one), given what is in effect.
func editConfigs(current []described, edits []configEdit) (map[string]*string, error) {
	set := make(map[string]*string, len(edits))
	for _, e := range edits {
		if _, twice := set[e.name]; twice {
			return nil, codeInvalidRequest.because("%s is given twice", e.name)
		}
		if e.op != kmsg.IncrementalAlterConfigOpDelete && e.value == nil {
			return nil, codeInvalidRequest.because("null value for %s", e.name)
		}
		switch e.op {
		case kmsg.IncrementalAlterConfigOpSet:
			set[e.name] = e.value
		case kmsg.IncrementalAlterConfigOpDelete:
			set[e.name] = nil
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			i := slices.IndexFunc(current, func(d described) bool { return d.name == e.name })
			if i < 0 {
				return nil, fmt.Errorf("%w: unknown config name: %s", catalog.ErrInvalidConfig, e.name)
			}
			if current[i].kind != catalog.TypeList {
				return nil, fmt.Errorf("%w: %s is not a list", catalog.ErrInvalidConfig, e.name)
			}
			v := editList(current[i].value, *e.value, e.op == kmsg.IncrementalAlterConfigOpAppend)
			set[e.name] = &v
		default:
			return nil, codeInvalidRequest.because("unknown operation %d", e.op)
		}
	}
	return set, nil
}

// editList adds items to a list, or takes them away. Items that are there stay
// where they are.
func editList(list, items string, add bool) string {
	split := func(s string) (out []string) {
		for v := range strings.SplitSeq(s, ",") {
			if v = strings.TrimSpace(v); v != "" {
				out = append(out, v)
			}
		}
		return out
	}
	have := split(list)
	for _, v := range split(items) {
		i := slices.Index(have, v)
		switch {
		case add && i < 0:
			have = append(have, v)
		case !add && i >= 0:
			have = slices.Delete(have, i, i+1)
		}
	}
	return strings.Join(have, ",")
}

package kafka

import (
	"context"

	"github.com/firnlog/firn/catalog"
)

// source says where a config's value comes from, numbered as DescribeConfigs
// numbers it (KIP-226).
type source int8

const (
	sourceTopic         source = 1 // set for the topic
	sourceBroker        source = 2 // dynamic, for one broker
	sourceBrokerDefault source = 3 // dynamic, for all brokers
	sourceStatic        source = 4 // set at the start of the broker
	sourceDefault       source = 5
)

// described is one config as tools see it.
type described struct {
	name      string
	value     string
	source    source
	kind      catalog.ConfigType
	doc       string
	readOnly  bool
	sensitive bool
	synonyms  []synonym // the strongest first
}

// synonym is one of the places that a value could come from.
type synonym struct {
	name   string
	value  string
	source source
}

// describeTopic describes every config of a topic. Set on the topic is
// DYNAMIC_TOPIC_CONFIG even when the value equals the default (kafka.md 17); what only a
// setting of the broker changes has that setting's source: STATIC_BROKER_CONFIG when it was
// given at the start, so that MirrorMaker copies neither it nor the defaults.
func describeTopic(t *catalog.Topic, settings map[string]Setting) []described {
	specs := catalog.TopicConfigs()
	ds := make([]described, 0, len(specs))
	for _, s := range specs {
		d := described{name: s.Name, kind: s.Type, doc: s.Doc, readOnly: s.ReadOnly}
		if v, ok := t.Configs[s.Name]; ok {
			d.synonyms = append(d.synonyms, synonym{s.Name, v, sourceTopic})
		}
		if b, ok := settings[s.Broker]; ok && b.Source != SetByDefault {
			d.synonyms = append(d.synonyms, synonym{s.Broker, b.Value, wireSource(b.Source)})
			for _, l := range b.Lower {
				d.synonyms = append(d.synonyms, synonym{s.Broker, l.Value, wireSource(l.Source)})
			}
		}
		if s.Synonym != "" {
			d.synonyms = append(d.synonyms, synonym{s.Synonym, s.Default, sourceDefault})
		}
		d.value, d.source = s.Default, sourceDefault
		if len(d.synonyms) > 0 {
			d.value, d.source = d.synonyms[0].value, d.synonyms[0].source
		}
		ds = append(ds, d)
	}
	return ds
}

// ownSettings are the settings of this broker, by name.
func (n *node) ownSettings(ctx context.Context) (map[string]Setting, error) {
	all, err := n.Settings.List(ctx, n.Cluster.Self())
	if err != nil {
		return nil, err
	}
	out := make(map[string]Setting, len(all))
	for _, s := range all {
		out[s.Name] = s
	}
	return out, nil
}

func wireSource(s SettingSource) source {
	return [...]source{sourceBroker, sourceBrokerDefault, sourceStatic, sourceDefault}[s]
}

// describeBroker describes the settings of a broker, or those that are set for all
// of them, where no broker's default lies behind.
func describeBroker(settings []Setting, forAll bool) []described {
	ds := make([]described, 0, len(settings))
	for _, s := range settings {
		d := described{
			name: s.Name, value: s.Value, kind: s.Type, doc: s.Doc, readOnly: s.ReadOnly, sensitive: s.Sensitive,
			source: wireSource(s.Source),
		}
		d.synonyms = append(d.synonyms, synonym{s.Name, s.Value, d.source})
		for _, l := range s.Lower {
			d.synonyms = append(d.synonyms, synonym{s.Name, l.Value, wireSource(l.Source)})
		}
		if s.Source != SetByDefault && !forAll {
			d.synonyms = append(d.synonyms, synonym{s.Name, s.Default, sourceDefault})
		}
		ds = append(ds, d)
	}
	return ds
}

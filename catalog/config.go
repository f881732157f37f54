package catalog

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ConfigType is how Kafka's tools show and check a config's value.
type ConfigType uint8

// Types, numbered as DescribeConfigs numbers them (KIP-569).
const (
	TypeBool   ConfigType = 1
	TypeString ConfigType = 2
	TypeInt    ConfigType = 3
	TypeLong   ConfigType = 5
	TypeDouble ConfigType = 6
	TypeList   ConfigType = 7
)

// ConfigSpec describes one topic config. Names, defaults and meanings are
// Kafka's (TopicConfig), where Kafka has them.
type ConfigSpec struct {
	Name     string
	Type     ConfigType
	Default  string
	Broker   string // the broker setting that gives the default, or empty
	Synonym  string // Kafka's broker setting whose default is this one's (KIP-226), or empty
	ReadOnly bool
	Min, Max int64    // for TypeInt and TypeLong
	Values   []string // for TypeString and TypeList, when only these are legal
	Replicas bool     // for TypeList: its items are "*", or partition:broker
	Doc      string
}

// topicConfigs is every topic config that Firn knows, sorted by name. A config
// that has nothing to steer here says so: tools send it, and it must not fail.
var topicConfigs = []ConfigSpec{
	{Name: "cleanup.policy", Type: TypeList, Default: "delete", Broker: "log.cleanup.policy", Synonym: "log.cleanup.policy", Values: []string{"delete", "compact"}, Doc: "What becomes of old records: deleted by time and size, compacted by key, or both."},
	{Name: "compression.gzip.level", Type: TypeInt, Default: "-1", Synonym: "compression.gzip.level", Min: -1, Max: 9, Doc: "Accepted; where compression.type makes the broker compress, it takes each codec's own default (KIP-390)."},
	{Name: "compression.lz4.level", Type: TypeInt, Default: "9", Synonym: "compression.lz4.level", Min: 1, Max: 17, Doc: "Accepted; see compression.gzip.level."},
	{Name: "compression.type", Type: TypeString, Default: "producer", Broker: "compression.type", Synonym: "compression.type", Values: []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"}, Doc: "The codec of stored batches; 'producer' keeps what the producer sent."},
	{Name: "compression.zstd.level", Type: TypeInt, Default: "3", Synonym: "compression.zstd.level", Min: -131072, Max: 22, Doc: "Accepted; see compression.gzip.level."},
	{Name: "delete.retention.ms", Type: TypeLong, Default: "86400000", Broker: "log.cleaner.delete.retention.ms", Synonym: "log.cleaner.delete.retention.ms", Max: math.MaxInt64, Doc: "How long a tombstone stays in a compacted topic, from the first compaction that keeps it."},
	{Name: "file.delete.delay.ms", Type: TypeLong, Default: "60000", Synonym: "log.segment.delete.delay.ms", Max: math.MaxInt64, Doc: "Accepted; gc.grace.ms of the broker decides when objects go."},
	{Name: "flush.messages", Type: TypeLong, Default: "9223372036854775807", Broker: "log.flush.interval.messages", Synonym: "log.flush.interval.messages", Min: 1, Max: math.MaxInt64, Doc: "Accepted; an acks=all record is in the bucket before it is acknowledged."},
	{Name: "flush.ms", Type: TypeLong, Default: "9223372036854775807", Broker: "log.flush.interval.ms", Max: math.MaxInt64, Doc: "Accepted; see flush.messages."},
	{Name: "follower.replication.throttled.replicas", Type: TypeList, Default: "", Replicas: true, Doc: "Accepted; nothing is replicated between brokers."},
	{Name: "index.interval.bytes", Type: TypeInt, Default: "4096", Synonym: "log.index.interval.bytes", Max: math.MaxInt32, Doc: "Accepted; footers hold an index entry about every 32 KiB."},
	{Name: "leader.replication.throttled.replicas", Type: TypeList, Default: "", Replicas: true, Doc: "Accepted; nothing is replicated between brokers."},
	{Name: "local.retention.bytes", Type: TypeLong, Default: "-2", Broker: "log.local.retention.bytes", Synonym: "log.local.retention.bytes", Min: -2, Max: math.MaxInt64, Doc: "How many bytes of a partition the hot tier keeps after they are sealed; -2 follows retention.bytes (KIP-405)."},
	{Name: "local.retention.ms", Type: TypeLong, Default: "-2", Broker: "log.local.retention.ms", Synonym: "log.local.retention.ms", Min: -2, Max: math.MaxInt64, Doc: "How long the hot tier keeps sealed records; -2 follows retention.ms (KIP-405)."},
	{Name: "max.compaction.lag.ms", Type: TypeLong, Default: "9223372036854775807", Synonym: "log.cleaner.max.compaction.lag.ms", Min: 1, Max: math.MaxInt64, Doc: "The longest that a record stays uncompacted."},
	{Name: "max.message.bytes", Type: TypeInt, Default: "1048588", Broker: "message.max.bytes", Synonym: "message.max.bytes", Max: math.MaxInt32, Doc: "The largest batch, as compressed by the producer. socket.request.max.bytes bounds it too."},
	{Name: "message.timestamp.after.max.ms", Type: TypeLong, Default: "3600000", Broker: "log.message.timestamp.after.max.ms", Synonym: "log.message.timestamp.after.max.ms", Max: math.MaxInt64, Doc: "How far in the future a CreateTime may lie (KIP-937)."},
	{Name: "message.timestamp.before.max.ms", Type: TypeLong, Default: "9223372036854775807", Broker: "log.message.timestamp.before.max.ms", Synonym: "log.message.timestamp.before.max.ms", Max: math.MaxInt64, Doc: "How far in the past a CreateTime may lie (KIP-937)."},
	{Name: "message.timestamp.type", Type: TypeString, Default: "CreateTime", Broker: "log.message.timestamp.type", Synonym: "log.message.timestamp.type", Values: []string{"CreateTime", "LogAppendTime"}, Doc: "Whose clock stamps records."},
	{Name: "min.cleanable.dirty.ratio", Type: TypeDouble, Default: "0.5", Synonym: "log.cleaner.min.cleanable.ratio", Doc: "The share of uncompacted bytes at which compaction is worth it."},
	{Name: "min.compaction.lag.ms", Type: TypeLong, Default: "0", Synonym: "log.cleaner.min.compaction.lag.ms", Max: math.MaxInt64, Doc: "How long a record stays uncompacted at least."},
	{Name: "min.insync.replicas", Type: TypeInt, Default: "1", Broker: "min.insync.replicas", Synonym: "min.insync.replicas", Min: 1, Max: math.MaxInt32, Doc: "Stored and shown; the bucket replicates, all replicas shown are in sync."},
	{Name: "preallocate", Type: TypeBool, Default: "false", Synonym: "log.preallocate", Doc: "Accepted; objects are not preallocated."},
	{Name: "remote.log.copy.disable", Type: TypeBool, Default: "false", ReadOnly: true, Doc: "Always false: every record goes to the bucket (KIP-950)."},
	{Name: "remote.log.delete.on.disable", Type: TypeBool, Default: "false", ReadOnly: true, Doc: "Always false (KIP-950)."},
	{Name: "remote.storage.enable", Type: TypeBool, Default: "true", ReadOnly: true, Doc: "Always true: the bucket is where records live (KIP-405)."},
	{Name: "retention.bytes", Type: TypeLong, Default: "-1", Broker: "log.retention.bytes", Synonym: "log.retention.bytes", Min: -1, Max: math.MaxInt64, Doc: "The bytes of a partition above which its oldest records go; -1 for no limit."},
	{Name: "retention.ms", Type: TypeLong, Default: "604800000", Broker: "log.retention.ms", Min: -1, Max: math.MaxInt64, Doc: "How long records are kept; -1 for ever."},
	{Name: "segment.bytes", Type: TypeInt, Default: "1073741824", Broker: "log.segment.bytes", Synonym: "log.segment.bytes", Min: 1 << 20, Max: math.MaxInt32, Doc: "The size that compaction of objects aims at for this topic's segments."},
	{Name: "segment.index.bytes", Type: TypeInt, Default: "10485760", Synonym: "log.index.size.max.bytes", Min: 4, Max: math.MaxInt32, Doc: "Accepted; see index.interval.bytes."},
	{Name: "segment.jitter.ms", Type: TypeLong, Default: "0", Max: math.MaxInt64, Doc: "Accepted; generations of the hot tier are sealed, not segments."},
	{Name: "segment.ms", Type: TypeLong, Default: "604800000", Broker: "log.roll.ms", Min: 1, Max: math.MaxInt64, Doc: "Accepted; generations of the hot tier are sealed, not segments."},
	{Name: "unclean.leader.election.enable", Type: TypeBool, Default: "false", Broker: "unclean.leader.election.enable", Synonym: "unclean.leader.election.enable", Doc: "Accepted; no election can lose a committed record."},
}

// TopicConfigs returns every topic config that there is, sorted by name. The
// slice must not be changed.
func TopicConfigs() []ConfigSpec { return topicConfigs }

// TopicConfig finds one topic config.
func TopicConfig(name string) (ConfigSpec, bool) {
	i, ok := slices.BinarySearchFunc(topicConfigs, name, func(c ConfigSpec, n string) int { return strings.Compare(c.Name, n) })
	if !ok {
		return ConfigSpec{}, false
	}
	return topicConfigs[i], true
}

// CheckTopicConfig says what is wrong with setting a topic config; nil when it
// is legal. The error wraps ErrInvalidConfig and says what would be right.
func CheckTopicConfig(name, value string) error {
	c, ok := TopicConfig(name)
	if !ok {
		return fmt.Errorf("%w: unknown topic config name: %s", ErrInvalidConfig, name)
	}
	if c.ReadOnly && value != c.Default {
		return fmt.Errorf("%w: %s is always %s", ErrInvalidConfig, name, c.Default)
	}
	return c.Check(value)
}

// Check says whether the value is legal for the config.
func (c ConfigSpec) Check(value string) error {
	bad := func(want string) error {
		return fmt.Errorf("%w: invalid value %q for %s: want %s", ErrInvalidConfig, value, c.Name, want)
	}
	switch c.Type {
	case TypeBool:
		if l := strings.ToLower(value); l != "true" && l != "false" {
			return bad("true or false")
		}
	case TypeInt, TypeLong:
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil || n < c.Min || n > c.Max {
			return bad(fmt.Sprintf("a number from %d to %d", c.Min, c.Max))
		}
	case TypeDouble:
		if f, err := strconv.ParseFloat(value, 64); err != nil || !(f >= 0 && f <= 1) {
			return bad("a number from 0 to 1")
		}
	case TypeString:
		if len(c.Values) > 0 && !slices.Contains(c.Values, value) {
			return bad("one of " + strings.Join(c.Values, ", "))
		}
	case TypeList:
		switch {
		case c.Replicas:
			return c.checkReplicas(value, bad)
		case len(c.Values) == 0 || strings.TrimSpace(value) == "":
			return nil // no cleanup.policy at all: nothing is ever removed, as in Kafka 4.2
		}
		for v := range strings.SplitSeq(value, ",") {
			if !slices.Contains(c.Values, strings.TrimSpace(v)) {
				return bad("a list of " + strings.Join(c.Values, ", "))
			}
		}
	}
	return nil
}

// checkReplicas checks a list of throttled replicas: nothing, "*", or items that
// each name a partition and a broker.
func (c ConfigSpec) checkReplicas(value string, bad func(string) error) error {
	value = strings.TrimSpace(value)
	if value == "" || value == "*" {
		return nil
	}
	for v := range strings.SplitSeq(value, ",") {
		partition, broker, ok := strings.Cut(strings.TrimSpace(v), ":")
		if _, err := strconv.ParseUint(partition, 10, 31); err != nil || !ok {
			return bad("*, or a list of partition:broker")
		}
		if _, err := strconv.ParseUint(broker, 10, 31); err != nil {
			return bad("*, or a list of partition:broker")
		}
	}
	return nil
}

// CheckTopicConfigs says what is wrong with the configs of one topic together, each
// of which is legal on its own. The error wraps ErrInvalidConfig.
func CheckTopicConfigs(configs map[string]string) error {
	t := Topic{Configs: configs}
	if least, most := t.Int("min.compaction.lag.ms", nil), t.Int("max.compaction.lag.ms", nil); least > most {
		return fmt.Errorf("%w: min.compaction.lag.ms is %d, above max.compaction.lag.ms, which is %d", ErrInvalidConfig, least, most)
	}
	return nil
}

// Int is a topic config as a number, with defaults from the broker where the
// topic does not set it.
func (t *Topic) Int(name string, broker func(string) (string, bool)) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(t.Config(name, broker)), 10, 64)
	return n
}

// Config is the effective value of a topic config: the topic's own, else the
// broker's (asked by the broker's name of it; may be nil), else the default.
func (t *Topic) Config(name string, broker func(string) (string, bool)) string {
	if v, ok := t.Configs[name]; ok {
		return v
	}
	c, _ := TopicConfig(name)
	if c.Broker != "" && broker != nil {
		if v, ok := broker(c.Broker); ok {
			return v
		}
	}
	return c.Default
}

// Has reports whether a list config, such as cleanup.policy, contains a value.
func (t *Topic) Has(name, value string, broker func(string) (string, bool)) bool {
	for v := range strings.SplitSeq(t.Config(name, broker), ",") {
		if strings.TrimSpace(v) == value {
			return true
		}
	}
	return false
}

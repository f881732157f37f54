package settings

import (
	"math"

	"github.com/firnlog/firn/catalog"
)

func row(name string, t catalog.ConfigType, def string, lo, hi int64, dynamic bool, doc string) Spec {
	return Spec{ConfigSpec: catalog.ConfigSpec{Name: name, Type: t, Default: def, Min: lo, Max: hi, Doc: doc}, Dynamic: dynamic}
}

func text(name, def, doc string) Spec {
	return row(name, catalog.TypeString, def, 0, 0, false, doc)
}

func number(name, def string, lo, hi int64, doc string) Spec {
	return row(name, catalog.TypeLong, def, lo, hi, false, doc)
}

func choice(name, def string, dynamic bool, doc string, values ...string) Spec {
	s := row(name, catalog.TypeString, def, 0, 0, dynamic, doc)
	s.Values = values
	return s
}

func flag(s Spec, name string) Spec { s.Flag = name; return s }
func live(s Spec) Spec              { s.Dynamic = true; return s }
func list(s Spec) Spec              { s.Type = catalog.TypeList; return s }

const (
	maxInt  = math.MaxInt32
	maxLong = math.MaxInt64
)

// table is every setting, sorted by name. The doc says what it does, and who
// would change it and when.
var table = []Spec{
	text("advertised.listeners", "", "HOST:PORT that clients are told to connect to; the listener's own when empty. Set it when clients reach the broker under another name: containers, NAT, load balancers."),
	live(row("auto.create.topics.enable", catalog.TypeBool, "true", 0, 0, true, "Whether a topic that a client names is created. Turn it off where topics are managed.")),
	flag(text("broker.rack", "", "Availability zone of this broker. Set it in clouds: clients with the same client.rack read from it."), "rack"),
	number("cache.bytes", "67108864", 1<<20, maxLong, "Memory for blocks read from the bucket. Raise it when many readers replay the same history."),
	live(choice("compression.type", "producer", true, "Codec of stored batches where a topic sets none.", "uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")),
	number("connections.max.idle.ms", "600000", 1000, maxLong, "How long a silent connection stays open."),
	text("data.dir", "", "Folder of the hot tier: a cache with the acks=1 promise. Fast local disk; may be wiped at any time."),
	live(row("default.replication.factor", catalog.TypeInt, "1", 1, 32767, true, "Replication factor shown for topics that ask for none. The bucket replicates.")),
	live(row("delete.topic.enable", catalog.TypeBool, "true", 0, 0, true, "Whether topics can be deleted.")),
	number("drain.timeout.ms", "30000", 0, maxLong, "How long a broker that is asked to stop may take to finish what waits. Raise it with slow stores."),
	number("fetch.max.bytes", "57671680", 1024, maxInt, "The largest answer to one Fetch."),
	number("gc.grace.ms", "600000", 0, maxLong, "How long an object that nothing refers to stays, for readers that are behind. Lower it in tests only."),
	text("gossip", "", "HOST:PORT of the gossip listener; empty for a free port of the Kafka listener's host."),
	number("group.initial.rebalance.delay.ms", "3000", 0, maxLong, "How long the first join of a group waits for others. 0 in development."),
	number("group.max.session.timeout.ms", "1800000", 1, maxInt, "The longest session timeout that a group member may ask for."),
	number("group.max.size", "1000", 1, maxInt, "The most members of a group."),
	number("group.min.session.timeout.ms", "6000", 1, maxInt, "The shortest session timeout that a group member may ask for."),
	number("hot.max.bytes", "10737418240", 64<<20, maxLong, "Disk for the hot tier. As much as recent readers reach back."),
	text("http", "127.0.0.1:8080", "HOST:PORT of metrics and probes."),
	list(text("join", "", "HOST:PORT,… of other brokers' gossip listeners; the catalog's live sessions are tried as well.")),
	text("listeners", "127.0.0.1:9092", "HOST:PORT of the Kafka listener. Port 0 takes a free one."),
	live(row("log.cleaner.delete.retention.ms", catalog.TypeLong, "86400000", 0, maxLong, true, "delete.retention.ms of topics that set none.")),
	live(list(text("log.cleanup.policy", "delete", "cleanup.policy of topics that set none."))),
	choice("log.format", "json", false, "How the broker logs: json for machines, text for people.", "json", "text"),
	live(row("log.local.retention.bytes", catalog.TypeLong, "-2", -2, maxLong, true, "local.retention.bytes of topics that set none.")),
	live(row("log.local.retention.ms", catalog.TypeLong, "-2", -2, maxLong, true, "local.retention.ms of topics that set none.")),
	live(row("log.message.timestamp.after.max.ms", catalog.TypeLong, "3600000", 0, maxLong, true, "message.timestamp.after.max.ms of topics that set none.")),
	live(row("log.message.timestamp.before.max.ms", catalog.TypeLong, "9223372036854775807", 0, maxLong, true, "message.timestamp.before.max.ms of topics that set none.")),
	live(choice("log.message.timestamp.type", "CreateTime", true, "message.timestamp.type of topics that set none.", "CreateTime", "LogAppendTime")),
	live(row("log.retention.bytes", catalog.TypeLong, "-1", -1, maxLong, true, "retention.bytes of topics that set none.")),
	number("log.retention.check.interval.ms", "300000", 1, maxLong, "How often retention looks at partitions."),
	live(row("log.retention.ms", catalog.TypeLong, "604800000", -1, maxLong, true, "retention.ms of topics that set none.")),
	live(row("log.roll.ms", catalog.TypeLong, "604800000", 1, maxLong, true, "segment.ms of topics that set none; accepted.")),
	live(row("log.segment.bytes", catalog.TypeInt, "1073741824", 1<<20, maxInt, true, "segment.bytes of topics that set none.")),
	number("max.connections", "10000", 1, maxInt, "The most connections at once."),
	number("max.connections.per.ip", "10000", 1, maxInt, "The most connections from one address."),
	live(row("message.max.bytes", catalog.TypeInt, "1048588", 0, 8<<20, true, "The largest batch, for topics that set no max.message.bytes.")),
	live(row("min.insync.replicas", catalog.TypeInt, "1", 1, maxInt, true, "Shown for topics that set none; the bucket replicates.")),
	number("node.id", "-1", -1, maxInt, "Kafka's broker id; -1 takes the one of the former life, or a free one. Set it where ids are assigned."),
	live(row("num.partitions", catalog.TypeInt, "1", 1, catalog.MaxPartitions, true, "Partitions of topics that ask for none.")),
	number("offset.metadata.max.bytes", "4096", 0, maxInt, "The longest metadata of a committed offset."),
	number("offsets.retention.check.interval.ms", "600000", 1, maxLong, "How often expired offsets are looked for."),
	number("offsets.retention.minutes", "10080", 1, maxInt, "How long committed offsets of an empty group stay."),
	number("offsets.topic.num.partitions", "50", 1, 1000, "Partitions of __consumer_offsets. It counts when the topic is created."),
	number("producer.id.expiration.ms", "86400000", 1, maxInt, "How long an idle idempotent producer is remembered."),
	number("put.rate", "-1", -1, maxInt, "Puts of WAL objects per second that the bill allows; 0 for no limit, -1 for 8 on AWS, 200 on other endpoints, no limit on file and mem."),
	number("seal.bytes", "268435456", 1<<20, 1<<30, "Size at which a generation of the hot tier is sealed."),
	number("seal.interval.ms", "60000", 100, maxLong, "Age at which a generation of the hot tier is sealed. Lower it to watch objects move."),
	number("session.rotate.ms", "3600000", 1000, maxLong, "Age at which a session is rotated, so that its WAL objects can go."),
	number("session.rotate.slots", "4096", 16, 1<<20, "WAL objects after which a session is rotated."),
	number("socket.request.max.bytes", "104857600", 1<<20, maxInt, "The largest request."),
	text("store", "", "Where records live: s3://bucket/prefix?endpoint=…&region=…&path_style=true, minio://host:port/bucket/prefix, file:///dir or mem://."),
	number("tail.bytes", "67108864", 1<<20, maxLong, "Memory for the newest batches."),
}

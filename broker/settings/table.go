package settings

import (
	"math"

	"github.com/firnlog/firn/catalog"
)

const (
	maxInt  = math.MaxInt32
	maxLong = math.MaxInt64
)

func row(name string, t catalog.ConfigType, def, doc, when string) Spec {
	return Spec{ConfigSpec: catalog.ConfigSpec{Name: name, Type: t, Default: def, Doc: doc}, When: when}
}

func text(name, def, doc, when string) Spec { return row(name, catalog.TypeString, def, doc, when) }
func list(name, def, doc, when string) Spec { return row(name, catalog.TypeList, def, doc, when) }
func truth(name, def, doc, when string) Spec {
	return row(name, catalog.TypeBool, def, doc, when)
}

func number(name, def string, lo, hi int64, doc, when string) Spec {
	t := catalog.TypeLong
	if hi <= maxInt {
		t = catalog.TypeInt
	}
	s := row(name, t, def, doc, when)
	s.Min, s.Max = lo, hi
	return s
}

func oneOf(s Spec, values ...string) Spec           { s.Values = values; return s }
func checked(s Spec, check func(string) error) Spec { s.check = check; return s }
func alias(s Spec, name string) Spec                { s.Alias = name; return s }
func common(s Spec) Spec                            { s.Common = true; return s }
func live(s Spec) Spec                              { s.Dynamic = true; return s }
func secret(s Spec) Spec                            { s.Secret = true; return s }

// ofTopics is the Doc of a setting that gives topics their default.
func ofTopics(config string) string { return config + " of topics that set none." }

const (
	clusterwide = "Whoever decides for all topics at once. A topic's own config is the better place for one topic."
	tests       = "Tests that must not wait."
	nobody      = "Nobody; tools may send it."
)

// table is every setting, sorted by name.
var table = []Spec{
	common(checked(list("advertised.listeners", "", "HOST:PORT that clients are told to connect to, or NAME://HOST:PORT,… for several listeners: a client is told the address of the one it came by. Without HOST, this machine's name; the listeners' own when empty.",
		"Whoever runs a broker that clients reach under another name: containers, NAT, load balancers."), advertised)),
	live(truth("auto.create.topics.enable", "true", "Whether a topic that a client names is created.",
		"Operators who manage topics turn it off, so that a misspelt name is an error.")),
	live(truth("broker.drain", "false", "Whether this broker gives up all its partitions and takes none, as long as others are there. It stays so over restarts.",
		"Before a machine is taken away for long: firn cluster drain NODE sets it for one broker.")),
	common(alias(text("broker.rack", "", "Availability zone of this broker.",
		"In clouds, on every broker: clients with the same client.rack read from it, which saves traffic between zones."), "rack")),
	number("broker.session.timeout.ms", "9000", 100, 1<<31-1, "How long a broker that does not reach the journal in the bucket goes on serving as leader of its partitions and groups. Afterwards it sends clients away until it does, and others that reach it take over.",
		"Lower it when reads that are seconds stale do harm while a broker is cut off from the bucket; raise it where the bucket is often away for longer and there is one broker only."),
	number("bucket.unready.ms", "30000", 1000, maxLong, "How long records may wait while no put to the bucket succeeds before the broker says on /readyz that it is not ready, and the others give it nothing new. It goes on trying, and producers are answered when it succeeds or when their time is over.",
		"Below the request.timeout.ms of producers (30 s by default) to send new clients elsewhere earlier. All brokers share the bucket: too low, and a short outage takes all of them out of a load balancer at once."),
	number("cache.bytes", "67108864", 1<<20, maxLong, "Memory for blocks read from the bucket.",
		"Raise it when many readers replay the same history, and firn_object_requests_total{op=\"get\"} grows with the readers."),
	live(oneOf(text("compression.type", "producer", ofTopics("compression.type"), clusterwide), "uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")),
	number("connections.max.idle.ms", "600000", 1000, maxLong, "How long a silent connection stays open.",
		"Lower it where clients leak connections. Above the longest pause of your clients, or they reconnect all the time."),
	common(text("data.dir", "", "Folder of the hot tier: a cache, which also keeps the promise of acks=1. It may be wiped when the broker is down.",
		"On every broker that has a fast local disk. Without it, acks=1 is acknowledged as acks=all is.")),
	live(number("default.replication.factor", "1", 1, 32767, "Replication factor shown for topics that ask for none. The bucket replicates, not the brokers.",
		"Where a tool insists on seeing 3.")),
	live(truth("delete.topic.enable", "true", "Whether topics can be deleted.", "Operators who want no client to delete history.")),
	number("drain.linger.ms", "4000", 0, maxLong, "How long a broker that has given up its partitions stays to tell clients who has them now.",
		"Above heartbeat.interval.ms of consumers, 3 s by default, so that members of groups notice no end. A lone broker does not stay."),
	number("drain.timeout.ms", "30000", 0, maxLong, "How long a broker that is asked to stop may take to put what waits into the bucket.",
		"Raise it with slow stores; keep it below the time after which the orchestrator kills (terminationGracePeriodSeconds)."),
	number("fetch.max.bytes", "57671680", 1024, maxInt, "The largest answer to one Fetch.", "Lower it when many consumers and little memory meet."),
	live(number("follower.replication.throttled.rate", "9223372036854775807", 0, maxLong, "Accepted: nothing is replicated between brokers.", "Nobody; kafka-reassign-partitions --throttle sends it.")),
	number("gc.grace.ms", "600000", 0, maxLong, "How long an object that nothing refers to stays in the bucket, for readers that are behind.", tests),
	common(checked(text("gossip", "", "HOST:PORT of the gossip listener; a free port of the Kafka listener's host when empty.",
		"Whoever must open firewalls, and wherever --join names this broker."), listener)),
	text("gossip.key.file", "", "File of the keys that gossip between brokers is sealed with (AES-GCM), one on each line: 16, 24 or 32 bytes in base64. The first seals, all open; the file is read again every 10 s. Gossip is open to everybody when empty.",
		"Wherever others can reach the gossip port; on all brokers at once. To change a key, add the new one last in every file, then move it to the first line, then remove the old one."),
	number("group.initial.rebalance.delay.ms", "3000", 0, maxInt, "How long the first rebalance of an empty group waits for more members.",
		"0 in development, where one member is all there will be; more where hundreds start at once."),
	number("group.max.session.timeout.ms", "1800000", 1, maxInt, "The longest session timeout that a group member may ask for.", "Batch jobs whose members are silent for longer."),
	number("group.max.size", "1000", 1, maxInt, "The most members of a group.", "Lower it against clients that join in a loop."),
	number("group.min.session.timeout.ms", "6000", 1, maxInt, "The shortest session timeout that a group member may ask for.", "Lower it for faster failover, at the price of more heartbeats."),
	number("hot.max.bytes", "10737418240", 64<<20, maxLong, "Disk for the hot tier.", "As much as recent readers reach back, and less than the disk has."),
	common(checked(text("http", "127.0.0.1:8080", "HOST:PORT of metrics and probes.", "0.0.0.0:8080 where Prometheus or an orchestrator asks from outside."), listener)),
	truth("http.pprof", "false", "Whether /debug/pprof/ is served. Profiles tell much about a process and cost CPU.", "While a broker is being examined, where the HTTP port is not open to everybody."),
	checked(text("inter.broker.listener.name", "", "The listener whose advertised address other brokers use; the first of listeners when empty.",
		"With several listeners, when the first is not the one that brokers reach each other by."), listenerIs),
	common(checked(list("join", "", "HOST:PORT,… of other brokers' gossip listeners. The addresses in the bucket are tried as well.",
		"Hardly ever: when brokers cannot be reached at the addresses that they have put into the bucket."), members)),
	live(number("leader.replication.throttled.rate", "9223372036854775807", 0, maxLong, "Accepted: nothing is replicated between brokers.", "Nobody; kafka-reassign-partitions --throttle sends it.")),
	checked(list("listener.security.protocol.map", "", "NAME:PLAINTEXT,… of the listeners. Every listener speaks PLAINTEXT, with or without it.",
		"Whoever brings a Kafka configuration along."), protocols),
	common(checked(list("listeners", "127.0.0.1:9092", "HOST:PORT of the Kafka listener, or NAME://HOST:PORT,… of several. Port 0 takes a free one.",
		"0.0.0.0:9092 on servers; INTERNAL://0.0.0.0:29092,EXTERNAL://0.0.0.0:9092 where clients come from two networks."), listeners)),
	live(number("log.cleaner.backoff.ms", "15000", 0, maxLong, "Accepted: compaction looks as often as seal.interval.ms says.", nobody)),
	live(number("log.cleaner.delete.retention.ms", "86400000", 0, maxLong, ofTopics("delete.retention.ms"), clusterwide)),
	live(number("log.cleaner.threads", "1", 1, maxInt, "Accepted: a broker has one press, which compacts as well.", nobody)),
	live(oneOf(list("log.cleanup.policy", "delete", ofTopics("cleanup.policy"), clusterwide), "delete", "compact")),
	live(number("log.flush.interval.messages", "9223372036854775807", 1, maxLong, "flush.messages of topics that set none. Accepted: an acks=all record is in the bucket before it is acknowledged.", nobody)),
	live(number("log.flush.interval.ms", "9223372036854775807", 0, maxLong, "flush.ms of topics that set none. Accepted; see log.flush.interval.messages.", nobody)),
	common(oneOf(text("log.format", "json", "How the broker logs.", "text where people read it."), "json", "text")),
	oneOf(text("log.level", "info", "The least important line that is logged.", "debug while something is being examined."), "debug", "info", "warn", "error"),
	live(number("log.local.retention.bytes", "-2", -2, maxLong, ofTopics("local.retention.bytes"), clusterwide)),
	live(number("log.local.retention.ms", "-2", -2, maxLong, ofTopics("local.retention.ms"), clusterwide)),
	live(number("log.message.timestamp.after.max.ms", "3600000", 0, maxLong, ofTopics("message.timestamp.after.max.ms"), clusterwide)),
	live(number("log.message.timestamp.before.max.ms", "9223372036854775807", 0, maxLong, ofTopics("message.timestamp.before.max.ms"), clusterwide)),
	live(oneOf(text("log.message.timestamp.type", "CreateTime", ofTopics("message.timestamp.type"), clusterwide), "CreateTime", "LogAppendTime")),
	live(number("log.retention.bytes", "-1", -1, maxLong, ofTopics("retention.bytes"), clusterwide)),
	number("log.retention.check.interval.ms", "300000", 1, maxLong, "How often retention looks at partitions.", tests),
	number("log.retention.hours", "168", -1, maxInt, "log.retention.ms in hours; that one and the one in minutes win.", "Whoever brings a Kafka configuration along."),
	number("log.retention.minutes", "10080", -1, maxInt, "log.retention.ms in minutes; that one wins.", "Whoever brings a Kafka configuration along."),
	live(number("log.retention.ms", "604800000", -1, maxLong, ofTopics("retention.ms"), "Whoever pays for the bucket. -1 keeps everything.")),
	number("log.roll.hours", "168", 1, maxInt, "log.roll.ms in hours; that one wins.", "Whoever brings a Kafka configuration along."),
	live(number("log.roll.ms", "604800000", 1, maxLong, "segment.ms of topics that set none. Accepted: generations of the hot tier are sealed, not segments.", nobody)),
	live(number("log.segment.bytes", "1073741824", 1<<20, maxInt, ofTopics("segment.bytes"), clusterwide)),
	number("max.connection.creation.rate", "2147483647", 1, maxInt, "The most new connections in a second.", "Lower it where clients connect in storms and the CPU is needed by those that are connected."),
	number("max.connections", "10000", 1, maxInt, "The most connections at once.", "As many as the process may open files, less a few hundred."),
	number("max.connections.per.ip", "10000", 1, maxInt, "The most connections from one address.", "Lower it where clients are many and not trusted; not behind a proxy or NAT."),
	live(number("message.max.bytes", "1048588", 0, 1<<31-1, ofTopics("max.message.bytes")+" socket.request.max.bytes bounds it too.", clusterwide)),
	live(number("min.insync.replicas", "1", 1, maxInt, ofTopics("min.insync.replicas")+" Shown only: the bucket replicates.", "Where a tool insists on seeing 2.")),
	common(number("node.id", "-1", -1, maxInt, "Kafka's broker id. -1 takes that of the former life in this data folder or at this address, else a free one.", "Where an orchestrator assigns ids.")),
	live(number("num.partitions", "1", 1, catalog.MaxPartitions, "Partitions of topics that ask for none.", "Where topics are created by clients, which cannot ask.")),
	number("offset.metadata.max.bytes", "4096", 0, maxInt, "The longest metadata of a committed offset.", "Clients that keep state in it."),
	number("offsets.retention.check.interval.ms", "600000", 1, maxLong, "How often expired offsets are looked for.", tests),
	number("offsets.retention.minutes", "10080", 1, maxInt, "How long committed offsets of an empty group stay.", "Consumers that run less than once a week."),
	number("offsets.topic.num.partitions", "50", 1, 1000, "Partitions of __consumer_offsets. It counts once, when the topic is created.", "Fewer in development; never more than groups."),
	number("producer.id.expiration.ms", "86400000", 1, maxInt, "How long an idle idempotent producer is remembered.", "Raise it for producers that pause for longer than a day and must not duplicate."),
	number("put.rate", "-1", -1, maxInt, "WAL objects per second that the bill allows: 0 for no limit, -1 for 8 on AWS, 200 on other endpoints, no limit on file and mem.",
		"Whoever pays for puts. 8/s are about 21 million puts a month; fewer mean larger objects and later acknowledgements."),
	live(number("replica.alter.log.dirs.io.max.bytes.per.second", "9223372036854775807", 0, maxLong, "Accepted: there is one place of records, the bucket.", "Nobody; kafka-reassign-partitions --throttle sends it.")),
	number("seal.bytes", "268435456", 1<<20, 1<<30, "Size at which a generation of the hot tier is sealed.", "Lower it with little memory or disk."),
	number("seal.interval.ms", "60000", 100, maxLong, "Age at which a generation of the hot tier is sealed.", "Lower it to watch objects move; every seal is an object and a journal entry."),
	number("session.rotate.ms", "3600000", 1000, maxLong, "Age at which a session is rotated, so that its WAL objects can be deleted.", tests),
	number("session.rotate.slots", "4096", 16, 1<<20, "WAL objects after which a session is rotated.", "Lower it to keep fewer small objects in the bucket."),
	number("socket.request.max.bytes", "104857600", 1<<20, maxInt, "The largest request.", "Raise it for producers with many partitions and large batches."),
	common(secret(text("store", "", "Where records live: s3://bucket/prefix?endpoint=…&region=…&path_style=true, minio://host:port/bucket/prefix, file:///dir or mem://. Credentials come from the AWS chain, never from the URL.",
		"On every broker: all brokers of a cluster have the same one."))),
	number("tail.bytes", "67108864", 1<<20, maxLong, "Memory for the newest batches.", "Raise it when consumers that are seconds behind read from the hot tier."),
	live(truth("unclean.leader.election.enable", "false", ofTopics("unclean.leader.election.enable")+" Accepted: no election can lose a committed record.", nobody)),
}

package main

// intentions is every difference from Kafka that is meant, and why. The first row
// that fits explains; step, path and so on are regular expressions of the whole.
var intentions = []intended{
	{path: `.*ErrorMessage`, kafka: `null|text|`, firn: `null|text|`,
		why: "whether an error has a text is not a promise of Kafka's: clients read the code, and Firn has a text wherever it knows one"},
	{api: "ApiVersions", path: `ApiKeys.*|(Supported|Finalized)Features.*|FinalizedFeaturesEpoch|ZkMigrationReady`,
		why: "what is not there is not advertised: transactions, KIP-848, share and streams groups, SASL, KRaft; old versions that cost nothing are"},

	// Bytes that are not valid requests.
	{scenario: "connection/bytes", step: `bytes behind the body|a client id of length -2|Metadata of a negative array`,
		why: "a body is read to its end and lengths below -1 are refused: what else they would mean nobody knows"},
	{scenario: "connection/bytes", step: "SaslHandshake", why: "SASL is not served, nor advertised"},

	// Metadata.
	{scenario: "metadata/auto creation", why: "a topic is made before the answer, with leaders (protocol.md 7): clients need not ask again"},
	{scenario: "metadata/of topics", step: "neither name nor id", why: "Kafka fails with UNKNOWN_SERVER_ERROR; an id of zeros is UNKNOWN_TOPIC_ID"},
	{scenario: "metadata/topic partitions", step: "no name", why: "Kafka fails with UNKNOWN_SERVER_ERROR of a topic whose name is empty"},

	// Topics.
	{scenario: "topics/create", step: `name __(consumer_offsets|transaction_state|share_group_state)`, why: "internal topics are made by the broker alone"},
	{scenario: "topics/create", path: `Topics\[[^]]*\]\.TopicID`, firn: "zero", why: "what is only validated has no id; Kafka draws one and forgets it"},
	{scenario: "topics/create", step: "config retention.bytes -2", why: "a number that means nothing is refused"},
	{scenario: "topics/create", step: "config remote.storage.enable true", why: "the bucket is where records live: tiered storage is always on"},
	{path: `.*Configs\[remote\.[a-z.]*\]\..*`, why: "the bucket is where records live: remote.* are fixed"},
	{path: `.*Configs\[min\.insync\.replicas\]\..*`, why: "Kafka sets a cluster-wide default for eligible leader replicas (KIP-966), which are not needed here"},

	{scenario: "topics/delete", step: "twice", path: `.*TopicID`, why: "the id of a topic is told where it is known"},

	// Configs of other resources.
	{scenario: "configs/describe others", step: "broker, everything", why: "brokers have other settings; those of one name mean the same"},
	{scenario: "configs/describe others", step: "broker ", why: "Kafka sets a cluster-wide min.insync.replicas for eligible leader replicas (KIP-966)"},
	{scenario: "configs/edit brokers", step: "after .*", path: `Resources\[\]?.*|Resources#`, why: "Kafka's cluster-wide min.insync.replicas, and settings that can be changed here while the broker runs"},
	{scenario: "configs/describe others", step: "broker", why: "defaults of a broker on a bucket differ, and more settings can be changed while it runs"},
	{scenario: "configs/describe others", step: "client metrics|group", why: "KIP-714 and KIP-848 are not served: groups and client metrics have no configs"},
	{scenario: "configs/edit topics", step: "operation 9.*", why: "Kafka fails with UNKNOWN_SERVER_ERROR"},
	{scenario: "configs/edit brokers", step: `read-only.*|illegal.*|unknown.*`, why: "more settings can be changed while a broker runs; a name that nobody knows and an illegal value are INVALID_CONFIG, of whatever they are"},
	{scenario: "configs/replace", step: "resource twice.*|after resource twice", why: "Kafka gives no answer"},

	// Produce and Fetch.
	{scenario: "produce/batches", step: "null", why: "Kafka gives no answer"},
	{scenario: "produce/.*", path: `.*LogStartOffset`, why: "the log start is told of batches that are taken"},
	{scenario: "produce/batches", step: "bytes behind|LogAppendTime set", why: "a batch with bytes behind it, or with a time that the broker claims to have set, is refused"},
	{scenario: "produce/batches", step: "codec 7|garbage as gzip", why: "compressed batches are not opened on the way in (protocol.md 3); Kafka fails with UNKNOWN_SERVER_ERROR"},
	{scenario: "produce/sequences", path: `.*LogAppendTime`, why: "the time of a batch that came twice is not kept; producers do not read it"},
	{scenario: "fetch/offsets", step: `at most 180.*`, why: "batches are sent whole, never cut at a limit (KIP-74)"},
	{scenario: "fetch/offsets", step: "as a replica", why: "nobody is a replica: refused with a code rather than by closing"},
	{scenario: "fetch/offsets", step: "isolation 5", why: "Kafka fails with UNKNOWN_SERVER_ERROR; what is not read_committed is read_uncommitted"},
	{scenario: "fetch/sessions", path: "SessionID", why: "sessions are declined (KIP-227 allows it): brokers have no state of connections"},
	{scenario: "fetch/formats", step: "zipped-fetch", path: `.*(Length|CRC|Records)`, why: "another gzip"},
	{scenario: "offsets/list", step: `-[456].*`, why: "there is tiered storage: -4 to -6 tell of it"},
	{scenario: "offsets/list", step: "as replica 1", why: "nobody is a replica"},
	{scenario: "offsets/epochs", step: "negative", why: "no epoch is negative; Kafka makes 0 of its end"},

	// Groups.
	{scenario: "groups/described", step: `list .*`, why: "a group that nobody has joined is not kept; Kafka keeps it empty when a member was refused"},
	{scenario: "tools/log dirs", path: `Dirs.*`, why: "there is one place of records, the bucket"},
	{scenario: "tools/elections", step: "elect all", why: "topics without an election are left out; Kafka names them with no partitions"},
	{scenario: "tools/others", step: "quorum", why: "there is no quorum: the journal in the bucket is told of in its place"},
	{scenario: "tools/others", step: "config resources", why: "loggers, groups and client metrics have no configs here"},
}

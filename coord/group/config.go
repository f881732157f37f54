package group

// Config are the limits and times of groups, by Kafka's names.
type Config struct {
	MinSessionMs     int64 // group.min.session.timeout.ms, default 6 s
	MaxSessionMs     int64 // group.max.session.timeout.ms, default 30 min
	InitialDelayMs   int64 // group.initial.rebalance.delay.ms; 0 is none
	MaxSize          int   // group.max.size, default 1,000: Kafka has no bound, and memory has
	MetadataMax      int   // offset.metadata.max.bytes, default 4096
	RetentionMs      int64 // offsets.retention.minutes, default 7 d
	CheckMs          int64 // offsets.retention.check.interval.ms, default 10 min
	MaxGroups        int   // of one partition, default 10,000
	MaxGroupID       int   // bytes, default 1024
	MaxProtocolBytes int   // of one member: what it says of itself, default 2 MiB (5,000 topics by their names, and as many that it has, for two protocols)
	MaxMemberBytes   int   // of one partition: that of all members, and their assignments, default 32 MiB
	MaxRecordBytes   int   // of a group's record, default 4 MiB
}

// newMemberJoinMs is how long the join of a new member may wait. Nobody can tell
// whether its client is still there, for it has no id to heartbeat with; who is
// there asks again (Kafka's new member join timeout).
const newMemberJoinMs = 5 * 60 * 1000

func (c Config) defaults() Config {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	setInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&c.MinSessionMs, 6000)
	set(&c.MaxSessionMs, 30*60*1000)
	set(&c.RetentionMs, 7*24*60*60*1000)
	set(&c.CheckMs, 10*60*1000)
	c.InitialDelayMs = max(c.InitialDelayMs, 0)
	setInt(&c.MaxSize, 1000)
	setInt(&c.MetadataMax, 4096)
	setInt(&c.MaxGroups, 10000)
	setInt(&c.MaxGroupID, 1024)
	setInt(&c.MaxProtocolBytes, 2<<20)
	setInt(&c.MaxMemberBytes, 32<<20)
	setInt(&c.MaxRecordBytes, 4<<20)
	return c
}

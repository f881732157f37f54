package kafka

import (
	"context"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
)

// Backend is what lies behind the wire. All of it must be set.
type Backend struct {
	Cluster   Cluster
	Settings  Settings
	Log       Log
	History   History
	Producers Producers
	Topics    Topics
	Groups    Groups

	// One coordinator is all three: coord.Coordinator.
	Members    Members
	Offsets    Offsets
	GroupAdmin GroupAdmin
}

// Cluster is what the brokers agree on. Its methods do not block, but for Hear.
type Cluster interface {
	// State is the catalog as this broker knows it. A topic that this broker has
	// created or changed shows in it before the call that did so returned.
	State() *catalog.State
	// Hear returns when State shows what any broker had created or changed before the
	// call, or after a moment when the bucket does not answer. It asks the bucket, but not
	// more often than may be however often it is called, so that a client may wait for
	// ever for a topic that nobody makes.
	Hear(ctx context.Context)
	// Self is this broker's node id.
	Self() int32
	// Brokers are the live brokers as clients of a listener reach them, by ascending
	// node id: those that have no listener of that name are left out. Of the listener
	// "" they are all of them, this one among them, as brokers reach each other. The
	// slice is not changed afterwards by either side.
	Brokers(listener string) []Broker
}

// Broker is one live broker as clients reach it.
type Broker struct {
	Node int32
	Host string
	Port int32
	Rack string // empty when it has none
}

// Settings are the broker's own settings, by Kafka's names for them.
type Settings interface {
	// Setting is the value of a setting that somebody has set, in the catalog or at
	// the start of the broker; false when its default holds. It does not block and
	// does not allocate: Produce asks for every batch.
	Setting(name string) (value string, ok bool)
	// List is every setting of a broker, sorted by name. ErrNoBroker when this
	// broker cannot tell. Node -1 asks for the settings that hold for all brokers
	// (only the dynamic ones).
	List(ctx context.Context, node int32) ([]Setting, error)
	// Alter sets (value) or resets (nil) dynamic settings of one node, or of all
	// with -1. With replace, those not named are reset. validateOnly changes
	// nothing. An error wraps catalog.ErrInvalidConfig when a name or value is not
	// legal or cannot be changed at run time.
	Alter(ctx context.Context, node int32, set map[string]*string, replace, validateOnly bool) error
}

// Setting is one setting of a broker, as DescribeConfigs shows it.
type Setting struct {
	Name    string
	Type    catalog.ConfigType
	Value   string
	Default string
	// Lower are the values that Value hides, the strongest first, without the default.
	Lower     []Lower
	Source    SettingSource
	ReadOnly  bool // cannot be changed at run time
	Sensitive bool // its value is never shown
	Doc       string
}

// Lower is a value that a stronger one hides.
type Lower struct {
	Value  string
	Source SettingSource
}

// SettingSource says who has set a setting.
type SettingSource uint8

// Sources, the strongest first.
const (
	SetForNode    SettingSource = iota // in the catalog, for this node
	SetForCluster                      // in the catalog, for all nodes
	SetAtStart                         // by flag, environment or file
	SetByDefault
)

// Log is the running end of the partitions that this broker leads.
type Log interface {
	// Append takes batches into the log. Calls of one goroutine are appended in the
	// order of the calls. It returns once they are accepted, and blocks while as
	// much waits as may, at most for Timeout. An error means that nothing was
	// appended.
	//
	// Append takes over one reference of a.Frame, whatever it returns.
	Append(ctx context.Context, a Append) (Appending, error)
	// Progress says how far a partition has come; false when this broker does not
	// lead it. It does not block.
	Progress(p record.Partition) (Progress, bool)
	// Settle returns when this broker knows as well as it can whether it leads
	// partitions: it may be asked for them before it has heard that it does. It waits
	// for a moment at most. Append does this by itself.
	Settle(ctx context.Context, ps []record.Partition)
	// Watch registers interest in partitions: take it first, look at Progress
	// second, wait third. Those not led here are left out. It does not block.
	Watch(ps []record.Partition) Watch
	// Read reads committed batches. It may wait for the bucket. It fails with
	// ErrNotLeader, or what the tiers fail with; ErrOutOfRange when the offset has
	// left the log meanwhile.
	Read(ctx context.Context, r Read) (Batches, error)
}

// Frame is a buffer that is shared by reference. Both methods may be called
// from any goroutine.
type Frame interface {
	Retain()
	Release()
}

// Append is one produce request whose batches were checked.
type Append struct {
	Acks    int16 // -1, 0 or 1
	Timeout time.Duration
	Items   []Item
	// Frame holds the bytes of the batches; nil when they have memory of their own.
	Frame Frame
}

// Item is one batch for one partition. The log writes base offset and leader
// epoch into the batch.
type Item struct {
	Partition record.Partition
	Batch     []byte
	Header    record.Header
}

// Appending is an Append that was accepted.
type Appending interface {
	// Wait returns the outcome of every item, in their order, when all are known,
	// or ctx's error. With Acks 0 it returns at once, and Base may be -1. It is
	// called once, or never when the client has left.
	Wait(ctx context.Context) ([]Appended, error)
}

// Appended is the outcome of one Item.
type Appended struct {
	Base          int64 // offset of the first record, when Err is nil
	LogAppendTime int64 // milliseconds, or -1 for CreateTime
	LogStart      int64 // of the partition; -1 when unknown
	// Err wraps ErrNotLeader, ErrTimedOut, ErrOutOfOrderSequence,
	// ErrProducerEpoch, ErrInvalidTxnState or ErrStorage.
	Err error
}

// Progress is how far a partition has come.
type Progress struct {
	HighWatermark int64 // end of what is committed (S4)
	LastStable    int64 // end of what read_committed may see
	LogStart      int64
	Epoch         int32
}

// Watch wakes when one of its partitions has moved, or is not led any more.
type Watch interface {
	// Ready receives a value after a change, and stays ready until it is received
	// from.
	Ready() <-chan struct{}
	// Close ends the watch. It must be called, once.
	Close()
}

// Read asks for the committed batches of one partition, from the batch that
// holds offset From on, up to offset End (exclusive), in about MaxBytes: never
// more, except for the first batch when Whole is set. Batches are never cut.
type Read struct {
	Partition record.Partition
	From, End int64
	MaxBytes  int
	Whole     bool
	// Aborted asks for the aborted transactions that overlap what is returned
	// (read_committed).
	Aborted bool
}

// Batches are what a Read found. Next is the offset behind the last of them,
// or From when there are none.
type Batches struct {
	// Bytes are consecutive whole batches; an element begins and ends at the
	// boundary of a batch. They stay as they are until Release.
	Bytes   [][]byte
	Next    int64
	Aborted []AbortedTxn // by ascending FirstOffset
	// Release gives the bytes back. nil when they are garbage-collected.
	Release func()
}

// AbortedTxn is one aborted transaction.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
}

// History answers what needs more than the end of a partition that this broker
// leads. Its methods may wait for the bucket and fail with ErrNotLeader.
type History interface {
	// Find finds an offset by time, or one of the special ones.
	Find(ctx context.Context, p record.Partition, f Find) (Found, error)
	// EpochEnd returns the largest epoch that began with a record and is at most
	// the given one, and the offset at which it ended: that of the next epoch, or
	// the high watermark. (-1, -1) when there is none (KIP-279).
	EpochEnd(ctx context.Context, p record.Partition, epoch int32) (int32, int64, error)
	// Trim moves the log start to the offset, which lies between log start and high
	// watermark, and returns the new log start once it is durable.
	Trim(ctx context.Context, p record.Partition, offset int64) (int64, error)
}

// Find is what to look for.
type Find struct {
	Kind FindKind
	// Time is for FirstAt: the first record whose timestamp, in milliseconds, is at
	// least this. It is exact inside batches.
	Time int64
	// End bounds the search: records from this offset on do not count.
	End int64
}

// FindKind is a way to name an offset.
type FindKind uint8

// The kinds, with the special timestamps of ListOffsets that they stand for.
const (
	FirstAt               FindKind = iota // a timestamp
	MaxTimestamp                          // -3: the first record with the largest timestamp (KIP-734)
	EarliestLocal                         // -4: the first that the hot tier holds (KIP-405)
	LatestTiered                          // -5: the last one in the bucket, as sealed (KIP-1005)
	EarliestPendingSealed                 // -6: the first one not sealed yet (KIP-1023)
)

// Found is an offset. Offset is -1 when there is none.
type Found struct {
	Offset    int64
	Timestamp int64 // -1 for kinds that have none
	Epoch     int32 // leader epoch of the record, or -1
}

// Producers gives out producer ids.
type Producers interface {
	// NewID returns a producer id that nobody was given before. It may wait for the
	// journal.
	NewID(ctx context.Context) (int64, error)
}

// Topics changes topics. Names and values were checked against the state by the
// caller; the catalog checks again and has the last word, with its errors. When a
// call returns, the change is in Cluster.State.
type Topics interface {
	// Create creates topics, each on its own: the errors are in their order, nil
	// for those that exist now.
	Create(ctx context.Context, ts []NewTopic) []error
	// Delete deletes topics, each on its own.
	Delete(ctx context.Context, ids []record.TopicID) []error
	// Grow gives a topic of `from` partitions `add` more.
	Grow(ctx context.Context, id record.TopicID, from, add int32) error
	// Alter sets (value) or resets (nil) configs of a topic. With replace, those
	// not named are reset.
	Alter(ctx context.Context, id record.TopicID, set map[string]*string, replace bool) error
}

// NewTopic is a topic to create. The broker chooses its id and its owners.
type NewTopic struct {
	Name       string
	Partitions int32
	Replicas   int16 // shown, not performed (protocol.md 7)
	Configs    map[string]string
}

// Groups finds group coordinators.
type Groups interface {
	// Coordinator is the node that coordinates a group: the owner of its partition
	// of __consumer_offsets. ErrCoordinatorNotAvailable while there is none. It
	// does not block for longer than it takes to create that topic.
	Coordinator(ctx context.Context, group string) (int32, error)
}

// Members is the membership of the groups that this broker coordinates. Errors,
// here and in Offsets and GroupAdmin, are those of package group;
// group.ErrNotCoordinator sends the client to look for the right broker.
type Members interface {
	// Join waits until the group has gathered, or ctx ends.
	Join(ctx context.Context, r *group.JoinRequest) (group.JoinResponse, error)
	// Sync waits until the leader has assigned, or ctx ends.
	Sync(ctx context.Context, r *group.SyncRequest) (group.SyncResponse, error)
	Heartbeat(ctx context.Context, r *group.HeartbeatRequest) error
	Leave(ctx context.Context, r *group.LeaveRequest) (group.LeaveResponse, error)
}

// Offsets are the committed offsets of groups. Commits and deletions are durable
// when a call returns.
type Offsets interface {
	CommitOffsets(ctx context.Context, r *group.CommitRequest) (group.CommitResponse, error)
	FetchOffsets(ctx context.Context, r *group.FetchRequest) (group.FetchResponse, error)
	DeleteOffsets(ctx context.Context, r *group.DeleteOffsetsRequest) (group.DeleteOffsetsResponse, error)
}

// GroupAdmin is what tools ask of groups.
type GroupAdmin interface {
	Describe(ctx context.Context, id string) (group.Description, error)
	// List lists the groups in one of the states, by name in any case; all groups
	// when no state is given.
	List(ctx context.Context, states []string) ([]group.Listed, error)
	Delete(ctx context.Context, id string) error
}

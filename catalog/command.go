package catalog

import "github.com/firnlog/firn/record"

// Command asks the catalog for one change. The types below are all there are.
type Command interface {
	kind() kind
	encode(*encoder)
	decode(*decoder)
	// apply decides the command. An error leaves s as it was.
	apply(s *State, at position) (Result, error)
}

// position is where in the journal a command stands.
type position struct {
	number uint64 // of the entry
	index  int    // of the command in the entry
}

// Result is what became of a command.
type Result struct {
	// Err says why the command was rejected; nil when it was accepted.
	Err error
	// ID is the number that the command was given: a session's, a job's, or the
	// first of a block of producer ids.
	ID uint64
	// Items says, for a command that is decided item by item, what became of
	// each, in the order of the command. It is nil when all were accepted.
	Items []error
}

// Item is the outcome of the i-th item of a command.
func (r Result) Item(i int) error {
	if r.Err != nil {
		return r.Err
	}
	if r.Items == nil {
		return nil
	}
	return r.Items[i]
}

type kind uint8

const (
	kindCreateCluster kind = 1 + iota
	kindRegisterSession
	kindSealSession
	kindForgetSession
	kindSweepSession
	kindCreateTopic
	kindDeleteTopic
	kindAddPartitions
	kindAlterTopic
	kindAlterBrokers
	kindTake
	kindRelease
	kindMove
	kindCover
	kindBeginJob
	kindCommitJob
	kindCancelJob
	kindTrim
	kindSweep
	kindProducerIDs
	kindGiveUp
)

func newCommand(k kind) Command {
	switch k {
	case kindCreateCluster:
		return &CreateCluster{}
	case kindRegisterSession:
		return &RegisterSession{}
	case kindSealSession:
		return &SealSession{}
	case kindForgetSession:
		return &ForgetSession{}
	case kindSweepSession:
		return &SweepSession{}
	case kindCreateTopic:
		return &CreateTopic{}
	case kindDeleteTopic:
		return &DeleteTopic{}
	case kindAddPartitions:
		return &AddPartitions{}
	case kindAlterTopic:
		return &AlterTopic{}
	case kindAlterBrokers:
		return &AlterBrokers{}
	case kindTake:
		return &Take{}
	case kindRelease:
		return &Release{}
	case kindMove:
		return &Move{}
	case kindCover:
		return &Cover{}
	case kindBeginJob:
		return &BeginJob{}
	case kindCommitJob:
		return &CommitJob{}
	case kindCancelJob:
		return &CancelJob{}
	case kindTrim:
		return &Trim{}
	case kindSweep:
		return &Sweep{}
	case kindProducerIDs:
		return &ProducerIDs{}
	case kindGiveUp:
		return &GiveUp{}
	}
	return nil
}

// CreateCluster gives the bucket its identity. It is the first command of every
// journal and rejected anywhere else.
type CreateCluster struct {
	ID string
}

// RegisterSession registers one life of a broker process (S1). Result.ID is the
// session's id: the number of the entry. One entry registers one session at most.
// With Node negative it gets the lowest node id above 0 that no live session has:
// brokers that start at the same time get different ones.
type RegisterSession struct {
	Nonce      [16]byte
	Node       int32
	Advertised string
	Gossip     string
	Rack       string
	StartedMs  int64
}

// Tip says that the log of a partition reaches up to Next at least: its owner has told
// somebody so. Whoever ends a log, or moves a covered mark, names the tips that it knows
// of from elsewhere than the extents that it describes. The command is rejected with
// ErrInvalidExtents when a log would end before its tip: what is missing was acknowledged,
// and nobody would look for it any more (I9).
type Tip struct {
	Partition record.Partition
	Next      int64
}

// SealSession records that slot Fence of the session holds a fence, and all runs
// in its slots from Covered up to the fence (S7). It is rejected with ErrStale
// when the session's covered mark is not Covered, so that the walk is done again.
type SealSession struct {
	Session uint64
	Covered uint64
	Fence   uint64
	Extents []Located
	Tips    []Tip
}

// SweepSession says that the WAL objects of a sealed session are deleted, its
// fence excepted. Rejected while an extent lies in one of them (S10).
type SweepSession struct{ Session uint64 }

// ForgetSession drops a swept session that owns nothing. Its id is never used
// again and everything that names it is rejected (I7).
type ForgetSession struct{ Session uint64 }

// CreateTopic creates a topic. Owners names the session that owns each
// partition from the start, so that it is usable at once (protocol.md 6); one that is
// not live leaves its partition without owner.
type CreateTopic struct {
	Name     string
	ID       record.TopicID
	Replicas int16
	Configs  map[string]string
	Owners   []uint64
	Internal bool
}

// DeleteTopic deletes a topic and all its records.
type DeleteTopic struct{ ID record.TopicID }

// AddPartitions makes the topic have From + len(Owners) partitions. Rejected with
// ErrStale when it does not have From of them.
type AddPartitions struct {
	ID     record.TopicID
	From   int32
	Owners []uint64
}

// AlterTopic sets (and, with nil, resets) configs of a topic. With Replace all
// that are not named are reset, as AlterConfigs does.
type AlterTopic struct {
	ID      record.TopicID
	Replace bool
	Set     map[string]*string
}

// AlterBrokers sets (and, with nil, resets) dynamic settings of one node, or of
// all nodes when Node is negative.
type AlterBrokers struct {
	Node    int32
	Replace bool
	Set     map[string]*string
}

// TakeItem names a partition to become owner of, and what the taker believes:
// the epoch it will have and the offset it begins at.
type TakeItem struct {
	Partition record.Partition
	Epoch     int32
	Start     int64
}

// Take makes the session the owner of partitions (S8), item by item. Rejected
// are those whose owner is live (ErrOwned) and those for which the epoch is not
// the next one or the start not the end of what is described (ErrStale).
type Take struct {
	Session uint64
	Items   []TakeItem
}

// Release gives up partitions that the session owns (S9). Extents are their runs
// in slots at or above the covered mark; the partitions' logs end there.
type Release struct {
	Session    uint64
	Partitions []record.Partition
	Extents    []Located
	Tips       []Tip
}

// Move ends the session Old by the fence that its own broker put and hands all
// its partitions to New (S9): under the epochs that they have when New is of the same
// node, so that neither history nor clients see a rotation; with the next epoch each
// otherwise.
type Move struct {
	Old, New uint64
	Covered  uint64 // of Old, as the writer knows it; ErrStale otherwise
	Fence    uint64
	Extents  []Located
	Tips     []Tip
}

// Cover records runs that lie in the WAL slots [From, To) of a session, and
// moves its covered mark to To (protocol.md 6, "recovery is bounded").
type Cover struct {
	Session  uint64
	From, To uint64
	Extents  []Located
}

// BeginJob registers a rewrite of extents (S12). Result.ID is its number, which
// is in the names of all objects that it puts.
type BeginJob struct{ Session uint64 }

// CommitJob ends a job: the runs that it wrote take the place of the extents
// that described the same offsets. When it sealed a stretch of the session's own
// WAL slots, To > From moves the covered mark as Cover does. Objects are all that
// the job put: those that nothing refers to afterwards are garbage.
type CommitJob struct {
	Job      uint64
	From, To uint64
	Extents  []Located
	Presses  []Press
	Objects  []ObjectRef
	Tips     []Tip // with To > From
}

// Press replaces what describes the offsets [Line.Base, Line.Next) of a partition by one
// index line: consecutive index lines, or the last of them, if any, and the first of its
// extents.
type Press struct {
	Partition record.Partition
	Line      IndexRef
}

// CancelJob ends a job without effect; its objects may be deleted.
type CancelJob struct{ Job uint64 }

// TrimItem moves the log start of a partition forward.
type TrimItem struct {
	Partition record.Partition
	LogStart  int64
}

// Trim moves log starts forward, for retention and DeleteRecords, item by item.
// A log start that would move backwards is accepted and changes nothing. It is not asked
// who leads: an offset that was no higher than a high watermark never is again (S4), so
// that what a former leader had been asked for harms nobody when it comes late.
type Trim struct{ Items []TrimItem }

// Sweep says that objects which were garbage are deleted.
type Sweep struct{ Objects []ObjectRef }

// ProducerIDs hands out Count producer ids, from Result.ID on.
type ProducerIDs struct{ Count int32 }

// GiveUp says, by an operator's word, that runs in the object Lost are gone for good, and
// ends the job: fillers, empty runs in the job's objects, take their places. Offsets stay
// given away, logs as long as they were. Rejected with ErrStale unless each filler stands
// for exactly one run that is described in Lost: whoever could still read one has pressed
// it elsewhere meanwhile. Fillers of what retention or DeleteTopic took are passed over.
type GiveUp struct {
	Job     uint64
	Lost    ObjectRef
	Fillers []Located
}

func (*CreateCluster) kind() kind   { return kindCreateCluster }
func (*RegisterSession) kind() kind { return kindRegisterSession }
func (*SealSession) kind() kind     { return kindSealSession }
func (*ForgetSession) kind() kind   { return kindForgetSession }
func (*SweepSession) kind() kind    { return kindSweepSession }
func (*CreateTopic) kind() kind     { return kindCreateTopic }
func (*DeleteTopic) kind() kind     { return kindDeleteTopic }
func (*AddPartitions) kind() kind   { return kindAddPartitions }
func (*AlterTopic) kind() kind      { return kindAlterTopic }
func (*AlterBrokers) kind() kind    { return kindAlterBrokers }
func (*Take) kind() kind            { return kindTake }
func (*Release) kind() kind         { return kindRelease }
func (*Move) kind() kind            { return kindMove }
func (*Cover) kind() kind           { return kindCover }
func (*BeginJob) kind() kind        { return kindBeginJob }
func (*CommitJob) kind() kind       { return kindCommitJob }
func (*CancelJob) kind() kind       { return kindCancelJob }
func (*Trim) kind() kind            { return kindTrim }
func (*Sweep) kind() kind           { return kindSweep }
func (*ProducerIDs) kind() kind     { return kindProducerIDs }
func (*GiveUp) kind() kind          { return kindGiveUp }

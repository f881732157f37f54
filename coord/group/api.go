package group

import (
	"errors"

	"github.com/firnlog/firn/record"
)

// Why a request is refused. Package kafka maps them to codes. They may be wrapped.
var (
	ErrUnknownMember         = errors.New("unknown member")
	ErrIllegalGeneration     = errors.New("illegal generation")
	ErrRebalanceInProgress   = errors.New("rebalance in progress")
	ErrMemberIDRequired      = errors.New("join again with the member id given")
	ErrFencedInstance        = errors.New("another member has the group instance id")
	ErrInconsistentProtocol  = errors.New("protocols do not fit those of the group")
	ErrInvalidSessionTimeout = errors.New("session timeout out of bounds")
	ErrInvalidGroupID        = errors.New("invalid group id")
	ErrGroupMaxSize          = errors.New("group has as many members as it may")
	ErrNonEmptyGroup         = errors.New("group has members")
	ErrGroupNotFound         = errors.New("no such group")
	ErrSubscribed            = errors.New("group is subscribed to the topic")
	ErrOffsetMetadataLarge   = errors.New("offset metadata too large")
	ErrNotCoordinator        = errors.New("not the coordinator of the group")
	ErrLoading               = errors.New("coordinator is loading")
	ErrNotAvailable          = errors.New("coordinator is not available")
	ErrUnknownTopic          = errors.New("unknown topic or partition")
	ErrUnstable              = errors.New("offsets of an open transaction are pending")
	ErrTooLarge              = errors.New("what the group has to keep is too large")
)

// Protocol is one assignment protocol that a member supports, and its metadata.
type Protocol struct {
	Name     string
	Metadata []byte
}

// JoinRequest asks to become, or stay, a member. A nil InstanceID is a dynamic
// member. The machine keeps the strings of requests, and copies of their bytes.
type JoinRequest struct {
	Group, MemberID    string
	InstanceID         *string
	ClientID, Host     string
	SessionTimeoutMs   int32
	RebalanceTimeoutMs int32 // the session timeout before v1
	ProtocolType       string
	Protocols          []Protocol // the one that the member likes best first
	// NeedMemberID is set for v4 and later: a new dynamic member is first given an
	// id, with ErrMemberIDRequired (KIP-394).
	NeedMemberID bool
	// CanSkip is set for v9 and later: a static leader that returns may be told to
	// skip the assignment (KIP-814).
	CanSkip bool
}

// JoinResponse answers it.
type JoinResponse struct {
	Err                    error
	Generation             int32 // -1 beside Err
	ProtocolType, Protocol string
	Leader                 string
	MemberID               string // also beside ErrMemberIDRequired
	// SkipAssignment tells a leader that the assignment stays as it is.
	SkipAssignment bool
	Members        []JoinMember // for the leader alone
}

// JoinMember is a member as the leader is told of it.
type JoinMember struct {
	ID         string
	InstanceID *string
	Metadata   []byte
}

// Assignment is what the leader assigns to a member.
type Assignment struct {
	Member string
	Data   []byte
}

// SyncRequest gives, or asks for, assignments.
type SyncRequest struct {
	Group, MemberID        string
	InstanceID             *string
	Generation             int32
	ProtocolType, Protocol *string // v5 and later
	// NeedProtocol is set for v5 and later: the two must be there (KIP-559).
	NeedProtocol bool
	Assignments  []Assignment // from the leader alone
}

// SyncResponse answers it.
type SyncResponse struct {
	Err                    error
	ProtocolType, Protocol string
	Assignment             []byte
}

// HeartbeatRequest keeps a member alive.
type HeartbeatRequest struct {
	Group, MemberID string
	InstanceID      *string
	Generation      int32
}

// LeaveMember names a member that leaves: by its id, or by its instance id and no
// id, as tools do that remove static members.
type LeaveMember struct {
	ID         string
	InstanceID *string
}

// LeaveRequest takes members out of a group.
type LeaveRequest struct {
	Group   string
	Members []LeaveMember
}

// LeaveResponse answers it; Errs are in the order of Members.
type LeaveResponse struct {
	Err  error
	Errs []error
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Offset is a committed offset.
type Offset struct {
	TopicPartition
	Offset      int64
	LeaderEpoch int32 // -1 when unknown
	Metadata    string
	// TopicID is that of the topic that the offset was committed for: one that is made
	// again under its name has another. Zero when it is not known.
	TopicID record.TopicID
	// Err is the fault of this one: in answers, and in requests whose sender knows
	// already that it cannot be committed.
	Err error
}

// CommitRequest commits offsets.
type CommitRequest struct {
	Group, MemberID string
	InstanceID      *string
	Generation      int32 // -1 for a simple consumer
	Offsets         []Offset
	// NewErrors is set for v9 and later: a group that does not exist is
	// ErrGroupNotFound rather than ErrIllegalGeneration.
	NewErrors bool
	// RetentionMs is how long to keep the offsets, which v2 to v4 may say; 0 or
	// less is as long as the broker keeps them.
	RetentionMs int64
}

// CommitResponse answers it; Errs are in the order of Offsets.
type CommitResponse struct{ Errs []error }

// FetchRequest asks for committed offsets: those named, or all.
type FetchRequest struct {
	Group string
	// RequireStable refuses, with ErrUnstable, offsets that an open transaction may
	// still change (KIP-447).
	RequireStable bool
	All           bool
	Partitions    []TopicPartition
}

// FetchResponse answers it: in the order of the request, or by topic and
// partition. A partition without commit, or beside Err, has offset and epoch -1.
type FetchResponse struct {
	Err     error
	Offsets []Offset
}

// DeleteOffsetsRequest deletes committed offsets.
type DeleteOffsetsRequest struct {
	Group      string
	Partitions []TopicPartition
}

// DeleteOffsetsResponse answers it; Errs are in the order of Partitions. An offset
// that was not there is no error.
type DeleteOffsetsResponse struct {
	Err  error
	Errs []error
}

// Description is all that is known of a group.
type Description struct {
	Err          error // ErrGroupNotFound; the State is Dead then
	Group, State string
	ProtocolType string
	Protocol     string // of a stable group
	Members      []DescribedMember
}

// DescribedMember is one member of a described group; metadata and assignment are
// those of a stable group.
type DescribedMember struct {
	ID                   string
	InstanceID           *string
	ClientID, Host       string
	Metadata, Assignment []byte
}

// Listed is one group of a listing.
type Listed struct {
	Group, ProtocolType, State string
}

// Committed is what metrics show of a group.
type Committed struct {
	Group, State string
	Members      int
	Offsets      []Offset // by topic and partition
}

// Record is one record for __consumer_offsets. A nil Value is a tombstone.
type Record struct{ Key, Value []byte }

// Answer is an answer to the request that came with Token.
type Answer struct {
	Token any
	// Response is a JoinResponse, SyncResponse, … or what the driver passed to
	// Machine.Answer.
	Response any
	// After is how many records, counted from New, must be durable before the
	// answer may be given (G3); 0 when it tells nothing that is written.
	After uint64
}

// Output is what is to be done, in order.
type Output struct {
	Records []Record
	Answers []Answer
}

package group

import "errors"

// Why a request is refused. Package kafka maps them to codes.
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
)

// Protocol is one assignment protocol that a member supports, and its metadata.
type Protocol struct {
	Name     string
	Metadata []byte
}

// JoinRequest asks to become, or stay, a member.
type JoinRequest struct {
	Group, MemberID    string
	InstanceID         *string
	ClientID, Host     string
	SessionTimeoutMs   int32
	RebalanceTimeoutMs int32
	ProtocolType       string
	Protocols          []Protocol
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
	Generation             int32
	ProtocolType, Protocol string
	Leader, MemberID       string
	SkipAssignment         bool
	Members                []JoinMember // for the leader alone
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
	Assignments            []Assignment
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

// LeaveMember names a member that leaves.
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
	LeaderEpoch int32
	Metadata    string
	Err         error // of this one, in answers
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
}

// CommitResponse answers it; Errs are in the order of Offsets.
type CommitResponse struct{ Errs []error }

// FetchRequest asks for committed offsets: those named, or all.
type FetchRequest struct {
	Group         string
	RequireStable bool
	All           bool
	Partitions    []TopicPartition
}

// FetchResponse answers it. A partition without commit has offset -1.
type FetchResponse struct {
	Err     error
	Offsets []Offset
}

// DeleteOffsetsRequest deletes committed offsets.
type DeleteOffsetsRequest struct {
	Group      string
	Partitions []TopicPartition
}

// DeleteOffsetsResponse answers it; Errs are in the order of Partitions.
type DeleteOffsetsResponse struct {
	Err  error
	Errs []error
}

// Description is all that is known of a group.
type Description struct {
	Err                    error // ErrGroupNotFound
	Group, State           string
	ProtocolType, Protocol string
	Members                []DescribedMember
}

// DescribedMember is one member of a described group.
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

// Record is one record for __consumer_offsets. A nil Value is a tombstone.
type Record struct{ Key, Value []byte }

// Answer is an answer to the request that came with Token.
type Answer struct {
	Token any
	// Response is a JoinResponse, SyncResponse, … or an error (Heartbeat).
	Response any
	// After is how many of Output.Records must be durable first (G3).
	After int
}

// Output is what is to be done, in order.
type Output struct {
	Records []Record
	Answers []Answer
}

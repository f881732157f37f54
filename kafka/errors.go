package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
)

// What backends fail with. They may be wrapped; the text after the last colon
// reaches the client where the protocol has a place for it.
var (
	// ErrNotLeader says that another broker leads the partition, or none.
	ErrNotLeader = errors.New("this broker does not lead the partition")
	// ErrTimedOut says that a request's time ran out. What it asked for may still
	// happen (S2).
	ErrTimedOut = errors.New("request timed out")
	// ErrOutOfOrderSequence refuses a batch out of its producer's sequence.
	ErrOutOfOrderSequence = errors.New("producer sequence is out of order")
	// ErrProducerEpoch refuses a batch of a producer that was replaced by a newer one.
	ErrProducerEpoch = errors.New("producer epoch is fenced")
	// ErrInvalidTxnState refuses a batch outside of the transaction that its
	// producer has open.
	ErrInvalidTxnState = errors.New("invalid transaction state")
	// ErrOutOfRange says that an offset lies outside of the log.
	ErrOutOfRange = errors.New("offset out of range")
	// ErrStorage says that the bucket or the disk fails; retrying may help.
	ErrStorage = errors.New("storage failed")
	// ErrNoBroker says that there is no such broker, or that this one cannot
	// answer for it.
	ErrNoBroker = errors.New("no such broker")
	// ErrCoordinatorNotAvailable says that no broker coordinates the group yet.
	ErrCoordinatorNotAvailable = errors.New("coordinator not available")
	// ErrCoordinatorLoading says that the coordinator is still reading its partition.
	ErrCoordinatorLoading = errors.New("coordinator is loading")
	// ErrNotCoordinator says that another broker coordinates the group.
	ErrNotCoordinator = errors.New("not the coordinator")
	// ErrClosing says that this broker is shutting down.
	ErrClosing = errors.New("broker is shutting down")
)

// errTransactionalID refuses a transactional id. Its code is the one answer that
// Java, librdkafka and franz-go all take as final.
var errTransactionalID = errors.New("transactional id refused")

// code is one of Kafka's error codes.
type code int16

// Error makes a code an error, for faults that need no more words.
func (c code) Error() string { return fmt.Sprintf("kafka error %d", int16(c)) }

// because is the code as an error, with the words that clients are told.
func (c code) because(why string, args ...any) error { return &said{c, fmt.Sprintf(why, args...)} }

// said is a code with words. The words alone are its message: clients have names and
// texts of their own for codes.
type said struct {
	code code
	why  string
}

func (s *said) Error() string { return s.why }
func (s *said) Unwrap() error { return s.code }

// orNil is the code as an error, nil for none.
func (c code) orNil() error {
	if c == codeNone {
		return nil
	}
	return c
}

// Kafka's error codes, as far as Firn gives them (org.apache.kafka.common.protocol.Errors).
const (
	codeUnknownServerError                 code = -1
	codeNone                               code = 0
	codeOffsetOutOfRange                   code = 1
	codeCorruptMessage                     code = 2
	codeUnknownTopicOrPartition            code = 3
	codeLeaderNotAvailable                 code = 5
	codeNotLeaderOrFollower                code = 6
	codeRequestTimedOut                    code = 7
	codeMessageTooLarge                    code = 10
	codeOffsetMetadataTooLarge             code = 12
	codeCoordinatorLoadInProgress          code = 14
	codeCoordinatorNotAvailable            code = 15
	codeNotCoordinator                     code = 16
	codeInvalidTopic                       code = 17
	codeInvalidRequiredAcks                code = 21
	codeIllegalGeneration                  code = 22
	codeInconsistentGroupProtocol          code = 23
	codeInvalidGroupID                     code = 24
	codeUnknownMemberID                    code = 25
	codeInvalidSessionTimeout              code = 26
	codeRebalanceInProgress                code = 27
	codeTopicAuthorizationFailed           code = 29
	codeInvalidTimestamp                   code = 32
	codeUnsupportedVersion                 code = 35
	codeTopicAlreadyExists                 code = 36
	codeInvalidPartitions                  code = 37
	codeInvalidReplicationFactor           code = 38
	codeInvalidReplicaAssignment           code = 39
	codeInvalidConfig                      code = 40
	codeNotController                      code = 41
	codeInvalidRequest                     code = 42
	codeUnsupportedForMessageFormat        code = 43
	codePolicyViolation                    code = 44
	codeOutOfOrderSequenceNumber           code = 45
	codeInvalidProducerEpoch               code = 47
	codeInvalidTxnState                    code = 48
	codeTransactionalIDAuthorizationFailed code = 53
	codeSecurityDisabled                   code = 54
	codeKafkaStorageError                  code = 56
	codeLogDirNotFound                     code = 57
	codeUnknownProducerID                  code = 59
	codeNonEmptyGroup                      code = 68
	codeGroupIDNotFound                    code = 69
	codeFetchSessionIDNotFound             code = 70
	codeInvalidFetchSessionEpoch           code = 71
	codeTopicDeletionDisabled              code = 73
	codeFencedLeaderEpoch                  code = 74
	codeUnknownLeaderEpoch                 code = 75
	codeUnsupportedCompressionType         code = 76
	codeStaleBrokerEpoch                   code = 77
	codeMemberIDRequired                   code = 79
	codeGroupMaxSizeReached                code = 81
	codeFencedInstanceID                   code = 82
	codeElectionNotNeeded                  code = 84
	codeNoReassignmentInProgress           code = 85
	codeGroupSubscribedToTopic             code = 86
	codeInvalidRecord                      code = 87
	codeUnstableOffsetCommit               code = 88
	codeProducerFenced                     code = 90
	codeResourceNotFound                   code = 91
	codeDuplicateResource                  code = 92
	codeUnknownTopicID                     code = 100
	codeInconsistentTopicID                code = 103
	codeTransactionalIDNotFound            code = 105
	codeMismatchedEndpointType             code = 114
	codeUnsupportedEndpointType            code = 115
)

// codes maps errors to codes, the first that matches. Where an API answers
// another code for the same fault, its file says so and why.
var codes = []struct {
	err  error
	code code
}{
	{record.ErrCorrupt, codeCorruptMessage},
	{record.ErrTooLarge, codeMessageTooLarge},
	{record.ErrInvalidRecord, codeInvalidRecord},
	{record.ErrInvalidTimestamp, codeInvalidTimestamp},
	{record.ErrUnsupportedMagic, codeUnsupportedForMessageFormat},
	{record.ErrUnsupportedCodec, codeUnsupportedCompressionType},

	{catalog.ErrExists, codeTopicAlreadyExists},
	{catalog.ErrNoTopic, codeUnknownTopicOrPartition},
	{catalog.ErrNoPartition, codeUnknownTopicOrPartition},
	{catalog.ErrInvalidTopic, codeInvalidTopic},
	{catalog.ErrInvalidParts, codeInvalidPartitions},
	{catalog.ErrInvalidReplicas, codeInvalidReplicationFactor},
	{catalog.ErrInvalidConfig, codeInvalidConfig},
	{catalog.ErrInvalidOffset, codeOffsetOutOfRange},
	{catalog.ErrUnsure, codeRequestTimedOut},

	{group.ErrUnknownMember, codeUnknownMemberID},
	{group.ErrIllegalGeneration, codeIllegalGeneration},
	{group.ErrRebalanceInProgress, codeRebalanceInProgress},
	{group.ErrMemberIDRequired, codeMemberIDRequired},
	{group.ErrFencedInstance, codeFencedInstanceID},
	{group.ErrInconsistentProtocol, codeInconsistentGroupProtocol},
	{group.ErrInvalidSessionTimeout, codeInvalidSessionTimeout},
	{group.ErrInvalidGroupID, codeInvalidGroupID},
	{group.ErrGroupMaxSize, codeGroupMaxSizeReached},
	{group.ErrNonEmptyGroup, codeNonEmptyGroup},
	{group.ErrGroupNotFound, codeGroupIDNotFound},
	{group.ErrSubscribed, codeGroupSubscribedToTopic},
	{group.ErrOffsetMetadataLarge, codeOffsetMetadataTooLarge},
	{group.ErrNotCoordinator, codeNotCoordinator},
	{group.ErrLoading, codeCoordinatorLoadInProgress},
	{group.ErrNotAvailable, codeCoordinatorNotAvailable},
	{group.ErrUnknownTopic, codeUnknownTopicOrPartition},
	{group.ErrUnstable, codeUnstableOffsetCommit},

	{ErrNotLeader, codeNotLeaderOrFollower},
	{ErrTimedOut, codeRequestTimedOut},
	{ErrOutOfOrderSequence, codeOutOfOrderSequenceNumber},
	{ErrProducerEpoch, codeInvalidProducerEpoch},
	{ErrInvalidTxnState, codeInvalidTxnState},
	{ErrOutOfRange, codeOffsetOutOfRange},
	{ErrStorage, codeKafkaStorageError},
	{ErrNoBroker, codeInvalidRequest},
	{ErrCoordinatorNotAvailable, codeCoordinatorNotAvailable},
	{ErrCoordinatorLoading, codeCoordinatorLoadInProgress},
	{ErrNotCoordinator, codeNotCoordinator},
	// A client that is told NOT_LEADER asks for metadata and finds the new leader.
	{ErrClosing, codeNotLeaderOrFollower},

	{errTransactionalID, codeTransactionalIDAuthorizationFailed},

	{context.DeadlineExceeded, codeRequestTimedOut},
	{context.Canceled, codeRequestTimedOut},
}

// codeOf is the code for an error; UNKNOWN_SERVER_ERROR for one that nobody
// foresaw, so that it is seen.
func codeOf(err error) code {
	if err == nil {
		return codeNone
	}
	var own code
	if errors.As(err, &own) {
		return own
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return codeUnknownServerError
}

// groupCode is the code for an error in the answers of the coordinator. Where the
// protocol of groups does not know a code, consumers give up; so a timeout, a
// storage fault or one that nobody foresaw is a coordinator that is away for the
// moment, which they look for again (kafka.md 45). What is too large stays so.
func (n *node) groupCode(api string, err error) code {
	c := n.code(api, err)
	if errors.Is(err, group.ErrTooLarge) {
		return codeUnknownServerError
	}
	switch c {
	case codeUnknownServerError, codeRequestTimedOut, codeKafkaStorageError, codeNotLeaderOrFollower:
		return codeCoordinatorNotAvailable
	default:
		return c
	}
}

// message is the text of an error for the places where the protocol has one. A
// bare code has none: clients know its text.
func message(err error) *string {
	if _, bare := err.(code); err == nil || bare {
		return nil
	}
	s := err.Error()
	return &s
}

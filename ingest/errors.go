package ingest

import "errors"

// Why an item of a request is refused, or not answered with success.
var (
	// ErrNotLeader says that this broker does not lead the partition, or no longer:
	// the request may be committed nevertheless. Clients retry.
	ErrNotLeader = errors.New("this broker is not the leader of the partition")
	// ErrTimedOut says that the request's time ran out before it was committed. It
	// may be committed later (S2). Clients retry.
	ErrTimedOut = errors.New("not committed in time")
	// ErrOutOfOrderSequence refuses a batch whose sequence number does not follow
	// the producer's last one (kafka.md 25-27).
	ErrOutOfOrderSequence = errors.New("producer sequence is out of order")
	// ErrInvalidProducerEpoch refuses a batch of a producer that was replaced by
	// one with a newer epoch (kafka.md 28).
	ErrInvalidProducerEpoch = errors.New("producer epoch is older than the current one")
	// ErrInvalidTxnState refuses a batch outside of a transaction while its
	// producer has one open on the partition (kafka.md 29).
	ErrInvalidTxnState = errors.New("producer has an open transaction on the partition")
	// ErrOffset refuses a batch that shall keep its offset where the log does not
	// end at that offset.
	ErrOffset = errors.New("log does not end at the offset of the batch")
)

// ErrForeign says that a slot of our session holds what neither we nor a fencer
// put there: a second process lives under our session, or the bucket is damaged.
// The process must stop (S3).
var ErrForeign = errors.New("slot of this session holds a foreign object")

package replay

import "errors"

// Why history cannot be read.
var (
	// ErrNoCluster says that the bucket holds no journal: it is empty, the wrong one,
	// or the prefix is.
	ErrNoCluster = errors.New("no cluster in this bucket")
	// ErrNoTopic says that the catalog knows no such topic, or not any more.
	ErrNoTopic = errors.New("no such topic")
	// ErrNoPartition says that the topic has no such partition.
	ErrNoPartition = errors.New("no such partition")
	// ErrMissing says that an object is not in the bucket, although the newest
	// catalog refers to it.
	ErrMissing = errors.New("object is missing")
	// ErrDamaged says that bytes are not what was written.
	ErrDamaged = errors.New("damaged bytes in the bucket")
)

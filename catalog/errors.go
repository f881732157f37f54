package catalog

import "errors"

// ErrUnsure says that a command may have been applied, or not, and must not be again.
var ErrUnsure = errors.New("it may have been done, or not: look again")

// Why Apply rejects a command. A rejected command has no effect at all, except
// where its comment says that it is decided item by item.
var (
	ErrExists          = errors.New("exists already")
	ErrNoTopic         = errors.New("no such topic")
	ErrNoPartition     = errors.New("no such partition")
	ErrNoSession       = errors.New("no such session")
	ErrSealed          = errors.New("session is sealed")
	ErrLive            = errors.New("session is live")
	ErrNoJob           = errors.New("no such job: it ended or was cancelled")
	ErrOwned           = errors.New("partition has a live owner")
	ErrNotOwner        = errors.New("session does not own the partition")
	ErrStale           = errors.New("the state moved on: look again")
	ErrInvalidExtents  = errors.New("extents do not fit the partition")
	ErrInvalidTopic    = errors.New("invalid topic name")
	ErrInvalidParts    = errors.New("invalid number of partitions")
	ErrInvalidReplicas = errors.New("invalid replication factor")
	ErrInvalidConfig   = errors.New("invalid configuration")
	ErrInvalidOffset   = errors.New("offset out of range")
	ErrCorrupt         = errors.New("catalog bytes are corrupt")
	ErrVersion         = errors.New("catalog bytes are of an unknown version")
)

package catalog

import "github.com/firnlog/firn/record"

// Extent is the catalog's line for a run: the offsets [Base, Next) of one
// partition, written under one leader epoch, and the bytes that hold them.
type Extent struct {
	Base, Next   int64
	Epoch        int32
	Object       ObjectRef
	Pos, Len     int64  // bytes within the object
	MaxTimestamp int64  // milliseconds; -1 when the run has no record
	CRC          uint32 // CRC-32C of the run's bytes
	Records      int64  // fewer than Next-Base after compaction
}

// Located is an extent together with the partition it belongs to.
type Located struct {
	Partition record.Partition
	Extent
}

// IndexRef is one line of the catalog for many extents of one partition that
// were pressed into an index object (protocol.md 6). Only extents in objects of that
// partition alone are pressed, so that the whole line can be deleted with it.
type IndexRef struct {
	Base, Next   int64
	Object       ObjectRef
	Extents      int32
	Bytes        int64 // of the runs listed
	MaxTimestamp int64
}

// EpochStart says that a leader epoch began at an offset (KIP-101).
type EpochStart struct {
	Epoch int32
	Start int64
}

package object

import (
	"encoding/binary"
	"fmt"

	"github.com/firnlog/firn/record"
)

// runLen is the bytes of a run in the run table.
const runLen = 84

// IndexEvery is about how many bytes of a run lie between two index entries.
const IndexEvery = 32 << 10

// Run is one run of an object: consecutive batches of one partition, written
// under one leader epoch.
type Run struct {
	Partition    record.Partition
	Epoch        int32
	Base, Next   int64
	Pos, Len     int64 // bytes within the object
	CRC          uint32
	MaxTimestamp int64 // ms; -1 when no record has one
	Records      int64
	WrittenMs    int64 // when the run was written, for people and for expiry
	Details
}

// Details are what a reader needs of a run beside where it is.
type Details struct {
	Index     []IndexEntry
	Producers []Producer
	// Complete says of a run in a WAL object that Producers are all that the
	// partition knows: who rebuilds them need not look further back.
	Complete bool
	Aborted  []Aborted
}

// IndexEntry says that a batch of the run begins at an offset and a position.
type IndexEntry struct {
	Base         int64 // offset of the batch
	Pos          int64 // bytes from the start of the run
	MaxTimestamp int64 // largest of all batches before this one; -1 when there are none
}

// Producer is what is known of an idempotent producer at the end of the run: in
// WAL objects of those that appended in the run (of all, if it is Complete), in
// sealed objects and segments of all of the partition.
type Producer struct {
	ID          int64
	Epoch       int16
	TimestampMs int64 // wall clock of its last batch
	TxnStart    int64 // -1 when no transaction is open
	Batches     []Produced
}

// Produced is one batch of a producer: Kafka remembers the last five (KIP-98).
type Produced struct {
	FirstSequence, LastSequence int32
	Base, Last                  int64
}

// Aborted is a transaction that was aborted: its producer's batches in
// [First, Last] are not for read_committed readers.
type Aborted struct {
	Producer    int64
	First, Last int64
}

// appendRun writes a line of the run table; details is where the run's end.
func appendRun(b []byte, r *Run, details int) []byte {
	b = append(b, r.Partition.Topic[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Partition.Index))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Epoch))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Base))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Next))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Pos))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Len))
	b = binary.LittleEndian.AppendUint32(b, r.CRC)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.MaxTimestamp))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Records))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.WrittenMs))
	return binary.LittleEndian.AppendUint32(b, uint32(details))
}

// parseRun reads a line of the run table; end is where the runs end in the
// object.
func parseRun(b []byte, end int64) (Run, error) {
	var r Run
	copy(r.Partition.Topic[:], b)
	r.Partition.Index = int32(binary.LittleEndian.Uint32(b[16:]))
	r.Epoch = int32(binary.LittleEndian.Uint32(b[20:]))
	r.Base = int64(binary.LittleEndian.Uint64(b[24:]))
	r.Next = int64(binary.LittleEndian.Uint64(b[32:]))
	r.Pos = int64(binary.LittleEndian.Uint64(b[40:]))
	r.Len = int64(binary.LittleEndian.Uint32(b[48:]))
	r.CRC = binary.LittleEndian.Uint32(b[52:])
	r.MaxTimestamp = int64(binary.LittleEndian.Uint64(b[56:]))
	r.Records = int64(binary.LittleEndian.Uint64(b[64:]))
	r.WrittenMs = int64(binary.LittleEndian.Uint64(b[72:]))
	switch {
	case r.Pos < HeaderLen || r.Pos > end || r.Len > end-r.Pos:
		return r, fmt.Errorf("%w: %d bytes at %d, but runs end at %d", ErrCorrupt, r.Len, r.Pos, end)
	case r.Base < 0 || r.Next < r.Base:
		return r, fmt.Errorf("%w: offsets [%d, %d)", ErrCorrupt, r.Base, r.Next)
	case r.Records < 0 || r.Records > r.Next-r.Base:
		return r, fmt.Errorf("%w: %d records at offsets [%d, %d)", ErrCorrupt, r.Records, r.Base, r.Next)
	}
	return r, nil
}

// partitionAt and nextAt are what a search needs of a line of the run table.
func partitionAt(b []byte) (p record.Partition) {
	copy(p.Topic[:], b)
	p.Index = int32(binary.LittleEndian.Uint32(b[16:]))
	return p
}

func nextAt(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b[32:])) }

func detailsEnd(b []byte) int { return int(binary.LittleEndian.Uint32(b[80:])) }

package ingest

import (
	"time"

	"github.com/firnlog/firn/record"
)

// Acks is what a producer waits for.
type Acks int16

// The three that there are (kafka.md 20).
const (
	AcksNone   Acks = 0  // nobody is answered; errors of validation are still told
	AcksLeader Acks = 1  // synced in the hot tier (P2)
	AcksAll    Acks = -1 // in the bucket (P1)
)

// Item is one batch for one partition.
type Item struct {
	Partition record.Partition
	// Batch is the whole batch, checked by package record, and Header what it
	// says. The machine writes base offset and leader epoch into it.
	Batch  []byte
	Header record.Header
	// Restore makes the batch keep the offset that it bears; it is refused with
	// ErrOffset where the log does not end there. For what a hot tier holds beyond
	// its session's fence (P2): its sequence is not checked, only remembered.
	Restore bool
}

// Result is the outcome of one Item.
type Result struct {
	Base          int64 // offset of the first record, when Err is nil
	LogAppendTime int64 // milliseconds, or -1 for CreateTime
	LogStart      int64 // of the partition
	Epoch         int32 // the leader epoch under which the outcome was found; -1 without one
	Err           error
}

// Request is one produce request. Its maker fills the exported fields, gives it
// to Machine.Append and does not touch it again until it is among Output.Answers.
// Results is then complete and not written again.
type Request struct {
	Acks    Acks
	Timeout time.Duration // from Append on; 0 means none
	Items   []Item
	Results []Result // made by Append unless it has the length of Items
	Token   any      // the maker's own

	deadline time.Time
	waiting  int // items without outcome
}

// wait is one item of a request that waits for a slot.
type wait struct {
	req  *Request // nil once the item has its outcome
	item int32
}

// Batch is one batch of a slot.
type Batch struct {
	Bytes  []byte // its header bears Base once the slot is cut
	Header record.Header
	Base   int64
	Token  any // of the request that it came with
}

// Part is what a slot holds of one partition: the offsets [Base, Next).
type Part struct {
	Partition  record.Partition
	Epoch      int32
	Base, Next int64
	Batches    []Batch
	// Producers are the producers that appended in this part, as they stand at its
	// end. They are whole entries: those of the newest part count.
	Producers []Producer
	// Complete says that Producers are all that the partition knows of.
	Complete bool

	log *plog
}

// Slot is one WAL object, from its first batch on. Once it is among Output.Puts,
// its exported fields stay as they are (W2).
type Slot struct {
	Session uint64
	Seq     uint64
	Parts   []Part // in the order of their first batch
	Bytes   int64  // of batches
	Batches int
	Records int64
	// Holds are the tokens of the requests whose bytes the slot refers to.
	Holds []any
	// Sync says that somebody waits for the hot tier to have synced the slot.
	Sync   bool
	Opened time.Time // when its first batch came

	bound  bool
	sent   time.Time // when it was bound
	waits  []wait
	filled bool
	synced bool
	loose  int64 // records acknowledged before they were committed
}

// perBatch is the memory that a batch takes beside its bytes, about: its places in request
// and slot, and the frame around it. Clients that do not batch send little else.
const perBatch = 512

// Memory is what the slot takes, about.
func (s *Slot) Memory() int64 { return s.Bytes + int64(s.Batches)*perBatch }

// Commit is a slot that has been committed.
type Commit struct {
	*Slot
	// Stable is the last stable offset of each part's partition at the end of the
	// part. It is nil when that is Next everywhere: no transaction is open.
	Stable []int64
}

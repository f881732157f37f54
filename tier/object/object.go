package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/firnlog/firn/record"
)

// What can be wrong with an object.
var (
	// ErrCorrupt says that bytes are not what was written.
	ErrCorrupt = errors.New("corrupt object")
	// ErrVersion says that the object was written by a newer Firn.
	ErrVersion = errors.New("unknown object format")
)

// Sizes of the fixed parts.
const (
	HeaderLen  = 64
	TrailerLen = 32
	runLen     = 84

	version      = 1
	magicHeader  = "FIRN"
	magicTrailer = "NRIF"

	// IndexEvery is about how many bytes of a run lie between two index entries.
	IndexEvery = 32 << 10
)

// Kind says what an object is.
type Kind uint8

// The kinds of objects.
const (
	WAL     Kind = 1 // one flush: runs of many partitions
	Sealed  Kind = 2 // pressed: runs of many partitions, sorted
	Segment Kind = 3 // pressed: one partition
	Fence   Kind = 4 // no runs: ends a session (S6)
	Index   Kind = 5 // a payload: extents pressed out of the catalog
)

// String is the kind's name in listings.
func (k Kind) String() string {
	switch k {
	case WAL:
		return "wal"
	case Sealed:
		return "sealed"
	case Segment:
		return "segment"
	case Fence:
		return "fence"
	case Index:
		return "index"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Header is the first 64 bytes of every object.
type Header struct {
	Kind    Kind
	Session uint64   // or the job that wrote it
	Slot    uint64   // or the number within the job
	Nonce   [16]byte // of the process whose session or job it is
	Fencer  [16]byte // of a fence: the nonce of the process that put it
}

// Encode returns the header's bytes.
func (h Header) Encode() []byte {
	b := make([]byte, HeaderLen)
	copy(b, magicHeader)
	b[4], b[5] = version, byte(h.Kind)
	binary.LittleEndian.PutUint64(b[8:], h.Session)
	binary.LittleEndian.PutUint64(b[16:], h.Slot)
	copy(b[24:], h.Nonce[:])
	copy(b[40:], h.Fencer[:])
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// ParseHeader reads the header that b begins with.
func ParseHeader(b []byte) (Header, error) {
	var h Header
	if len(b) < HeaderLen || string(b[:4]) != magicHeader {
		return h, fmt.Errorf("%w: no header", ErrCorrupt)
	}
	if got := crc32.Checksum(b[:60], castagnoli); got != binary.LittleEndian.Uint32(b[60:]) {
		return h, fmt.Errorf("%w: header: CRC-32C is %08x", ErrCorrupt, got)
	}
	if b[4] != version {
		return h, fmt.Errorf("%w: version %d, this program knows %d", ErrVersion, b[4], version)
	}
	h.Kind = Kind(b[5])
	if h.Kind < WAL || h.Kind > Index {
		return h, fmt.Errorf("%w: %s", ErrVersion, h.Kind)
	}
	h.Session = binary.LittleEndian.Uint64(b[8:])
	h.Slot = binary.LittleEndian.Uint64(b[16:])
	copy(h.Nonce[:], b[24:])
	copy(h.Fencer[:], b[40:])
	return h, nil
}

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
	Aborted   []Aborted
}

// IndexEntry says that a batch of the run begins at an offset and a position.
type IndexEntry struct {
	Base         int64 // offset of the batch
	Pos          int64 // relative to the run
	MaxTimestamp int64 // largest of the batches of the run that lie before it; -1 for none
}

// Producer is what is known of an idempotent producer at the end of a run.
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

// Trailer is the last 32 bytes of every object.
type Trailer struct {
	FooterPos int64
	FooterLen int64
	Runs      int
	FooterCRC uint32
	// Identity tells whether two objects of one name are the same bytes (S3).
	Identity uint32
}

// ParseTrailer reads the trailer from the end of the object: b holds its last
// bytes, size is the whole object's.
func ParseTrailer(b []byte, size int64) (Trailer, error) {
	var t Trailer
	if len(b) < TrailerLen || size < HeaderLen+TrailerLen {
		return t, fmt.Errorf("%w: %d bytes are too few", ErrCorrupt, size)
	}
	b = b[len(b)-TrailerLen:]
	if string(b[28:]) != magicTrailer {
		return t, fmt.Errorf("%w: no trailer: it is cut short, or not an object", ErrCorrupt)
	}
	t.FooterPos = int64(binary.LittleEndian.Uint64(b))
	t.FooterLen = int64(binary.LittleEndian.Uint32(b[8:]))
	t.Runs = int(binary.LittleEndian.Uint32(b[12:]))
	t.FooterCRC = binary.LittleEndian.Uint32(b[16:])
	t.Identity = binary.LittleEndian.Uint32(b[20:])
	if t.FooterPos < HeaderLen || t.FooterPos+t.FooterLen != size-TrailerLen || int64(t.Runs)*runLen > t.FooterLen {
		return t, fmt.Errorf("%w: trailer: footer of %d bytes at %d for %d runs in an object of %d", ErrCorrupt, t.FooterLen, t.FooterPos, t.Runs, size)
	}
	return t, nil
}

// Footer is an object's run table. Runs are decoded one at a time, so that one
// of ten thousand costs no more than one.
type Footer struct {
	Trailer Trailer
	b       []byte
}

// ParseFooter reads the footer; b is exactly its bytes and stays referenced.
func ParseFooter(b []byte, t Trailer) (*Footer, error) {
	if int64(len(b)) != t.FooterLen {
		return nil, fmt.Errorf("%w: %d bytes of a footer of %d", ErrCorrupt, len(b), t.FooterLen)
	}
	if got := crc32.Checksum(b, castagnoli); got != t.FooterCRC {
		return nil, fmt.Errorf("%w: footer: CRC-32C is %08x, the trailer says %08x", ErrCorrupt, got, t.FooterCRC)
	}
	return &Footer{t, b}, nil
}

// Len is the number of runs.
func (f *Footer) Len() int { return f.Trailer.Runs }

// Size is the bytes that the footer keeps in memory.
func (f *Footer) Size() int { return len(f.b) }

// Run returns the i-th run without its details.
func (f *Footer) Run(i int) (Run, error) {
	b := f.b[i*runLen:]
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
	if r.Pos < HeaderLen || r.Len < 0 || r.Pos+r.Len > f.Trailer.FooterPos || r.Next < r.Base {
		return r, fmt.Errorf("%w: run %d: offsets [%d, %d) in bytes [%d, %d)", ErrCorrupt, i, r.Base, r.Next, r.Pos, r.Pos+r.Len)
	}
	return r, nil
}

// Find returns the index of the run that holds the offset of a partition; -1
// when there is none.
func (f *Footer) Find(p record.Partition, offset int64) int {
	lo, hi := 0, f.Len()
	for lo < hi {
		mid := (lo + hi) / 2
		r, err := f.Run(mid)
		if err != nil {
			return -1
		}
		if c := r.Partition.Compare(p); c < 0 || c == 0 && r.Next <= offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < f.Len() {
		if r, err := f.Run(lo); err == nil && r.Partition == p && r.Base <= offset {
			return lo
		}
	}
	return -1
}

// Whole returns the i-th run with its details.
func (f *Footer) Whole(i int) (Run, error) {
	r, err := f.Run(i)
	if err != nil {
		return r, err
	}
	details := f.b[f.Len()*runLen:]
	from := 0
	if i > 0 {
		from = int(binary.LittleEndian.Uint32(f.b[(i-1)*runLen+80:]))
	}
	to := int(binary.LittleEndian.Uint32(f.b[i*runLen+80:]))
	if from > to || to > len(details) {
		return r, fmt.Errorf("%w: run %d: details [%d, %d) of %d bytes", ErrCorrupt, i, from, to, len(details))
	}
	if r.Details, err = decodeDetails(details[from:to], r); err != nil {
		return r, fmt.Errorf("run %d: %w", i, err)
	}
	return r, nil
}

// Runs returns all runs with their details.
func (f *Footer) Runs() ([]Run, error) {
	runs := make([]Run, f.Len())
	for i := range runs {
		var err error
		if runs[i], err = f.Whole(i); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// TailLen is how many bytes of an object's end are worth asking for at first:
// enough for the footer of most objects.
const TailLen = 64 << 10

// OpenFooter reads a footer given the object's end: tail holds its last bytes.
// When the footer begins before them, it returns nil and how many bytes of the
// end are needed.
func OpenFooter(tail []byte, size int64) (*Footer, int64, error) {
	t, err := ParseTrailer(tail, size)
	if err != nil {
		return nil, 0, err
	}
	need := t.FooterLen + TrailerLen
	if need > int64(len(tail)) {
		return nil, need, nil
	}
	end := len(tail) - TrailerLen
	f, err := ParseFooter(tail[end-int(t.FooterLen):end], t)
	return f, need, err
}

// Open reads header and footer of an object that lies in memory as a whole.
func Open(b []byte) (Header, *Footer, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return h, nil, err
	}
	f, _, err := OpenFooter(b, int64(len(b)))
	if err != nil {
		return h, nil, err
	}
	if got := identity(b[:HeaderLen], f.b, b[len(b)-TrailerLen:]); got != f.Trailer.Identity {
		return h, nil, fmt.Errorf("%w: identity is %08x, the trailer says %08x", ErrCorrupt, got, f.Trailer.Identity)
	}
	return h, f, nil
}

// Identity is the identity of an object that lies in memory as a whole: its
// header and trailer, which cover everything (O3).
func Identity(b []byte) (Header, uint32, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return h, 0, err
	}
	t, err := ParseTrailer(b, int64(len(b)))
	return h, t.Identity, err
}

func identity(header, footer, trailer []byte) uint32 {
	crc := crc32.Checksum(header, castagnoli)
	crc = crc32.Update(crc, castagnoli, footer)
	return crc32.Update(crc, castagnoli, trailer[:20])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

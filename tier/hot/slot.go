package hot

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/firnlog/firn/record"
)

// Session is one life of a broker: the number under which the catalog knows it,
// and the nonce that tells it from a session of the same number in another
// cluster, whose folder somebody may have copied here.
type Session struct {
	ID    uint64
	Nonce [16]byte
}

// Slot names one WAL object.
type Slot struct {
	Session uint64
	Seq     uint64
}

// Compare orders slots by session, then by number.
func (s Slot) Compare(o Slot) int {
	if c := cmp.Compare(s.Session, o.Session); c != 0 {
		return c
	}
	return cmp.Compare(s.Seq, o.Seq)
}

// Entry is one batch, or several consecutive batches that shall be read
// together, of one partition. The tier does not look into Value.
type Entry struct {
	Partition    record.Partition
	Base, Last   int64 // offsets of the first and the last record
	Epoch        int32
	MaxTimestamp int64
	// Batch says that Value is one batch whose CRC holds, as the caller has seen: the
	// tier's checksum is made of it, without reading the bytes once more.
	Batch bool
	Value []byte
}

// line is what the index keeps of an Entry: 40 bytes.
type line struct {
	base  int64
	maxTs int64
	delta uint32 // last - base
	size  uint32 // bytes of the value
	slot  uint32 // relative to the generation's first
	pos   uint32 // of the value in the generation's file
	epoch int32
	crc   uint32 // of the value, bound to its place (H1)
}

func (l line) last() int64 { return l.base + int64(l.delta) }

// table is the decoded slot table: the lines of one slot, by partition, in the
// order in which they were appended.
type table struct {
	seq  uint64
	runs []tableRun
}

type tableRun struct {
	partition record.Partition
	lines     []line
}

const (
	tableVersion = 2
	// A slot table is
	//
	//	0   1  version 2
	//	1   8  slot
	//	9   4  position of the first value; the others follow without a gap
	//	13  4  number of runs
	//	17     runs
	//	    4  crc32c of all that precedes, begun with the origin's bytes
	//
	// and a run, the entries of one partition that follow each other,
	//
	//	0  16  topic
	//	16  4  partition
	//	20  4  number of entries
	//	24     entries
	//
	// and an entry
	//
	//	0   8  base offset
	//	8   4  last offset - base offset
	//	12  4  length
	//	16  4  leader epoch
	//	20  8  max timestamp
	//	28  4  crc32c of the value, begun with the entry's place (see seal)
	tableHead = 17
	runHead   = 24
	entrySize = 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var be = binary.BigEndian

// seal is the checksum of a value bound to the place where it belongs, so that
// neither a flipped bit nor a value that turns up in another place passes (H1).
func seal(origin uint32, seq uint64, pos uint32, p record.Partition, base int64, value []byte) uint32 {
	return crc32.Update(placed(origin, seq, pos, p, base), castagnoli, value)
}

// placed is the checksum of the place alone.
func placed(origin uint32, seq uint64, pos uint32, p record.Partition, base int64) uint32 {
	var place [40]byte
	be.PutUint64(place[0:], seq)
	be.PutUint32(place[8:], pos)
	copy(place[12:], p.Topic[:])
	be.PutUint32(place[28:], uint32(p.Index))
	be.PutUint64(place[32:], uint64(base))
	return crc32.Update(origin, castagnoli, place[:])
}

// tabulate makes the slot table of entries whose values begin at pos: the lines for
// the index and their encoding. It refuses entries that no batch could be.
func tabulate(o origin, first, seq uint64, pos uint32, entries []Entry) (table, []byte, error) {
	seed := o.seed()
	t := table{seq: seq}
	lines := make([]line, len(entries))
	buf := make([]byte, tableHead, tableHead+len(entries)*(entrySize+runHead)+4)
	buf[0] = tableVersion
	be.PutUint64(buf[1:], seq)
	be.PutUint32(buf[9:], pos)
	runAt, runFrom := 0, 0
	for i := range entries {
		e := &entries[i]
		if e.Base < 0 || e.Last < e.Base || e.Last-e.Base > math.MaxUint32 || len(e.Value) == 0 || len(e.Value) > math.MaxInt32 {
			return table{}, nil, fmt.Errorf("%w: entry %d of slot %d: offsets %d to %d, %d bytes", ErrOrder, i, seq, e.Base, e.Last, len(e.Value))
		}
		if i == 0 || entries[i-1].Partition != e.Partition {
			t.runs = append(t.runs, tableRun{partition: e.Partition})
			runAt, runFrom = len(buf), i
			buf = append(buf, e.Partition.Topic[:]...)
			buf = be.AppendUint32(buf, uint32(e.Partition.Index))
			buf = be.AppendUint32(buf, 0)
		} else if e.Base <= entries[i-1].Last {
			return table{}, nil, fmt.Errorf("%w: entry %d of slot %d: offset %d after %d", ErrOrder, i, seq, e.Base, entries[i-1].Last)
		}
		lines[i] = line{
			base: e.Base, maxTs: e.MaxTimestamp, delta: uint32(e.Last - e.Base), size: uint32(len(e.Value)),
			slot: uint32(seq - first), pos: pos, epoch: e.Epoch,
			crc: placed(seed, seq, pos, e.Partition, e.Base),
		}
		pos += uint32(len(e.Value))
		l := &lines[i]
		if e.Batch {
			l.crc = record.Extend(l.crc, e.Value)
		} else {
			l.crc = crc32.Update(l.crc, castagnoli, e.Value)
		}
		t.runs[len(t.runs)-1].lines = lines[runFrom : i+1]
		be.PutUint32(buf[runAt+20:], uint32(i+1-runFrom))
		buf = be.AppendUint64(buf, uint64(l.base))
		buf = be.AppendUint32(buf, l.delta)
		buf = be.AppendUint32(buf, l.size)
		buf = be.AppendUint32(buf, uint32(l.epoch))
		buf = be.AppendUint64(buf, uint64(l.maxTs))
		buf = be.AppendUint32(buf, l.crc)
	}
	be.PutUint32(buf[13:], uint32(len(t.runs)))
	return t, be.AppendUint32(buf, crc32.Update(seed, castagnoli, buf)), nil
}

// parseTable is the reverse of tabulate.
func parseTable(o origin, first uint64, b []byte) (table, error) {
	if len(b) < tableHead+4 || b[0] != tableVersion {
		return table{}, errors.New("slot table: short, or of an unknown version")
	}
	body := b[:len(b)-4]
	if crc32.Update(o.seed(), castagnoli, body) != be.Uint32(b[len(b)-4:]) {
		return table{}, errors.New("slot table: checksum does not match")
	}
	t := table{seq: be.Uint64(body[1:])}
	if t.seq < first || t.seq-first > math.MaxUint32 {
		return table{}, fmt.Errorf("slot table: slot %d in a generation that begins at %d", t.seq, first)
	}
	pos, runs := be.Uint32(body[9:]), int(be.Uint32(body[13:]))
	rest := body[tableHead:]
	for range runs {
		if len(rest) < runHead {
			return table{}, errors.New("slot table: run is cut off")
		}
		var r tableRun
		copy(r.partition.Topic[:], rest)
		r.partition.Index = int32(be.Uint32(rest[16:]))
		n := int(be.Uint32(rest[20:]))
		rest = rest[runHead:]
		if n < 0 || len(rest)/entrySize < n {
			return table{}, errors.New("slot table: entries are cut off")
		}
		r.lines = make([]line, n)
		for i := range r.lines {
			r.lines[i] = line{
				base: int64(be.Uint64(rest)), delta: be.Uint32(rest[8:]), size: be.Uint32(rest[12:]),
				epoch: int32(be.Uint32(rest[16:])), maxTs: int64(be.Uint64(rest[20:])), crc: be.Uint32(rest[28:]),
				slot: uint32(t.seq - first), pos: pos,
			}
			pos += r.lines[i].size
			rest = rest[entrySize:]
		}
		t.runs = append(t.runs, r)
	}
	return t, nil
}

// origin says which generation a directory is.
type origin struct {
	session Session
	seq     uint64 // of the generation within its session
}

const originSize = 1 + 8 + 16 + 8 + 4

func (o origin) encode() []byte {
	b := make([]byte, 0, originSize)
	b = append(b, 1)
	b = be.AppendUint64(b, o.session.ID)
	b = append(b, o.session.Nonce[:]...)
	b = be.AppendUint64(b, o.seq)
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parseOrigin(b []byte) (origin, error) {
	if len(b) != originSize || b[0] != 1 || crc32.Checksum(b[:originSize-4], castagnoli) != be.Uint32(b[originSize-4:]) {
		return origin{}, errors.New("origin: unreadable")
	}
	o := origin{session: Session{ID: be.Uint64(b[1:])}, seq: be.Uint64(b[25:])}
	copy(o.session.Nonce[:], b[9:])
	return o, nil
}

// seed begins every checksum of the generation, so that nothing of another
// generation passes for its own.
func (o origin) seed() uint32 { return crc32.Checksum(o.encode(), castagnoli) }

// dir is the name of the generation's directory.
func (o origin) dir() string { return fmt.Sprintf("%020d-%06d", o.session.ID, o.seq) }

const (
	keyOrigin = 0x00
	keyTable  = 0x02
)

func tableKey(seq uint64) []byte {
	b := make([]byte, 9, 9+8) // Badger appends 8 bytes of timestamp
	b[0] = keyTable
	be.PutUint64(b[1:], seq)
	return b
}

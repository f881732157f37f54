package catalog

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind says which naming scheme an ObjectRef follows.
type Kind uint8

// Kinds of objects that the catalog refers to.
const (
	KindWAL   Kind = 1 // wal/<session>/<slot>
	KindSeg   Kind = 2 // seg/<job>/<n>: sealed objects and segments
	KindIndex Kind = 3 // idx/<job>/<n>: extents pressed out of the catalog
	// KindListless is in the garbage alone: an index object that a newer one stands
	// for. It goes without what it lists.
	KindListless Kind = 4
)

// ObjectRef names an immutable object of the bucket in 17 bytes. It is
// comparable.
type ObjectRef struct {
	Kind Kind
	A    uint64 // WAL: session. Seg, Index: job.
	B    uint64 // WAL: slot. Seg, Index: number within the job.
}

// WAL is the reference to slot seq of a session.
func WAL(session, seq uint64) ObjectRef { return ObjectRef{KindWAL, session, seq} }

// Seg is the reference to the n-th sealed object or segment of a job.
func Seg(job, n uint64) ObjectRef { return ObjectRef{KindSeg, job, n} }

// Index is the reference to the n-th index object of a job.
func Index(job, n uint64) ObjectRef { return ObjectRef{KindIndex, job, n} }

// CompactedFrom is the number from which on the objects of a job hold runs that were
// compacted by key: in them every key is there once.
const CompactedFrom = 1 << 32

// IsCompacted reports whether an object holds such runs.
func (r ObjectRef) IsCompacted() bool {
	return r.Kind == KindSeg && r.B >= CompactedFrom && !r.IsCancelled()
}

// Prefixes of object names.
const (
	PrefixWAL   = "wal/"
	PrefixSeg   = "seg/"
	PrefixIndex = "idx/"
)

// Name is the object's name below the store's prefix. Numbers are padded to
// twenty digits so that names sort as numbers do.
func (r ObjectRef) Name() string {
	switch r.Kind {
	case KindWAL:
		return r.under(PrefixWAL)
	case KindSeg:
		return r.under(PrefixSeg)
	case KindIndex, KindListless:
		return r.under(PrefixIndex)
	}
	return "none"
}

func (r ObjectRef) under(prefix string) string {
	b := make([]byte, 0, 64)
	b = AppendNumber(append(b, prefix...), r.A)
	b = AppendNumber(append(b, '/'), r.B)
	return string(b)
}

// AppendNumber appends a number as names of objects have it: twenty digits, so that names
// are in the order of their numbers.
func AppendNumber(b []byte, n uint64) []byte {
	var digits [20]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = '0' + byte(n%10)
		n /= 10
	}
	return append(b, digits[:]...)
}

// String is Name.
func (r ObjectRef) String() string { return r.Name() }

// IsZero reports whether r refers to nothing.
func (r ObjectRef) IsZero() bool { return r.Kind == 0 }

// Compare orders references by kind, then by number.
func (r ObjectRef) Compare(q ObjectRef) int {
	switch {
	case r.Kind != q.Kind:
		return int(r.Kind) - int(q.Kind)
	case r.A != q.A:
		return order(r.A, q.A)
	}
	return order(r.B, q.B)
}

func order(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// ParseRef is the reverse of Name. It refuses every string that Name does not
// return.
func ParseRef(name string) (ObjectRef, error) {
	var r ObjectRef
	switch {
	case strings.HasPrefix(name, PrefixWAL):
		r.Kind = KindWAL
	case strings.HasPrefix(name, PrefixSeg):
		r.Kind = KindSeg
	case strings.HasPrefix(name, PrefixIndex):
		r.Kind = KindIndex
	default:
		return r, fmt.Errorf("object name %q: want wal/, seg/ or idx/ in front", name)
	}
	a, b, ok := strings.Cut(name[4:], "/")
	if !ok || len(a) != 20 || len(b) != 20 {
		return ObjectRef{}, fmt.Errorf("object name %q: want two numbers of 20 digits", name)
	}
	var err error
	if r.A, err = strconv.ParseUint(a, 10, 64); err == nil {
		r.B, err = strconv.ParseUint(b, 10, 64)
	}
	if err != nil {
		return ObjectRef{}, fmt.Errorf("object name %q: %w", name, err)
	}
	return r, nil
}

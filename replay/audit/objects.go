package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// object holds one object to the claims on it (A2). It reads it front to back, a few
// megabytes at a time; where few of its runs are claimed, around those.
func (a *auditor) object(ctx context.Context, s *catalog.State, ref catalog.ObjectRef, cs []claim, first bool) error {
	defer a.progress()
	slices.SortFunc(cs, func(x, y claim) int { return cmp.Compare(x.Pos, y.Pos) })
	var hurt []stretch
	for _, c := range cs {
		hurt = append(hurt, c.stretch())
	}
	o, err := a.open(ctx, ref)
	if errors.Is(err, cold.ErrNotFound) {
		a.doubt(ref, hurt, "A2: missing; it holds %s", sum(cs))
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { a.spare(o.reader.Buffer()) }()
	if o.bad == nil {
		if err := o.named(s); err != nil { // another object: none of its bytes are the claimed ones
			a.doubt(ref, hurt, "A2: %v; it should hold %s", err, sum(cs))
			return nil
		}
	}
	var whole, broken []claim
	for _, c := range cs {
		wrong, err := a.run(s, o, c)
		switch {
		case errors.Is(err, cold.ErrNotFound): // deleted while it was read
			a.doubt(ref, hurt, "A2: missing; it holds %s", sum(cs))
			return nil
		case err != nil:
			return err
		case wrong == nil:
			whole = append(whole, c)
		case o.bad == nil:
			a.doubt(ref, []stretch{c.stretch()}, "A2: %s, bytes [%d, %d): %v", c, c.Pos, c.Pos+c.Len, wrong)
		default:
			broken = append(broken, c)
		}
	}
	switch {
	case o.bad == nil:
	case len(broken) == 0:
		a.doubt(ref, hurt, "A2: %v; its %d runs are whole, among them %s", o.bad, len(cs), sum(cs[:1]))
	default:
		a.doubt(ref, hurt, "A2: %v; lost with it: %s", o.bad, sum(broken))
	}
	if o.bad == nil && ref.Kind == catalog.KindWAL {
		if err := a.unclaimed(s, ref, o.footer); err != nil {
			a.doubt(ref, hurt, "A2: %v", err)
		}
	}
	if first {
		a.count(whole)
	}
	return nil
}

func (a *auditor) count(cs []claim) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Objects++
	a.report.Runs += len(cs)
	for _, c := range cs {
		a.report.Bytes += c.Len
		a.report.Records += c.Records
	}
}

// opened is an object whose ends were read.
type opened struct {
	ref    catalog.ObjectRef
	header object.Header
	footer *object.Footer // nil if it cannot be read
	bad    error          // what is wrong with header, footer or trailer
	reader *cold.ReaderAt
}

func (a *auditor) open(ctx context.Context, ref catalog.ObjectRef) (*opened, error) {
	o := &opened{ref: ref}
	tail, err := a.store.Get(ctx, ref.Name(), cold.Tail(object.TailLen), nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	size, err := object.SizeOf(tail)
	if err != nil {
		o.bad = err
		info, err := a.store.Stat(ctx, ref.Name())
		if err != nil {
			return nil, fmt.Errorf("stat %s: %w", ref, err)
		}
		size = info.Size
	}
	o.reader = cold.NewReaderAt(ctx, a.store, ref.Name(), size, a.buffer())
	if int64(len(tail)) == size {
		o.reader.Has(0, slices.Clone(tail)) // the footer keeps the tail
	}
	if o.bad != nil {
		return o, nil
	}
	head := make([]byte, object.HeaderLen)
	if _, err := o.reader.ReadAt(head, 0); err != nil && !ended(err) {
		return nil, err
	}
	f, need, err := object.OpenFooter(tail, size)
	if err == nil && f == nil {
		if tail, err = a.store.Get(ctx, ref.Name(), cold.Tail(need), nil); err != nil {
			return nil, fmt.Errorf("read %s: %w", ref, err)
		}
	}
	o.header, o.footer, _, o.bad = object.OpenEnds(head, tail, size)
	return o, nil
}

// ended reports whether an object is shorter than it should be.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, cold.ErrRange)
}

// named says what is wrong when an object is not the one that its name says.
func (o *opened) named(s *catalog.State) error {
	h, ref := o.header, o.ref
	kind := h.Kind == object.Sealed || h.Kind == object.Segment
	if ref.Kind == catalog.KindWAL {
		kind = h.Kind == object.WAL
	}
	if !kind || h.Session != ref.A || h.Slot != ref.B {
		return fmt.Errorf("it says that it is %s %d of %d", h.Kind, h.Slot, h.Session)
	}
	if v, ok := s.Session(ref.A); ok && ref.Kind == catalog.KindWAL && v.Nonce != h.Nonce {
		return fmt.Errorf("it was written by another process than session %d: its nonce is %x", v.ID, h.Nonce)
	}
	return nil
}

// run checks the bytes of a claim, and that the footer says the same of them. The
// first result says what is wrong, the second that it could not be read.
func (a *auditor) run(s *catalog.State, o *opened, c claim) (wrong, err error) {
	r := object.Run{Partition: c.partition, Epoch: c.Epoch, Base: c.Base, Next: c.Next, Pos: c.Pos, Len: c.Len, CRC: c.CRC, Records: c.Records, MaxTimestamp: c.MaxTimestamp}
	if o.footer != nil {
		i := o.footer.Find(c.partition, c.Base)
		if i < 0 {
			return errors.New("its footer knows no run there"), nil
		}
		if r, err = o.footer.Whole(i); err != nil {
			return err, nil
		}
		if wrong := differs(r, c); wrong != nil {
			return wrong, nil
		}
		if wrong := producers(r); wrong != nil {
			return wrong, nil
		}
	}
	var each func(record.Header, []byte)
	var load error
	if t, ok := s.TopicNamed("__consumer_offsets"); ok && t.ID == c.partition.Topic {
		m := group.New(group.Config{}, func(p string) string { return p })
		each = func(h record.Header, batch []byte) {
			if load == nil {
				load = groups(m, h, batch)
			}
		}
	}
	wrong = object.ReadRun(r, io.NewSectionReader(o.reader, r.Pos, r.Len), each)
	switch {
	case wrong == nil:
		return load, nil
	case errors.Is(wrong, object.ErrCorrupt), ended(wrong):
		return wrong, nil
	}
	return nil, wrong
}

// differs says where an extent and the footer do not say the same of a run.
func differs(r object.Run, c claim) error {
	switch {
	case r.Base != c.Base || r.Next != c.Next:
		return fmt.Errorf("its footer says offsets [%d, %d)", r.Base, r.Next)
	case r.Pos != c.Pos || r.Len != c.Len:
		return fmt.Errorf("its footer says bytes [%d, %d)", r.Pos, r.Pos+r.Len)
	case r.CRC != c.CRC:
		return fmt.Errorf("the catalog says CRC-32C %08x, its footer %08x", c.CRC, r.CRC)
	case r.Epoch != c.Epoch:
		return fmt.Errorf("the catalog says epoch %d, its footer %d", c.Epoch, r.Epoch)
	case r.Records != c.Records:
		return fmt.Errorf("the catalog says %d records, its footer %d", c.Records, r.Records)
	case r.MaxTimestamp != c.MaxTimestamp:
		return fmt.Errorf("the catalog says newest timestamp %d, its footer %d", c.MaxTimestamp, r.MaxTimestamp)
	}
	return nil
}

// producers says what is wrong with what a footer tells heirs of producers (A6). They
// may be further than the run: a rewrite tells what is known when it is made.
func producers(r object.Run) error {
	for _, p := range r.Producers {
		if p.ID < 0 || p.Epoch < 0 {
			return fmt.Errorf("A6: its footer names producer %d in epoch %d", p.ID, p.Epoch)
		}
		at := int64(-1)
		for _, b := range p.Batches {
			if b.Base <= at || b.Last < b.Base {
				return fmt.Errorf("A6: its footer says that producer %d wrote offsets [%d, %d] behind %d", p.ID, b.Base, b.Last, at)
			}
			at = b.Last
		}
	}
	return nil
}

// groups says what is wrong with a batch of __consumer_offsets (A6).
func groups(m *group.Machine, h record.Header, batch []byte) error {
	if h.Control() {
		return nil
	}
	dec := record.BorrowDecoder()
	defer dec.Return()
	it := record.Iterate(h, batch, dec)
	for it.Next() {
		if err := m.ReplayTxn(-1, it.Record.Key, it.Record.Value); err != nil {
			return fmt.Errorf("A6: the record at offset %d cannot be loaded: %w", it.Offset(), err)
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("A6: %w", err)
	}
	return nil
}

package salvage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// Why an object cannot be given up.
var (
	ErrIntact  = errors.New("all that the catalog describes in it can be read: there is nothing to give up")
	ErrUnknown = errors.New("the catalog describes nothing in it")
	ErrNobody  = errors.New("no broker is registered: start one, it will say which partitions cannot be led")
)

// Loss is what an object takes with it.
type Loss struct {
	Object  catalog.ObjectRef
	Why     string            // of a run that cannot be read
	Missing bool              // the whole object is
	Runs    []catalog.Located // that cannot be read
	Whole   int               // runs that can: they stay where they are
	Mute    []catalog.Located // of these, when the footer cannot be read: they are copied
}

// Records is how many records are lost.
func (l Loss) Records() (n int64) {
	for _, r := range l.Runs {
		n += r.Records
	}
	return n
}

// FindLoss reads the runs that the catalog describes in an object. A run is lost when the
// store says again and again, for as long as it is watched, that it is not there, or gives
// bytes of another checksum: damage may be done on the way, and a store may be late to show
// what it has. Any other answer decides nothing, and is the error. ErrIntact and ErrUnknown
// say that there is nothing to give up.
func FindLoss(ctx context.Context, store cold.Store, s *catalog.State, ref catalog.ObjectRef, watch time.Duration) (Loss, error) {
	l := Loss{Object: ref}
	runs := s.RunsIn(ref)
	if len(runs) == 0 {
		return l, fmt.Errorf("%s: %w", ref, ErrUnknown)
	}
	all := runs
	for look := range looks {
		if look > 0 {
			select {
			case <-ctx.Done():
				return l, ctx.Err()
			case <-time.After(watch / (looks - 1)):
			}
		}
		lost, why, err := unreadable(ctx, store, runs)
		if err != nil {
			return l, err
		}
		l.Whole += len(runs) - len(lost)
		runs = lost
		footer, err := mute(ctx, store, ref)
		if err != nil && !errors.Is(err, cold.ErrNotFound) {
			return l, err
		}
		switch {
		case len(runs) > 0:
			l.Why, l.Missing = why.Error(), errors.Is(why, cold.ErrNotFound)
		case footer != nil:
			l.Why = footer.Error()
		default:
			return l, fmt.Errorf("%s: %w", ref, ErrIntact)
		}
		if l.Mute = nil; footer != nil {
			l.Mute = slices.DeleteFunc(slices.Clone(all), func(x catalog.Located) bool { return slices.Contains(runs, x) })
		}
	}
	l.Runs = runs
	return l, nil
}

// looks is how often a run is read before it is believed that it is lost.
const looks = 5

// unreadable are the runs that cannot be read, and why.
func unreadable(ctx context.Context, store cold.Store, runs []catalog.Located) (lost []catalog.Located, why, err error) {
	for i, r := range runs {
		err := readRun(ctx, store, r)
		switch {
		case err == nil:
			continue
		case errors.Is(err, cold.ErrNotFound): // and so are the others
			return append(lost, runs[i:]...), err, nil
		case !errors.Is(err, cold.ErrRange) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, object.ErrCorrupt):
			return nil, nil, err
		}
		lost, why = append(lost, r), err
	}
	return lost, why, nil
}

func readRun(ctx context.Context, store cold.Store, r catalog.Located) error {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	in := cold.NewReaderAt(ctx, store, r.Object.Name(), r.Pos+r.Len, nil)
	if _, err := io.Copy(sum, io.NewSectionReader(in, r.Pos, r.Len)); err != nil {
		return fmt.Errorf("offsets [%d, %d): %w", r.Base, r.Next, err)
	}
	if sum.Sum32() != r.CRC {
		return fmt.Errorf("offsets [%d, %d): %w: their bytes have CRC-32C %08x, not %08x", r.Base, r.Next, object.ErrCorrupt, sum.Sum32(), r.CRC)
	}
	return nil
}

// Producers says what is known of the producers of partitions where their logs ended at
// these offsets, and of which it cannot be known; pump.LoadProducersBelow does.
type Producers func(ctx context.Context, store cold.Store, s *catalog.State, ends map[record.Partition]int64) (known map[record.Partition][]object.Producer, unknown map[record.Partition]error, err error)

// GiveUp makes a loss final (V6): it puts objects with empty runs, fillers, and has the
// catalog describe those instead. Offsets stay given away; consumers pass over them, and
// whoever takes the partitions over finds in the fillers what is known of producers.
// Brokers may run. After an interruption, catalog.ErrStale or catalog.ErrNoJob it is to be
// done again, from FindLoss on.
func GiveUp(ctx context.Context, store cold.Store, l Loss, producers Producers) error {
	ctx, store, why := strictly(ctx, store)
	return why(giveUp(ctx, store, l, producers))
}

func giveUp(ctx context.Context, store cold.Store, l Loss, producers Producers) error {
	scribe, _, err := writer(ctx, store)
	if err != nil {
		return err
	}
	// Of each partition the first run first: the filler of the next one says what is known
	// of producers behind it.
	runs := slices.Concat(l.Runs, l.Mute)
	slices.SortFunc(runs, inOrder)
	for len(runs) > 0 {
		var some, whole, rest []catalog.Located
		for i, r := range runs {
			if i > 0 && r.Partition == runs[i-1].Partition {
				rest = append(rest, r)
			} else if slices.Contains(l.Mute, r) {
				whole = append(whole, r)
			} else {
				some = append(some, r)
			}
		}
		if len(some) > 0 {
			if err := replace(ctx, store, scribe, l, some, producers); err != nil {
				return err
			}
		}
		if err := copyRuns(ctx, store, scribe, whole, producers); err != nil {
			return err
		}
		runs = rest
	}
	return nil
}

// writer is a writer of the journal that has read it to its end, and its nonce.
func writer(ctx context.Context, store cold.Store) (*journal.Scribe, [16]byte, error) {
	var me [16]byte
	_, _ = rand.Read(me[:])
	scribe := journal.NewScribe(store, me, journal.Options{})
	if err := scribe.Catchup(ctx); err != nil {
		return nil, me, err
	}
	cluster := scribe.State().ClusterID()
	if cluster == "" {
		return nil, me, errors.New("the bucket has no cluster")
	}
	return scribe, me, scribe.Open(ctx, cluster)
}

// replace gives up one run of each partition.
func replace(ctx context.Context, store cold.Store, scribe *journal.Scribe, l Loss, runs []catalog.Located, producers Producers) error {
	known, err := producersAt(ctx, store, scribe.State(), runs, l.Missing, producers)
	if err != nil {
		return err
	}
	job, err := begin(ctx, scribe)
	if err != nil {
		return err
	}
	fillers, e := fill(job, runs, known)
	if err := putOnce(ctx, store, catalog.Seg(job, 0), e); err != nil {
		return err
	}
	res, err := scribe.Commit(ctx, &catalog.GiveUp{Job: job, Lost: l.Object, Fillers: fillers})
	if err != nil || res[0].Err == nil {
		return err
	}
	if _, err := scribe.Commit(ctx, &catalog.CancelJob{Job: job}); err != nil { // or it is cancelled with its session
		return errors.Join(res[0].Err, err)
	}
	return res[0].Err
}

// putOnce puts a finished object of a job, or finds that it is there.
func putOnce(ctx context.Context, store cold.Store, ref catalog.ObjectRef, e *object.Encoder) error {
	return cold.Settle(ctx, store, ref.Name(), cold.Bytes(e.Segments()...), func(existing []byte) bool {
		_, got, err := object.Identity(existing)
		return err == nil && got == e.Identity()
	})
}

// producersAt is what is known of producers at the ends of runs: of a damaged object the
// footer may still tell, otherwise it is what was known before them.
func producersAt(ctx context.Context, store cold.Store, s *catalog.State, runs []catalog.Located, missing bool, producers Producers) (known map[record.Partition][]object.Producer, err error) {
	ends := make(map[record.Partition]int64, len(runs))
	var unknown map[record.Partition]error
	if !missing {
		for _, r := range runs {
			ends[r.Partition] = r.Next
		}
		if known, unknown, err = producers(ctx, store, s, ends); err != nil || len(unknown) == 0 {
			return known, err
		}
		clear(ends)
	}
	for _, r := range runs {
		if missing || unknown[r.Partition] != nil {
			ends[r.Partition] = r.Base
		}
	}
	before, unknown, err := producers(ctx, store, s, ends)
	if err != nil {
		return nil, err
	}
	for id, err := range unknown {
		return nil, fmt.Errorf("what %s had before offset %d is lost or damaged as well: give that up first: %w", id, ends[id], err)
	}
	if missing {
		return before, nil
	}
	maps.Copy(known, before)
	return known, nil
}

// begin registers the rewrite (S12) in the name of a session that lives: it ends with it.
func begin(ctx context.Context, scribe *journal.Scribe) (job uint64, err error) {
	for {
		var session uint64
		for _, v := range scribe.State().Sessions() {
			if !v.Sealed {
				session = v.ID
			}
		}
		if session == 0 {
			return 0, ErrNobody
		}
		res, err := scribe.Commit(ctx, &catalog.BeginJob{Session: session})
		if err != nil {
			return 0, err
		}
		if err := res[0].Err; !errors.Is(err, catalog.ErrSealed) && !errors.Is(err, catalog.ErrNoSession) {
			return res[0].ID, err
		}
	}
}

// fill makes one object with an empty run in the place of each.
func fill(job uint64, runs []catalog.Located, known map[record.Partition][]object.Producer) ([]catalog.Located, *object.Encoder) {
	e := object.NewEncoder(object.Header{Kind: object.Sealed, Session: job}, 0, nil)
	for _, r := range runs {
		e.Begin(r.Partition, r.Epoch, r.Base)
		empty(e, r.Base, r.Next, r.Epoch)
		e.Producers(known[r.Partition])
		e.Complete()
	}
	made, _ := e.Finish() // without a writer it cannot fail
	fillers := make([]catalog.Located, len(made))
	for i, r := range made {
		fillers[i] = catalog.Located{Partition: r.Partition, Extent: located(r, catalog.Seg(job, 0))}
	}
	return fillers, e
}

// join is a finished object in one piece.
func join(e *object.Encoder) []byte { return bytes.Join(e.Segments(), nil) }

// empty appends batches without records that hold the place of the offsets [base, next).
func empty(e *object.Encoder, base, next int64, epoch int32) {
	for at := base; at < next; {
		to := min(next, at+math.MaxInt32)
		b := record.Empty(at, to, epoch)
		h, _ := record.ParseHeader(b) // we wrote it
		e.Append(h, b)
		at = to
	}
}

// located is the catalog's line for a run of an object.
func located(r object.Run, o catalog.ObjectRef) catalog.Extent {
	return catalog.Extent{
		Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: o, Pos: r.Pos, Len: r.Len,
		MaxTimestamp: r.MaxTimestamp, CRC: r.CRC, Records: r.Records,
	}
}

package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
)

// journal checks A1 and reads the catalog. It reports false when the catalog is not
// to be believed: then all else that could be said would follow from that.
func (a *auditor) journal(ctx context.Context) (bool, error) {
	found, gap, err := a.survey(ctx)
	if err != nil {
		return false, err
	}
	if len(found) > 0 { // entries are collected while we look: what is wrong stays wrong
		if found, gap, err = a.survey(ctx); err != nil {
			return false, err
		}
	}
	a.report.Findings = append(a.report.Findings, found...)
	err = a.reader.Catchup(ctx, nil)
	if err == nil && !gap {
		err = a.reader.Complete(ctx)
	}
	s := a.reader.State()
	switch {
	case errors.Is(err, catalog.ErrCorrupt), errors.Is(err, catalog.ErrVersion), errors.Is(err, cold.ErrNotFound), errors.Is(err, journal.ErrLost):
		if len(found) == 0 {
			a.find("catalog", "A1: %v", err)
		}
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the catalog: %w", err)
	case s.Number() == 0 && len(found) == 0:
		a.find("catalog", "A1: there is no journal: this is no bucket of Firn, or it was emptied")
	}
	return s.Number() > 0 && !gap, nil
}

// survey looks at every object of the journal. A gap is a number without an entry
// below others.
func (a *auditor) survey(ctx context.Context) (found []Finding, gap bool, err error) {
	sv, err := journal.Look(ctx, a.store, a.opts.Parallel)
	if err != nil {
		return nil, false, err
	}
	find := func(where, format string, args ...any) {
		found = append(found, Finding{where, fmt.Sprintf("A1: "+format, args...)})
	}
	floor, named := sv.Floor()
	bad := map[string]error{}
	for _, p := range sv.Sides {
		bad[p.Name] = p.Err
	}
	for _, e := range sv.Entries {
		switch side, there := bad[e.Side]; {
		case e.Number <= floor || e.Err == nil:
		case e.Side != "" && !there:
			find(e.Side, "missing: it holds the commands of entry %d", e.Number)
		case e.Side != "" && side != nil:
			find(e.Side, "it holds the commands of entry %d: %v", e.Number, bare(side, e.Side))
		default:
			find(e.Name, "%v", bare(e.Err, e.Name))
		}
		gap = gap || e.Number > floor && e.Err != nil && !stands(sv, e.Number)
	}
	unread := slices.ContainsFunc(sv.Boundaries, func(p journal.Part) bool { return p.Err != nil })
	if missing := sv.Missing(1000); len(missing) > 0 {
		for from := 0; from < len(missing); {
			to := from
			for to+1 < len(missing) && missing[to+1] == missing[to]+1 {
				to++
			}
			switch {
			case missing[from] == floor+1 && unread: // a boundary that cannot be read says that they may be
			case to > from:
				find("catalog", "entries %d to %d are missing, and entry %d behind them is there", missing[from], missing[to], missing[to]+1)
			default:
				find("catalog", "entry %d is missing, and entry %d behind it is there", missing[from], missing[to]+1)
			}
			gap = gap || !stands(sv, missing[to])
			from = to + 1
		}
	}
	for i, b := range sv.Boundaries {
		// Below one that can be read it stops who slept, and nobody else reads it. One that
		// is missing would let him go on.
		if b.Err != nil && !slices.ContainsFunc(sv.Boundaries[i:], func(p journal.Part) bool { return p.Err == nil }) {
			find(b.Name, "%v", bare(b.Err, b.Name))
		}
		if want := uint64(i + 1); b.Number != want && (i == 0 || sv.Boundaries[i-1].Number+1 != b.Number) {
			find("catalog", "boundary %d is missing, and boundary %d behind it is there", b.Number-1, b.Number)
		}
	}
	states := map[uint64]string{}
	for _, p := range sv.Snapshots {
		switch {
		case p.Number < floor:
		case p.Err != nil:
			find(p.Name, "%v", bare(p.Err, p.Name))
			states[p.Number] = ""
		default:
			states[p.Number] = p.Name
		}
	}
	if _, there := states[named]; floor > 0 && !there {
		find("catalog", "snapshot %d is missing, which a boundary names in place of the entries up to %d", named, floor)
	}
	stale, err := a.compare(ctx, floor, states)
	for _, n := range stale {
		find(states[n], "it is not the state that the entries up to %d make", n)
	}
	return found, gap, err
}

// stands reports whether a snapshot makes entry n unnecessary to read.
func stands(sv journal.Survey, n uint64) bool {
	for _, p := range sv.Snapshots {
		if p.Err == nil && p.Number >= n {
			return true
		}
	}
	return false
}

// compare replays the entries and holds each snapshot to what they make; it returns
// the numbers of those that differ.
func (a *auditor) compare(ctx context.Context, floor uint64, names map[uint64]string) (stale []uint64, err error) {
	at := uint64(0) // states up to here are compared
	for {
		s := catalog.NewState()
		if at > 0 || floor > 0 {
			next := uint64(0)
			for n, name := range names {
				if name != "" && n > at && (next == 0 || n < next) {
					next = n
				}
			}
			if next == 0 {
				return stale, nil
			}
			if s, err = journal.ReadSnapshot(ctx, a.store, next); errors.Is(err, cold.ErrNotFound) {
				return stale, nil // collected meanwhile
			} else if err != nil {
				return stale, err
			}
		}
		begin := s.Number()
		err := journal.Replay(ctx, a.store, s, func(s *catalog.State, _ journal.Entry, _ []catalog.Result) {
			at = max(s.Number(), 1)
			if names[at] == "" || s.Number() == begin {
				return
			}
			if snap, err := journal.ReadSnapshot(ctx, a.store, at); err == nil && !bytes.Equal(snap.Encode(), s.Encode()) {
				stale = append(stale, at)
			}
		})
		if err != nil {
			return stale, err
		}
	}
}

// bare is an error's text without the name that the finding begins with.
func bare(err error, name string) string {
	text := err.Error()
	if rest, ok := strings.CutPrefix(text, name+": "); ok {
		return rest
	}
	return text
}

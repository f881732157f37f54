package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
)

// Options of a run.
type Options struct {
	// Parallel is how many objects are read at once. Default 8. Each takes some
	// megabytes of memory.
	Parallel int
	// Progress, if not nil, is told how many objects of how many are done. It is
	// called by one goroutine at a time.
	Progress func(done, total int)
	// Retry is the first pause after a request that failed without an answer that
	// decides anything; it doubles. Default cold.Patience.
	Retry time.Duration
}

// Finding is one thing that is wrong.
type Finding struct {
	Where string `json:"where" yaml:"where"` // an object, a partition or "catalog"
	What  string `json:"what" yaml:"what"`
}

// Orphan is an object that nothing refers to.
type Orphan struct {
	Name string        `json:"name" yaml:"name"`
	Size int64         `json:"size" yaml:"size"`
	Age  time.Duration `json:"age_ns" yaml:"age_ns"`
	Why  string        `json:"why" yaml:"why"`
}

// Report is what a run found.
type Report struct {
	Cluster    string    `json:"cluster" yaml:"cluster"`
	Entry      uint64    `json:"entry" yaml:"entry"` // of the journal, as of which the bucket was held
	Objects    int       `json:"objects" yaml:"objects"`
	Runs       int       `json:"runs" yaml:"runs"`
	Bytes      int64     `json:"bytes" yaml:"bytes"`
	Records    int64     `json:"records" yaml:"records"`
	Partitions int       `json:"partitions" yaml:"partitions"`
	Findings   []Finding `json:"findings" yaml:"findings"`
	Orphans    []Orphan  `json:"orphans" yaml:"orphans"`
}

// Run audits the bucket. The error says that it could not be read as a whole; what
// is wrong in it is in the report.
func Run(ctx context.Context, store cold.Store, o Options) (Report, error) {
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.Retry <= 0 {
		o.Retry = cold.Patience
	}
	a := &auditor{
		store: cold.Patient(store, o.Retry), opts: o, used: map[catalog.ObjectRef]struct{}{}, ends: map[uint64]uint64{}, accused: map[catalog.ObjectRef]accusation{},
		report: Report{Findings: []Finding{}, Orphans: []Orphan{}},
	}
	a.reader = journal.NewReader(a.store)
	err := a.all(ctx)
	slices.SortFunc(a.report.Findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(x.Where, y.Where), cmp.Compare(x.What, y.What))
	})
	a.report.Findings = slices.Compact(a.report.Findings)
	return a.report, err
}

// auditor is one run.
type auditor struct {
	store  cold.Store
	opts   Options
	reader *journal.Reader
	report Report
	// used are the objects that something refers to and that the catalog does not
	// count itself: index objects, and what they list.
	used map[catalog.ObjectRef]struct{}
	// ends are the first empty slots of live sessions, as they were walked.
	ends map[uint64]uint64

	mu      sync.Mutex
	buffers [][]byte
	done    int
	total   int
	suspect []suspect
	loose   []loose
	accused map[catalog.ObjectRef]accusation
}

// suspect is something that is wrong, as far as the catalog was known.
type suspect struct {
	Finding
	object catalog.ObjectRef
	hurt   []stretch // to be held to a newer catalog
}

// rounds bounds how often what is suspect is held to a newer catalog: each time what
// is read is what was replaced meanwhile, which is little.
const rounds = 8

func (a *auditor) all(ctx context.Context) error {
	whole, err := a.journal(ctx)
	if err != nil || !whole {
		return err
	}
	s := a.reader.State()
	a.report.Cluster, a.report.Entry = s.ClusterID(), s.Number()
	a.report.Partitions = s.PartitionCount()
	for _, err := range s.Check() {
		a.find("catalog", "A1: %v", err)
	}
	if err := a.objects(ctx, s, nil); err != nil {
		return err
	}
	walks, err := a.walk(ctx, s)
	if err != nil {
		return err
	}
	strays, err := a.unreferenced(ctx, s)
	if err != nil {
		return err
	}
	for round := 0; ; round++ {
		before := s.Number()
		if err := a.reader.Catchup(ctx, nil); err != nil {
			return fmt.Errorf("read the catalog again: %w", err)
		}
		s = a.reader.State()
		if len(a.suspect) == 0 || s.Number() == before || round == rounds {
			break
		}
		again := a.suspect
		a.suspect = nil
		if err := a.objects(ctx, s, again); err != nil {
			return err
		}
	}
	for _, x := range a.suspect {
		a.report.Findings = append(a.report.Findings, x.Finding)
	}
	if err := a.fences(ctx, s); err != nil {
		return err
	}
	if err := a.orphans(ctx, s, strays); err != nil {
		return err
	}
	a.judge(s, walks)
	return nil
}

func (a *auditor) find(where, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Findings = append(a.report.Findings, Finding{where, fmt.Sprintf(format, args...)})
}

// doubt is find for what a newer catalog may explain.
func (a *auditor) doubt(object catalog.ObjectRef, hurt []stretch, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.suspect = append(a.suspect, suspect{Finding{object.Name(), fmt.Sprintf(format, args...)}, object, hurt})
}

func (a *auditor) expect(objects int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total += objects
}

func (a *auditor) progress() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done++
	if a.opts.Progress != nil {
		a.opts.Progress(a.done, max(a.done, a.total))
	}
}

// buffer lends a buffer to read into; the caller gives it back with spare.
func (a *auditor) buffer() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.buffers); n > 0 {
		b := a.buffers[n-1]
		a.buffers = a.buffers[:n-1]
		return b
	}
	return nil
}

func (a *auditor) spare(b []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.buffers = append(a.buffers, b)
}

package hot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firnlog/firn/record"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Badger leaves these two behind when Open fails. A database that was not
		// closed leaves ten others, too.
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"),
	)
}

var (
	ctx     = context.Background()
	first   = Session{ID: 7, Nonce: [16]byte{7}}
	second  = Session{ID: 9, Nonce: [16]byte{9}}
	forever = int64(math.MaxInt64)
)

func part(i int) record.Partition {
	return record.Partition{Topic: record.TopicID{0: byte(i >> 8), 15: byte(i)}, Index: int32(i)}
}

// payload is the value of the batch at an offset: any byte of it tells a mix-up.
func payload(p record.Partition, base int64, size int) []byte {
	r := rand.New(rand.NewPCG(uint64(p.Index), uint64(base)))
	b := make([]byte, size)
	for i := 0; i < size; i += 8 {
		var w [8]byte
		be.PutUint64(w[:], r.Uint64())
		copy(b[i:], w[:])
	}
	return b
}

func entry(p record.Partition, base, last int64, size int) Entry {
	return Entry{Partition: p, Base: base, Last: last, Epoch: 3, MaxTimestamp: 1000 + last, Value: payload(p, base, size)}
}

// group is a slot: n batches of ten records for each partition, from base on.
func group(base int64, n, size int, parts ...record.Partition) []Entry {
	var out []Entry
	for _, p := range parts {
		for i := range int64(n) {
			out = append(out, entry(p, base+10*i, base+10*i+9, size))
		}
	}
	return out
}

func open(t testing.TB, dir string, o Options) *Tier {
	t.Helper()
	tier, err := Open(ctx, dir, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		c, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		require.NoError(t, tier.Close(c))
	})
	return tier
}

func small(t testing.TB) *Tier {
	tier := open(t, t.TempDir(), Options{GenerationBytes: 1 << 20})
	require.NoError(t, tier.StartSession(first, 0))
	return tier
}

// offsets reads all that the tier gives of a partition, and checks every byte.
func offsets(t testing.TB, tier *Tier, p record.Partition, from int64) (out []int64) {
	t.Helper()
	for {
		v := tier.Read(p, from, forever, 1<<20)
		if len(v.Entries) == 0 {
			return out
		}
		for _, e := range v.Entries {
			require.True(t, bytes.Equal(payload(p, e.Base, len(e.Value)), e.Value), "offset %d of %s", e.Base, p)
			require.Equal(t, int32(3), e.Epoch)
			require.Equal(t, 1000+e.Last, e.MaxTimestamp)
			out = append(out, e.Base)
			from = e.Last + 1
		}
		v.Release()
	}
}

func upTo(n int64) (out []int64) {
	for o := int64(0); o < n; o += 10 {
		out = append(out, o)
	}
	return out
}

// copyDir is what a crash leaves: the files as they are, without their holes.
func crash(t testing.TB, tier *Tier) string {
	t.Helper()
	<-tier.ready
	return copyDir(t, tier.dir)
}

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	require.NoError(t, filepath.Walk(from, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		dst := filepath.Join(to, rel)
		if info.IsDir() {
			return os.MkdirAll(dst, 0o755)
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(dst)
		if err != nil {
			return err
		}
		buf, zero := make([]byte, 64<<10), make([]byte, 64<<10)
		const seekData = 3 // where it is not known, the file is read whole
		for at := int64(0); at < info.Size(); {
			if data, err := in.Seek(at, seekData); err == nil && data > at {
				at = data
			} else if errors.Is(err, syscall.ENXIO) {
				break
			}
			n, err := in.ReadAt(buf, at)
			if !bytes.Equal(buf[:n], zero[:n]) {
				if _, err := out.WriteAt(buf[:n], at); err != nil {
					return err
				}
			}
			at += int64(n)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		return errors.Join(out.Truncate(info.Size()), out.Close())
	}))
	return to
}

func TestReadGivesWhatWasAppended(t *testing.T) {
	tier, p, q := small(t), part(1), part(2)
	for slot := range uint64(5) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*40, 4, 500, p, q)))
	}
	require.Equal(t, upTo(200), offsets(t, tier, p, 0))
	require.Equal(t, upTo(200)[13:], offsets(t, tier, q, 135), "an offset within a batch finds its batch")

	v := tier.Read(p, 10, 50, 1<<20)
	require.Len(t, v.Entries, 4, "offsets 10 to 49; what ends at upto or behind is not served")
	v.Release()
	v = tier.Read(p, 10, 49, 1<<20)
	require.Len(t, v.Entries, 3)
	v.Release()
	v = tier.Read(p, 0, forever, 1)
	require.Len(t, v.Entries, 1, "the first batch may be larger than asked for (KIP-74)")
	v.Release()
	v = tier.Read(p, 0, forever, 1600)
	require.Len(t, v.Entries, 3)
	v.Release()
	v.Release()
	require.Empty(t, tier.Read(p, 200, forever, 1).Entries)
	require.Empty(t, tier.Read(part(3), 0, forever, 1).Entries)
	require.Equal(t, []Span{{0, 200}}, tier.Spans(p))
}

func TestReadStopsAtGap(t *testing.T) {
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 2, 100, p)))
	require.NoError(t, tier.Append(Slot{7, 1}, group(30, 2, 100, p)))
	v := tier.Read(p, 0, forever, 1<<20)
	require.Len(t, v.Entries, 2)
	v.Release()
	require.Empty(t, tier.Read(p, 25, forever, 1<<20).Entries, "offset 25 was never here")
	require.Equal(t, []Span{{0, 20}, {30, 50}}, tier.Spans(p))
	for at, want := range map[int64]int64{0: 0, 5: 5, 20: 30, 31: 31} {
		next, ok := tier.Next(p, at)
		require.True(t, ok)
		require.Equal(t, want, next)
	}
	_, ok := tier.Next(p, 50)
	require.False(t, ok)
}

func TestReadCrossesGenerations(t *testing.T) {
	tier, p := small(t), part(1)
	for slot := range uint64(6) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 100, p)))
		if slot%2 == 1 {
			tier.Rotate()
		}
	}
	require.Len(t, tier.Generations(), 3)
	v := tier.Read(p, 0, forever, 1<<20)
	require.Len(t, v.Entries, 6)
	v.Release()
}

func TestSlotsOfAGenerationAreConsecutive(t *testing.T) { // H3
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 100, p)))
	require.NoError(t, tier.Append(Slot{7, 1}, group(10, 1, 100, p)))
	require.NoError(t, tier.Append(Slot{7, 5}, group(20, 1, 100, p)))
	require.ErrorIs(t, tier.Append(Slot{7, 5}, group(30, 1, 100, p)), ErrOrder)
	require.ErrorIs(t, tier.Append(Slot{8, 6}, group(30, 1, 100, p)), ErrOrder)
	require.ErrorIs(t, tier.Append(Slot{7, 6}, group(20, 1, 100, p)), ErrOrder, "offset 20 is taken")
	g := tier.Generations()
	require.Len(t, g, 2)
	require.Equal(t, []uint64{0, 2, 5, 6}, []uint64{g[0].First, g[0].Next, g[1].First, g[1].Next})
	require.Equal(t, Healthy, tier.Stats().State)
}

func TestFullGenerationIsRetired(t *testing.T) {
	tier, p := small(t), part(1)
	for slot := range uint64(20) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 128<<10, p)))
	}
	g := tier.Generations()
	require.Len(t, g, 3)
	require.False(t, g[0].Filling)
	require.True(t, g[2].Filling)
	select {
	case <-tier.Retired():
	default:
		t.Fatal("nobody was told")
	}
	require.Equal(t, upTo(200), offsets(t, tier, p, 0))
}

func TestManySmallBatchesDoNotFillTheMemtable(t *testing.T) {
	t.Parallel()
	tier, p := open(t, t.TempDir(), Options{}), part(1)
	require.NoError(t, tier.StartSession(first, 0))
	const n = 60_000
	entries := make([]Entry, 0, 3*n)
	for range 3 * n {
		entries = append(entries, Entry{Partition: p, Value: make([]byte, 70)})
	}
	next := int64(0)
	add := func(slot uint64, n int) error {
		for i := range n {
			entries[i].Base, entries[i].Last = next, next
			next++
		}
		return tier.Append(Slot{7, slot}, entries[:n])
	}
	for slot := range uint64(4) {
		require.NoError(t, add(slot, n))
	}
	require.Len(t, tier.Generations(), 2, "the generation ends before Badger's memtable does")
	for _, g := range tier.list() {
		files, err := filepath.Glob(filepath.Join(g.path, "*.sst"))
		require.NoError(t, err)
		require.Empty(t, files)
	}
	require.ErrorIs(t, add(4, 3*n), ErrTooLarge)
}

func TestKillLosesNoSlot(t *testing.T) { // P2
	tier, p, q := small(t), part(1), part(2)
	for slot := range uint64(12) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 128<<10, p, q)))
	}
	require.Greater(t, len(tier.Generations()), 2)
	// A slot that was being written: its values are there, its table is not.
	g := tier.current()
	_, err := g.values.append(group(120, 1, 1000, p))
	require.NoError(t, err)

	after := open(t, crash(t, tier), Options{GenerationBytes: 1 << 20})
	require.Equal(t, []Session{first}, after.Unsettled())
	require.Empty(t, offsets(t, after, p, 0), "H2: nothing is served before Settle")
	after.Settle(first, 10)
	require.Empty(t, after.Unsettled())
	require.Equal(t, upTo(100), offsets(t, after, p, 0), "below the fence")
	require.Equal(t, upTo(100), offsets(t, after, q, 0))

	var seqs []uint64
	require.NoError(t, after.Leftover(7, 10, func(seq uint64, entries []Entry) error {
		seqs = append(seqs, seq)
		require.Len(t, entries, 2)
		for i, e := range entries {
			require.Equal(t, part(i+1), e.Partition, "in the order in which they were appended")
			require.Equal(t, payload(e.Partition, e.Base, 128<<10), e.Value)
		}
		return nil
	}))
	require.Equal(t, []uint64{10, 11}, seqs, "beyond the fence, whole slots only")

	require.NoError(t, after.StartSession(second, 0))
	require.NoError(t, after.Append(Slot{9, 0}, group(100, 2, 200, p)))
	require.Equal(t, upTo(120), offsets(t, after, p, 0))
	after.Forget(7)
	require.Equal(t, upTo(120), offsets(t, after, p, 0))
}

// A disk that others have filled is no reason to remove what was acknowledged from it
// alone: it is there again when there is room.
func TestAFullDiskAtTheStartLosesNoSlot(t *testing.T) { // P2, H7
	tier, p := open(t, t.TempDir(), Options{GenerationBytes: 16 << 20}), part(1)
	require.NoError(t, tier.StartSession(first, 0))
	const slots, many = 5, 20_000 // their tables take some megabytes
	for slot := range uint64(slots) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10*many, many, 8, p)))
	}
	require.NoError(t, tier.Sync(Slot{7, slots - 1}))
	dir := crash(t, tier)
	for _, free := range []int64{0, memStep + 1<<20} { // Badger would make a table of it, and fault
		full := Options{GenerationBytes: 1 << 20, free: func(string) (int64, error) { return free, nil }}
		during, err := Open(ctx, dir, full)
		require.NoError(t, err)
		require.Empty(t, during.Generations(), "%d bytes are free", free)
		require.NoError(t, during.StartSession(second, 0))
		require.ErrorIs(t, during.Append(Slot{9, 0}, group(10, 1, 100, p)), ErrFull)
		require.NoError(t, during.Close(ctx))
	}
	require.Equal(t, slices.Repeat([]int{many}, slots), leftAt(t, dir))
}

// leftAt is how many batches each slot has that the first session left in a folder.
func leftAt(t *testing.T, dir string) (left []int) {
	t.Helper()
	after := open(t, dir, Options{GenerationBytes: 1 << 20})
	after.Settle(first, 0)
	require.NoError(t, after.Leftover(7, 0, func(_ uint64, entries []Entry) error {
		left = append(left, len(entries))
		return nil
	}))
	return left
}

// Nor is a process that has no descriptors left, wherever it runs out of them.
func TestAStartWithoutDescriptorsLosesNoSlot(t *testing.T) { // P2, H7
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 100, p)))
	require.NoError(t, tier.Sync(Slot{7, 0}))
	dir := crash(t, tier)
	for more := range uint64(30) {
		few(t, more, func() {
			if during, err := Open(ctx, dir, Options{GenerationBytes: 1 << 20}); err == nil {
				require.NoError(t, during.Close(ctx))
			}
		})
		require.DirExists(t, filepath.Join(dir, origin{session: first}.dir()), "with %d descriptors", more)
	}
	require.Equal(t, []int{1}, leftAt(t, dir))
}

// few calls do with so many descriptors to be had.
func few(t *testing.T, more uint64, do func()) {
	t.Helper()
	var was syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was))
	free, err := os.Open(os.DevNull)
	require.NoError(t, err)
	few := was
	few.Cur = uint64(free.Fd()) + more
	require.NoError(t, free.Close())
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few))
	defer func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)) }()
	do()
}

// A process that is short of descriptors is not made shorter of them by attempts to make a
// generation.
func TestAttemptsWithoutDescriptorsKeepNone(t *testing.T) { // H7
	tier := small(t)
	<-tier.ready
	names := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("there is no /proc here")
		}
		return len(open)
	}
	before, made := names(), 0
	for more := range uint64(30) {
		few(t, more, func() {
			if g, err := createGeneration(tier.dir, origin{session: first, seq: 77}, 1<<20, tier.log, time.Now()); err == nil {
				require.NoError(t, g.end(true))
				made++
			}
		})
	}
	require.LessOrEqual(t, names(), before)
	require.Positive(t, made)
	require.Less(t, made, 25)
	require.True(t, scarce(fmt.Errorf("while opening memtables err: %+v", syscall.ENOMEM)), "Badger does not wrap what it was told")
}

// A generation that cannot be made leaves no folder behind: there is a new attempt every
// second.
func TestAGenerationThatCannotBeMadeLeavesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it goes by the longest path of Linux")
	}
	const longest = 4095 // there is room for the folder's name, and not for those of its files
	dir := t.TempDir()
	room := func() int { return longest - len(dir) - len("/00000000000000000007-000000/..") }
	for room() > 1 {
		dir += "/" + strings.Repeat("x", min(room()-1, 200))
	}
	require.NoError(t, os.MkdirAll(dir, 0o755))
	tier := open(t, dir, Options{GenerationBytes: 1 << 20})
	require.NoError(t, tier.StartSession(first, 0))
	require.ErrorIs(t, tier.Append(Slot{7, 0}, group(0, 1, 100, part(1))), syscall.ENAMETOOLONG)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1, "but the lock")
}

func TestCleanEndKeepsEverySlot(t *testing.T) {
	dir, p := t.TempDir(), part(1)
	for life := range uint64(3) {
		s := Session{ID: life + 1}
		tier, err := Open(ctx, dir, Options{GenerationBytes: 1 << 20})
		require.NoError(t, err)
		for _, old := range tier.Unsettled() {
			tier.Settle(old, math.MaxUint64)
		}
		require.Equal(t, upTo(int64(life)*30), offsets(t, tier, p, 0))
		require.NoError(t, tier.StartSession(s, 5))
		for i := range uint64(3) {
			require.NoError(t, tier.Append(Slot{s.ID, 5 + i}, group(int64(life*30+i*10), 1, 3000, p)))
		}
		require.NoError(t, tier.Close(ctx))
		require.ErrorIs(t, tier.Append(Slot{s.ID, 9}, nil), ErrClosed)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*-*"))
	require.NoError(t, err)
	require.Len(t, names, 3, "the generations opened ahead are gone")
}

func TestWhatAnEarlierLifeLeftIsACache(t *testing.T) {
	tier, p := small(t), part(1)
	for slot := range uint64(12) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 300<<10, p)))
	}
	after := open(t, crash(t, tier), Options{GenerationBytes: 1 << 20, MaxBytes: 5 << 20})
	after.Settle(first, 12)
	require.NoError(t, after.StartSession(second, 0))
	require.NoError(t, after.Append(Slot{9, 0}, group(120, 1, 600<<10, p)))
	require.NoError(t, after.Append(Slot{9, 1}, group(130, 1, 600<<10, p)))
	require.NoError(t, after.Append(Slot{9, 2}, group(140, 1, 600<<10, p)))
	require.Positive(t, after.Stats().Dropped, "it makes room")
	require.Len(t, after.Spans(p), 1)
	require.Equal(t, int64(150), after.Spans(p)[0].To)
}

// What a fence has cut off stays until it is dealt with, though what lies below the fence
// is sealed and room is wanted (P2).
func TestLeftoversAreNoCache(t *testing.T) {
	tier, p := open(t, t.TempDir(), Options{GenerationBytes: 1 << 20, MaxBytes: 4 << 20}), part(1)
	require.NoError(t, tier.StartSession(first, 0))
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 100, p)))
	require.NoError(t, tier.Append(Slot{7, 1}, group(10, 1, 100, p, part(2))))
	tier.Rotate()
	tier.Settle(first, 1)
	require.NoError(t, tier.MarkSealed(tier.Generations()[0].ID))
	require.NoError(t, tier.StartSession(second, 0))
	left := func() (seqs []uint64) {
		require.NoError(t, tier.Leftover(7, 1, func(seq uint64, _ []Entry) error { seqs = append(seqs, seq); return nil }))
		return seqs
	}
	slot := uint64(0)
	fill := func() {
		for range 40 { // what does not fit is refused
			_ = tier.Append(Slot{9, slot}, group(int64(slot)*10+10, 1, 256<<10, p))
			slot++
		}
	}
	fill()
	require.Equal(t, []uint64{1}, left())
	require.ElementsMatch(t, []record.Partition{p, part(2)}, tier.Left(7, 1))
	require.Empty(t, tier.Left(7, 2))
	tier.Forget(7)
	require.Empty(t, tier.Left(7, 1))
	fill()
	require.NotEqual(t, uint64(7), tier.Generations()[0].Session.ID, "then it is a cache")
}

// What was dealt with in one life is no leftover in the next: it was lost, or is in the log
// already, and behind it lies what was written since (P2).
func TestWhatIsForgottenStaysForgotten(t *testing.T) {
	tier, p := small(t), part(1)
	for slot := range uint64(3) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 100, p)))
	}
	tier.Settle(first, 1)
	tier.Forget(7)
	for range 2 {
		tier = open(t, crash(t, tier), Options{GenerationBytes: 1 << 20})
		tier.Settle(first, 1)
		require.Empty(t, tier.Left(7, 1))
		require.NoError(t, tier.Leftover(7, 1, func(seq uint64, _ []Entry) error { return fmt.Errorf("slot %d is left", seq) }))
		require.False(t, tier.Generations()[0].Kept)
		require.Equal(t, upTo(10), offsets(t, tier, p, 0), "what lies below the fence is served")
		require.NoError(t, tier.StartSession(second, 0))
	}
}

// What is still on its way to the tier when its session has ended makes no new
// generation, of which nobody would say where the fence is (H2).
func TestASessionThatIsSettledTakesNothingMore(t *testing.T) {
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 100, p)))
	require.NoError(t, tier.Append(Slot{7, 1}, group(10, 1, 100, p)))
	s := tier.Generations()[0].Session
	tier.Rotate()
	tier.Settle(s, 1)
	require.ErrorIs(t, tier.Append(Slot{7, 2}, group(20, 1, 100, p)), ErrOrder)
	require.Equal(t, []int64{0}, offsets(t, tier, p, 0))
	require.NoError(t, tier.StartSession(Session{ID: 8}, 0))
	require.NoError(t, tier.Append(Slot{8, 0}, group(10, 1, 100, p)))
	require.Equal(t, []int64{0, 10}, offsets(t, tier, p, 0))
}

// A session that nothing was appended to has no generation to settle: what was on its way
// to the tier when it ended must not make one.
func TestASessionThatIsOverTakesNotEvenItsFirstSlot(t *testing.T) { // H2
	tier, p := small(t), part(1)
	require.NoError(t, tier.StartSession(Session{ID: 8}, 0))
	tier.Over(10)
	require.ErrorIs(t, tier.Append(Slot{8, 0}, group(0, 1, 100, p)), ErrOrder)
	require.ErrorIs(t, tier.StartSession(Session{ID: 9}, 0), ErrOrder)
	require.ErrorIs(t, tier.Append(Slot{9, 0}, group(0, 1, 100, p)), ErrOrder)
	require.Empty(t, tier.Generations())
	tier.Over(7) // never backwards
	require.ErrorIs(t, tier.Append(Slot{8, 0}, group(0, 1, 100, p)), ErrOrder)
	require.NoError(t, tier.StartSession(Session{ID: 10}, 0))
	require.NoError(t, tier.Append(Slot{10, 0}, group(0, 1, 100, p)))
	require.Equal(t, []int64{0}, offsets(t, tier, p, 0))
}

func TestForeignSessionIsDropped(t *testing.T) {
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 100, p)))
	after := open(t, crash(t, tier), Options{GenerationBytes: 1 << 20})
	after.Settle(Session{ID: 7, Nonce: [16]byte{8}}, math.MaxUint64)
	require.Empty(t, offsets(t, after, p, 0))
	require.Empty(t, after.Generations())
}

// damage overwrites bytes of the value log of a crashed folder, at a distance from
// the batch of an offset.
func damage(t *testing.T, dir string, batch []byte, distance int, with ...byte) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*-000000", valuesFile))
	require.NoError(t, err)
	f, err := os.OpenFile(logs[0], os.O_RDWR, 0)
	require.NoError(t, err)
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	at := bytes.Index(b, batch)
	require.Positive(t, at)
	_, err = f.WriteAt(with, int64(at+distance))
	require.NoError(t, errors.Join(err, f.Close()))
}

func TestFlippedByteIsAMiss(t *testing.T) { // H1
	tier, p := small(t), part(1)
	for slot := range uint64(10) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 5000, p)))
	}
	dir := crash(t, tier)
	victim := payload(p, 40, 5000)
	damage(t, dir, victim, 2500, victim[2500]^1)
	// Another one is overwritten by the end of the one before it.
	damage(t, dir, payload(p, 80, 5000), 0, payload(p, 70, 5000)[4900:]...)

	after := open(t, dir, Options{GenerationBytes: 1 << 20})
	after.Settle(first, math.MaxUint64)
	require.Equal(t, upTo(40), offsets(t, after, p, 0))
	require.Empty(t, after.Read(p, 40, forever, 1).Entries)
	require.Equal(t, upTo(80)[5:], offsets(t, after, p, 50), "what is behind the damage is served")
	require.Empty(t, after.Read(p, 80, forever, 1).Entries)
	require.Positive(t, after.Stats().Damaged)

	pin, err := after.Pin(after.Generations()[0].ID)
	require.NoError(t, err)
	require.ErrorIs(t, pin.Scan(func(Entry) error { return nil }), ErrDamaged)
	pin.Release()

	lost := 0
	require.NoError(t, after.Leftover(7, 3, func(seq uint64, entries []Entry) error {
		if entries[0].Value == nil {
			lost++
		}
		return nil
	}))
	require.Equal(t, 2, lost)
}

func TestValueInTheWrongPlaceIsAMiss(t *testing.T) { // H1
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 2, 1000, p)))
	_, err := tier.current().values.f.WriteAt(payload(p, 0, 1000), 1000) // sound, but of another offset
	require.NoError(t, err)
	require.Equal(t, upTo(10), offsets(t, tier, p, 0))
}

// TestAnyDamageIsSurvived overwrites or cuts off files at random places. Whatever
// is served then is what was appended.
func TestAnyDamageIsSurvived(t *testing.T) {
	t.Parallel()
	tier, p := small(t), part(1)
	for slot := range uint64(6) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 3000, p)))
	}
	clean := crash(t, tier) // one folder is ended by a crash, one by Close
	closed, err := Open(ctx, clean, Options{GenerationBytes: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, closed.Close(ctx))
	served, seeds := 0, 15
	for seed := range seeds {
		r := rand.New(rand.NewPCG(1, uint64(seed)))
		<-tier.ready
		dir := copyDir(t, []string{tier.dir, clean}[seed%2])
		pattern := []string{valuesFile, "*.mem", "*.sst", "MANIFEST", "*"}[seed%5]
		files, err := filepath.Glob(filepath.Join(dir, "*-000000", pattern))
		require.NoError(t, err)
		if len(files) == 0 {
			continue
		}
		name := files[r.IntN(len(files))]
		info, err := os.Stat(name)
		require.NoError(t, err)
		size := min(info.Size(), 24<<10)
		if r.IntN(3) == 0 {
			require.NoError(t, os.Truncate(name, r.Int64N(size+1)))
		} else if size > 0 {
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			require.NoError(t, err)
			_, err = f.WriteAt(payload(p, int64(seed), 64), r.Int64N(size))
			require.NoError(t, errors.Join(err, f.Close()))
		}
		after, err := Open(ctx, dir, Options{GenerationBytes: 1 << 20})
		require.NoError(t, err, name)
		after.Settle(first, math.MaxUint64)
		for o := int64(0); o < 60; o += 10 {
			served += len(offsets(t, after, p, o))
		}
		require.NoError(t, after.StartSession(second, 0))
		require.NoError(t, after.Append(Slot{9, 0}, group(60, 1, 100, p)))
		require.NoError(t, after.Close(ctx), name)
	}
	require.Positive(t, served)
}

func TestUnreadableGenerationIsRemoved(t *testing.T) {
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 100, p)))
	dir := crash(t, tier)
	gens, err := filepath.Glob(filepath.Join(dir, "*-000000"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(gens[0], "MANIFEST"), []byte("not a manifest"), 0o644))
	var log strings.Builder
	after := open(t, dir, Options{GenerationBytes: 1 << 20, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.Empty(t, after.Generations())
	require.Equal(t, 1, strings.Count(log.String(), "removed what cannot be read"))
	require.NoDirExists(t, gens[0])
}

// TestKillsWhileItIsOpenedLoseNothing is P2 for a broker that is killed in its start, again
// and again: what acks=1 was told is in no other place.
func TestKillsWhileItIsOpenedLoseNothing(t *testing.T) {
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 100, p)))
	dir := crash(t, tier)
	gens, err := filepath.Glob(filepath.Join(dir, "*-000000"))
	require.NoError(t, err)
	for range 5 {
		_, err := attempt(gens[0])
		require.NoError(t, err)
	}
	after := open(t, dir, Options{GenerationBytes: 1 << 20})
	require.Len(t, after.Generations(), 1)
	require.NoFileExists(t, filepath.Join(gens[0], openingFile), "it counts anew")
}

func TestOpeningThatKillsIsGivenUp(t *testing.T) {
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 100, p)))
	dir := crash(t, tier)
	gens, err := filepath.Glob(filepath.Join(dir, "*-000000"))
	require.NoError(t, err)
	for range attempts { // so many lives ended while they opened it
		_, err := attempt(gens[0])
		require.NoError(t, err)
	}
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Equal(t, 1, (&Tier{dir: dir, free: freeBytes}).atOnce(names), "nobody beside it is suspected")
	require.Empty(t, open(t, dir, Options{GenerationBytes: 1 << 20}).Generations())
}

func TestWipeWhileRunning(t *testing.T) {
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 1000, p)))
	<-tier.ready
	require.NoError(t, os.RemoveAll(tier.dir))
	require.ErrorIs(t, tier.Sync(Slot{7, 0}), os.ErrNotExist, "nothing there is durable")
	require.Equal(t, upTo(10), offsets(t, tier, p, 0), "what is open stays readable")
	for slot := uint64(1); slot < 5; slot++ {
		_ = tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 600<<10, p)) // taken or refused, not fatal
	}
	for _, g := range tier.Generations() {
		_ = tier.MarkSealed(g.ID)
	}
	// The Close of the clean-up returns.
}

func TestSecondProcessIsTurnedAway(t *testing.T) {
	tier := small(t)
	_, err := Open(ctx, tier.dir, Options{})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, tier.dir)
}

func TestQuotaDropsSealedGenerationsThenRefuses(t *testing.T) {
	t.Parallel() // H7
	tier, p := open(t, t.TempDir(), Options{GenerationBytes: 1 << 20, MaxBytes: 4 << 20}), part(1)
	require.NoError(t, tier.StartSession(first, 0))
	slot := uint64(0)
	add := func() error {
		err := tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 256<<10, p))
		slot++
		return err
	}
	for range 40 {
		require.NoError(t, add())
		for _, g := range tier.Generations() {
			if !g.Filling && !g.Sealed {
				require.NoError(t, tier.MarkSealed(g.ID))
			}
		}
	}
	s := tier.Stats()
	require.LessOrEqual(t, s.Bytes, int64(4<<20))
	require.Positive(t, s.Dropped)
	require.Equal(t, Healthy, s.State)
	var err error
	for range 20 {
		if err = add(); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, ErrFull)
	require.Equal(t, Full, tier.Stats().State)
	for _, g := range tier.Generations() {
		if !g.Filling && !g.Sealed {
			require.NoError(t, tier.MarkSealed(g.ID))
		}
	}
	tier.Rotate()
	require.NoError(t, func() error { _ = add(); return add() }(), "it comes back by itself")
	require.Equal(t, Healthy, tier.Stats().State)
}

// TestWhatACacheTakesBesideItsBytesIsBounded is H8 where the quota is far away: clients that
// write a little all day, each record by itself.
func TestWhatACacheTakesBesideItsBytesIsBounded(t *testing.T) {
	t.Parallel()
	for what, o := range map[string]Options{
		"generations": {MaxBytes: 8 << 20, fewest: 4},
		"index":       {MaxBytes: 8 << 20, IndexBytes: 400 * lineBytes},
	} {
		t.Run(what, func(t *testing.T) {
			o.GenerationBytes = 4 << 20
			tier, p := open(t, t.TempDir(), o), part(1)
			require.NoError(t, tier.StartSession(first, 0))
			for slot := range uint64(12) {
				require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*1000, 100, 8, p)))
				tier.Rotate()
				for _, g := range tier.Generations() {
					require.NoError(t, tier.MarkSealed(g.ID))
				}
				require.Less(t, len(tier.Generations()), 7)
			}
			require.Equal(t, Healthy, tier.Stats().State)
			require.Equal(t, int64(11000), offsets(t, tier, p, 11000)[0], "the newest stay")
			require.Less(t, tier.Stats().Bytes, int64(1<<20))
		})
	}
}

// TestARefusedSlotIsInNoGeneration is H3 where a generation was begun for the slot that
// is refused: who seals it would call the slot covered, and nobody could find its
// records any more.
func TestARefusedSlotIsInNoGeneration(t *testing.T) {
	t.Parallel()
	tier, p := open(t, t.TempDir(), Options{GenerationBytes: 1 << 20, MaxBytes: 4 << 20}), part(1)
	require.NoError(t, tier.StartSession(first, 0))
	taken := map[uint64]bool{}
	slot, refused := uint64(0), 0
	add := func() {
		err := tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 256<<10, p))
		if taken[slot] = err == nil; err != nil {
			require.ErrorIs(t, err, ErrFull)
			refused++
		}
		slot++
	}
	for refused < 3 {
		add()
	}
	for _, g := range tier.Generations() {
		if !g.Filling {
			require.NoError(t, tier.MarkSealed(g.ID))
		}
	}
	for !taken[slot-1] {
		add()
	}
	add()
	for _, g := range tier.Generations() {
		for n := g.First; n < g.Next; n++ {
			require.True(t, taken[n], "slot %d was refused, and is said to be in the generation of slots %d to %d", n, g.First, g.Next)
		}
	}
	require.ErrorIs(t, tier.Sync(Slot{7, slot - 3}), ErrNotHeld)
	require.NoError(t, tier.Sync(Slot{7, slot - 1}))
}

// TestAnEmptyGenerationEndsWithItsSession is H2 where the session before ended with a
// generation that every slot was refused by: what the next session appends to it would be
// called the old one's, and served or cut off by where that one ended.
func TestAnEmptyGenerationEndsWithItsSession(t *testing.T) {
	t.Parallel()
	dir, p := t.TempDir(), part(1)
	tier := open(t, dir, Options{GenerationBytes: 1 << 20, MaxBytes: 4 << 20})
	require.NoError(t, tier.StartSession(first, 0))
	slot := uint64(0)
	for ; tier.current() == nil || tier.current().batches > 0 || slot == 0; slot++ {
		_ = tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 256<<10, p))
	}
	tier.Settle(first, slot)
	tier.Forget(7)
	for _, g := range tier.Generations() {
		if !g.Filling {
			require.NoError(t, tier.Drop(g.ID))
		}
	}
	require.NoError(t, tier.StartSession(second, 0))
	require.NoError(t, tier.Append(Slot{9, 0}, group(1000, 1, 64, p)))
	require.NoError(t, tier.Sync(Slot{9, 0}))
	gens := tier.Generations()
	require.Len(t, gens, 1)
	require.Equal(t, second, gens[0].Session)
	require.NoError(t, tier.Close(ctx))

	tier = open(t, dir, Options{GenerationBytes: 1 << 20})
	require.Equal(t, []Session{second}, tier.Unsettled())
	tier.Settle(second, 0)
	require.Empty(t, offsets(t, tier, p, 1000), "nothing of the second session was committed")
	require.Equal(t, []record.Partition{p}, tier.Left(9, 0))
}

// TestFullDiskShedsTheTier is row 10 of the fault matrix, by what the tier is told.
func TestFullDiskShedsTheTier(t *testing.T) {
	tier, p := small(t), part(1)
	var free atomic.Int64
	free.Store(1 << 40)
	<-tier.ready
	tier.free = func(string) (int64, error) { return free.Load(), nil }
	slot := uint64(0)
	add := func() error {
		err := tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 400<<10, p))
		slot++
		return err
	}
	for range 12 {
		require.NoError(t, add())
	}
	sealed := tier.Generations()[0].ID
	require.NoError(t, tier.MarkSealed(sealed))
	free.Store(spare / 2)
	var err error
	for range 100 { // until what was promised is used up
		if err = add(); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, ErrFull)
	require.Equal(t, Full, tier.Stats().State)
	require.Nil(t, tier.generation(sealed), "what is sealed went first")
	require.Equal(t, int64(110), offsets(t, tier, p, 110)[0], "what is not sealed is kept, and readable")
	free.Store(1 << 40)
	require.NoError(t, add(), "it comes back")
	require.Equal(t, Healthy, tier.Stats().State)
}

// TestSmallDisk fills a real disk: it needs FIRN_SMALL_DISK to be a folder on a
// file system of some 200 MB.
func TestSmallDisk(t *testing.T) {
	dir := os.Getenv("FIRN_SMALL_DISK")
	if dir == "" {
		t.Skip("FIRN_SMALL_DISK is not set")
	}
	tier, p := open(t, filepath.Join(dir, "hot"), Options{GenerationBytes: 16 << 20}), part(1)
	require.NoError(t, tier.StartSession(first, 0))
	taken, refused := 0, 0
	for slot := range uint64(1000) {
		switch err := tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 1<<20, p)); {
		case err == nil:
			taken++
		case errors.Is(err, ErrFull):
			refused++
		default:
			t.Fatal(err)
		}
		if slot > 500 { // the sealer comes back
			for _, g := range tier.Generations() {
				if !g.Filling && !g.Sealed {
					require.NoError(t, tier.MarkSealed(g.ID))
				}
			}
			time.Sleep(time.Millisecond)
		}
	}
	t.Logf("%d slots of 1 MiB taken, %d refused", taken, refused)
	require.Positive(t, refused)
	require.Greater(t, taken, 300)
}

func TestDropWaitsForPins(t *testing.T) {
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 1000, p)))
	id := tier.Generations()[0].ID
	path := tier.list()[0].path
	require.Error(t, tier.Drop(id), "it is being filled")
	tier.Rotate()
	v := tier.Read(p, 0, forever, 1)
	require.NoError(t, tier.MarkSealed(id))
	require.NoError(t, tier.Drop(id))
	require.NoError(t, tier.Append(Slot{7, 1}, group(10, 1, 1000, p)))
	tier.Rotate()
	other := tier.list()[0].path
	require.NoError(t, tier.Drop(tier.Generations()[0].ID))
	require.Eventually(t, func() bool { _, err := os.Stat(other); return os.IsNotExist(err) }, 10*time.Second, time.Millisecond)
	require.Equal(t, payload(p, 0, 1000), v.Entries[0].Value)
	require.DirExists(t, path)
	require.Empty(t, tier.Read(p, 0, forever, 1).Entries)
	_, err := tier.Pin(id)
	require.ErrorIs(t, err, ErrNotHeld)
	v.Release()
	require.Eventually(t, func() bool { _, err := os.Stat(path); return os.IsNotExist(err) }, 10*time.Second, time.Millisecond)
}

func TestSealedGenerationStaysReadable(t *testing.T) {
	tier, p := small(t), part(1)
	for slot := range uint64(4) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 1000, p)))
	}
	tier.Rotate()
	g := tier.list()[0]
	v := tier.Read(p, 0, forever, 1<<20)
	require.NoError(t, tier.MarkSealed(g.id))
	require.Equal(t, payload(p, 30, 1000), v.Entries[3].Value, "a pin keeps it as it is")
	v.Release()
	require.Eventually(t, func() bool { g.mu.RLock(); defer g.mu.RUnlock(); return g.db == nil }, 10*time.Second, time.Millisecond)
	require.Equal(t, upTo(40), offsets(t, tier, p, 0))
	require.NoError(t, tier.Sync(Slot{7, 3}), "closing has made it durable")
}

func TestScanIsInTheOrderOfObjects(t *testing.T) {
	tier := small(t)
	for slot := range uint64(3) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*20, 2, 300, part(300), part(2), part(256), part(1))))
	}
	tier.Rotate()
	pin, err := tier.Pin(tier.Generations()[0].ID)
	require.NoError(t, err)
	defer pin.Release()
	var got []Entry
	require.NoError(t, pin.Scan(func(e Entry) error { got = append(got, e); return nil }))
	require.Len(t, got, 24)
	require.True(t, slices.IsSortedFunc(got, func(a, b Entry) int {
		if c := a.Partition.Compare(b.Partition); c != 0 {
			return c
		}
		return int(a.Base - b.Base)
	}))
	for _, e := range got {
		require.Equal(t, payload(e.Partition, e.Base, 300), e.Value)
	}
	shares, err := tier.Shares(pin.Info().ID)
	require.NoError(t, err)
	require.Len(t, shares, 4)
	require.Equal(t, Share{Partition: part(1), Bytes: 1800, Base: 0, Next: 60, MaxTimestamp: 1059, Batches: 6}, shares[0])
}

func TestSyncOfASlot(t *testing.T) {
	tier, p := small(t), part(1)
	require.ErrorIs(t, tier.Sync(Slot{7, 0}), ErrNotHeld)
	var wg sync.WaitGroup
	for slot := range uint64(20) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 100<<10, p)))
		wg.Go(func() {
			if err := tier.Sync(Slot{7, slot}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	g := tier.current()
	tier.fail(g, errors.New("planted"))
	require.NoError(t, tier.Sync(Slot{7, 19}), "it was durable before the failure")
	require.ErrorIs(t, tier.Append(Slot{7, 20}, group(200, 1, 10, p)), ErrUnavailable)
	require.Equal(t, Unavailable, tier.Stats().State)
}

func TestSlotOfFailedGenerationIsNeverCalledDurable(t *testing.T) {
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 100, p)))
	tier.fail(tier.current(), errors.New("planted"))
	require.ErrorContains(t, tier.Sync(Slot{7, 0}), "planted")
	tier.notUntil = time.Time{} // a rest later
	require.NoError(t, tier.Append(Slot{7, 1}, group(10, 1, 100, p)))
	require.NoError(t, tier.Sync(Slot{7, 1}))
	require.Error(t, tier.Sync(Slot{7, 0}))
	require.Equal(t, upTo(20), offsets(t, tier, p, 0), "what can be read is read")
}

func TestFailedWriteEndsTheGeneration(t *testing.T) { // H7
	tier, p := small(t), part(1)
	require.NoError(t, tier.Append(Slot{7, 0}, group(0, 1, 100, p)))
	v := tier.current().values
	whole := v.f
	var err error
	v.f, err = os.Open(whole.Name()) // pwrite answers EBADF
	require.NoError(t, err)
	require.ErrorIs(t, tier.Append(Slot{7, 1}, group(10, 1, 100, p)), syscall.EBADF)
	require.NoError(t, errors.Join(v.f.Close()))
	v.f = whole
	require.Equal(t, Unavailable, tier.Stats().State)
	require.Equal(t, upTo(10), offsets(t, tier, p, 0), "what was there is read")
	tier.notUntil = time.Time{} // a rest later
	require.NoError(t, tier.Append(Slot{7, 2}, group(20, 1, 100, p)))
	require.Equal(t, []int64{20}, offsets(t, tier, p, 20))
}

// The checksum of a batch is made of the batch's own, and is the same.
func TestBatchIsNotReadTwice(t *testing.T) { // H1
	tier, p := small(t), part(1)
	var b record.Builder
	b.Add(0, nil, payload(p, 0, 5000))
	batch, err := b.Build()
	require.NoError(t, err)
	for i, of := range []bool{true, false} {
		slot, base := uint64(i), int64(i)
		record.Rebase(batch, base, 3)
		require.NoError(t, tier.Append(Slot{7, slot}, []Entry{{Partition: p, Base: base, Last: base, Epoch: 3, Batch: of, Value: batch}}))
		v := tier.Read(p, base, forever, 1)
		require.Len(t, v.Entries, 1)
		require.Equal(t, batch, v.Entries[0].Value)
		v.Release()
	}
	spoilt := bytes.Clone(batch)
	record.Rebase(spoilt, 2, 3)
	spoilt[3000] ^= 1 // after its CRC was seen to hold
	require.NoError(t, tier.Append(Slot{7, 2}, []Entry{{Partition: p, Base: 2, Last: 2, Epoch: 3, Batch: true, Value: spoilt}}))
	require.Empty(t, tier.Read(p, 2, forever, 1).Entries, "what memory has changed is not served")
}

// A slot has no limit of vectors, and its bytes no size that they must have.
func TestSlotOfManyOddValues(t *testing.T) {
	tier, p := small(t), part(1)
	var entries []Entry
	for i := range int64(3000) {
		entries = append(entries, entry(p, 10*i, 10*i+9, 8*(1+int(i)%11)))
	}
	require.NoError(t, tier.Append(Slot{7, 0}, entries))
	require.Equal(t, upTo(30_000), offsets(t, tier, p, 0))
	after := open(t, crash(t, tier), Options{GenerationBytes: 1 << 20})
	after.Settle(first, 1)
	require.Equal(t, upTo(30_000), offsets(t, after, p, 0))
}

func TestReadersDuringRotationAndDrop(t *testing.T) {
	t.Parallel()
	tier, p := open(t, t.TempDir(), Options{GenerationBytes: 1 << 20, MaxBytes: 6 << 20}), part(1)
	require.NoError(t, tier.StartSession(first, 0))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for at := int64(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				v := tier.Read(p, at, forever, 300<<10)
				for _, e := range v.Entries {
					if !bytes.Equal(e.Value[:8], payload(p, e.Base, 8)) {
						t.Errorf("offset %d is not itself", e.Base)
					}
				}
				if at += 10 * int64(max(len(v.Entries), 1)); at > 800 {
					at = 0
				}
				v.Release()
			}
		})
	}
	for slot := range uint64(80) {
		require.NoError(t, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, 128<<10, p)))
		for _, g := range tier.Generations() {
			if !g.Filling && !g.Sealed {
				_ = tier.MarkSealed(g.ID)
			}
		}
	}
	close(stop)
	wg.Wait()
}

func BenchmarkAppend(b *testing.B) {
	tier := open(b, b.TempDir(), Options{MaxBytes: 2 << 30})
	require.NoError(b, tier.StartSession(first, 0))
	g := group(0, 4, 16<<10, part(0), part(1), part(2), part(3), part(4), part(5), part(6), part(7), part(8), part(9), part(10), part(11), part(12), part(13), part(14), part(15))
	b.SetBytes(64 * 16 << 10)
	b.ReportAllocs()
	slot := uint64(0)
	for b.Loop() {
		if err := tier.Append(Slot{7, slot}, g); err != nil {
			b.Fatal(err)
		}
		slot++
		for i := range g {
			g[i].Base += 40
			g[i].Last += 40
		}
		select {
		case <-tier.Retired():
			for _, i := range tier.Generations() {
				if !i.Filling && !i.Sealed {
					_ = tier.MarkSealed(i.ID)
				}
			}
		default:
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 128 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			tier, p := open(b, b.TempDir(), Options{}), part(1)
			require.NoError(b, tier.StartSession(first, 0))
			const n = 64
			for slot := range uint64(n) {
				require.NoError(b, tier.Append(Slot{7, slot}, group(int64(slot)*10, 1, size, p)))
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			at := int64(0)
			for b.Loop() {
				v := tier.Read(p, at%(10*n), forever, 1)
				v.Release()
				at += 10
			}
		})
	}
}

// A disk that is nearly full takes records again at every seal. That is told now and then,
// with what may be done, and what is told last comes true within ten seconds.
func TestADiskThatIsNearlyFullIsToldOfNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		tier := &Tier{log: slog.New(slog.NewTextHandler(&said, nil))}
		for range 60 {
			tier.setState(Full, ErrFull)
			time.Sleep(500 * time.Millisecond)
			tier.setState(Healthy, nil)
			time.Sleep(500 * time.Millisecond)
		}
		full, again := strings.Count(said.String(), "hot.max.bytes"), strings.Count(said.String(), "takes records again")
		if full < 3 || full > 7 || again != full {
			t.Errorf("told %d times of a minute, and %d times of the end:\n%s", full, again, said.String())
		}
		said.Reset()
		for range 30 {
			tier.setState(Full, ErrFull)
			time.Sleep(500 * time.Millisecond)
		}
		if n := strings.Count(said.String(), "takes no records"); n != 1 {
			t.Errorf("a disk that stays full is told of %d times:\n%s", n, said.String())
		}
	})
}

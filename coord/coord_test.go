package coord

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/coord/group"
	"github.com/firnlog/firn/record"
)

// memory is Log: one internal topic that several coordinators share. slow is what
// every append and every read takes, fail what appends return, after they arrived.
type memory struct {
	mu         sync.Mutex
	partitions map[int32][][]byte
	slow       time.Duration
	fail       error
	topics     map[string]byte // the first byte of the ids of topics; those that are not in it have 1
}

// topic is group.Topics. 0 is a topic that is deleted.
func (l *memory) topic(name string) (record.TopicID, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, ok := l.topics[name]
	if !ok {
		id = 1
	}
	return record.TopicID{id}, id > 0
}

func (l *memory) Append(ctx context.Context, p int32, batch []byte) error {
	time.Sleep(l.pause())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.partitions == nil {
		l.partitions = map[int32][][]byte{}
	}
	b := slices.Clone(batch)
	binary.BigEndian.PutUint64(b, uint64(len(l.partitions[p])))
	l.partitions[p] = append(l.partitions[p], b)
	return l.fail
}

func (l *memory) Read(ctx context.Context, p int32, fn func([]byte) error) error {
	time.Sleep(l.pause())
	l.mu.Lock()
	all := slices.Clone(l.partitions[p])
	l.mu.Unlock()
	for _, b := range all {
		if err := fn(b); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (l *memory) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.slow
}

func (l *memory) set(slow time.Duration, fail error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow, l.fail = slow, fail
}

func limits() group.Config {
	return group.Config{
		MinSessionMs: 1000, MaxSessionMs: 300_000, InitialDelayMs: 0, MaxSize: 100, MetadataMax: 4096,
		RetentionMs: 7 * 24 * 3600 * 1000, CheckMs: 600_000,
	}
}

const parts = 4

// bubble gives do two coordinators on one log, neither leading anything.
func bubble(t *testing.T, do func(t *testing.T, l *memory, a, b *Coordinator)) {
	synctest.Test(t, func(t *testing.T) {
		l := &memory{}
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		var cs [2]*Coordinator
		for i := range cs {
			cs[i] = New(l, slog.New(slog.DiscardHandler), limits, time.Now, l.topic)
			done.Go(func() {
				if err := cs[i].Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		do(t, l, cs[0], cs[1])
		cancel()
		done.Wait()
	})
}

func everything(epoch int32) []Led {
	var all []Led
	for i := range int32(parts) {
		all = append(all, Led{i, epoch})
	}
	return all
}

func commit(t *testing.T, c *Coordinator, id string, offset int64) error {
	t.Helper()
	r, err := c.CommitOffsets(t.Context(), &group.CommitRequest{Group: id, Generation: -1, Offsets: []group.Offset{
		{TopicPartition: group.TopicPartition{Topic: "t", Partition: 0}, Offset: offset, LeaderEpoch: -1}}})
	if err != nil {
		return err
	}
	return r.Errs[0]
}

func committed(t *testing.T, c *Coordinator, id string) (int64, error) {
	t.Helper()
	r, err := c.FetchOffsets(t.Context(), &group.FetchRequest{Group: id, Partitions: []group.TopicPartition{{Topic: "t", Partition: 0}}})
	if err != nil {
		return -1, err
	}
	if r.Err != nil {
		return -1, r.Err
	}
	return r.Offsets[0].Offset, nil
}

func TestACommitThatWasAcknowledgedSurvivesTakeover(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, b *Coordinator) {
		a.Own(parts, everything(1))
		synctest.Wait()
		for i, id := range []string{"g", "h", "i", "j", "k"} {
			if err := commit(t, a, id, int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		a.Own(parts, nil)
		b.Own(parts, everything(2))
		synctest.Wait()
		for i, id := range []string{"g", "h", "i", "j", "k"} {
			if n, err := committed(t, b, id); n != int64(i) || err != nil {
				t.Errorf("%s: %d, %v", id, n, err)
			}
			if _, err := committed(t, a, id); !errors.Is(err, group.ErrNotCoordinator) {
				t.Errorf("the old coordinator says %v", err)
			}
		}
	})
}

// What another coordinator wrote meanwhile counts: a new epoch loads again, and so
// does giving a partition up and taking it back without one.
func TestAPartitionThatComesBackIsLoadedAgain(t *testing.T) {
	for name, back := range map[string]func(c *Coordinator){
		"with a new epoch":    func(c *Coordinator) { c.Own(parts, everything(3)) },
		"after it was let go": func(c *Coordinator) { c.Own(parts, nil); c.Own(parts, everything(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *memory, a, b *Coordinator) {
				a.Own(parts, everything(1))
				synctest.Wait()
				if err := commit(t, a, "g", 1); err != nil {
					t.Fatal(err)
				}
				b.Own(parts, everything(2))
				synctest.Wait()
				if err := commit(t, b, "g", 2); err != nil {
					t.Fatal(err)
				}
				b.Own(parts, nil)
				back(a)
				synctest.Wait()
				if n, err := committed(t, a, "g"); n != 2 || err != nil {
					t.Errorf("%d, %v, want the other's commit", n, err)
				}
			})
		})
	}
}

func TestRequestsWhileLoadingAreTold(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, _ *Coordinator) {
		l.set(time.Minute, nil)
		a.Own(parts, everything(1))
		if _, err := committed(t, a, "g"); !errors.Is(err, group.ErrLoading) {
			t.Errorf("%v, want %v", err, group.ErrLoading)
		}
		if _, err := a.List(t.Context(), nil); !errors.Is(err, group.ErrLoading) {
			t.Errorf("list: %v, want %v", err, group.ErrLoading)
		}
		time.Sleep(2 * time.Minute)
		if n, err := committed(t, a, "g"); n != -1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// join asks in the background, and hands its answer on.
func join(ctx context.Context, c *Coordinator, member string) <-chan error {
	out := make(chan error, 1)
	go func() {
		r, err := c.Join(ctx, &group.JoinRequest{Group: "g", MemberID: member, SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 60_000,
			ProtocolType: "consumer", Protocols: []group.Protocol{{Name: "range"}}})
		if err == nil {
			err = r.Err
		}
		out <- err
	}()
	return out
}

func TestAParkedJoinIsSentAwayWhenThePartitionIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, _ *Coordinator) {
		a.Own(parts, everything(1))
		synctest.Wait()
		if err := <-join(t.Context(), a, ""); err != nil {
			t.Fatal(err)
		}
		second := join(t.Context(), a, "") // waits for the first to join again
		synctest.Wait()
		select {
		case err := <-second:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		a.Own(parts, nil)
		if err := <-second; !errors.Is(err, group.ErrNotCoordinator) {
			t.Errorf("%v, want %v", err, group.ErrNotCoordinator)
		}
	})
}

// C2, G3: what an append failed for was never told, and what arrived all the same is
// found by the load.
func TestAnAppendThatFailsTellsNobodyAndLoadsAgain(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, _ *Coordinator) {
		a.Own(parts, everything(1))
		synctest.Wait()
		if err := commit(t, a, "g", 1); err != nil {
			t.Fatal(err)
		}
		l.set(time.Second, errors.New("the answer was lost"))
		if err := commit(t, a, "g", 2); !errors.Is(err, group.ErrNotAvailable) {
			t.Errorf("%v, want %v", err, group.ErrNotAvailable)
		}
		l.set(0, nil)
		time.Sleep(time.Minute)
		if n, err := committed(t, a, "g"); n != 2 || err != nil {
			t.Errorf("%d, %v, want what the log has", n, err)
		}
	})
}

// C5: members wait for the log, which a bucket may hold up for longer than their sessions
// last, and cannot heartbeat meanwhile. Those that are silent when it goes on are removed.
func TestNoSessionEndsWhileItsMemberWaitsForTheLog(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, _ *Coordinator) {
		a.Own(parts, everything(1))
		synctest.Wait()
		q := &group.JoinRequest{Group: "g", SessionTimeoutMs: 6000, RebalanceTimeoutMs: 60_000, ProtocolType: "consumer", Protocols: []group.Protocol{{Name: "range"}}}
		j, err := a.Join(t.Context(), q)
		if err != nil || j.Err != nil {
			t.Fatal(err, j.Err)
		}
		beat := func() error {
			return a.Heartbeat(t.Context(), &group.HeartbeatRequest{Group: "g", MemberID: j.MemberID, Generation: j.Generation})
		}
		l.set(20*time.Second, nil)
		s, err := a.Sync(t.Context(), &group.SyncRequest{Group: "g", MemberID: j.MemberID, Generation: j.Generation})
		if err != nil || s.Err != nil {
			t.Fatal(err, s.Err)
		}
		if err := beat(); err != nil {
			t.Errorf("after a sync of 20 s: %v", err)
		}
		c, err := a.CommitOffsets(t.Context(), &group.CommitRequest{Group: "g", MemberID: j.MemberID, Generation: j.Generation, Offsets: []group.Offset{
			{TopicPartition: group.TopicPartition{Topic: "t"}, Offset: 1, LeaderEpoch: -1}}})
		if err != nil || c.Errs[0] != nil {
			t.Fatal(err, c.Errs)
		}
		if err := beat(); err != nil {
			t.Errorf("after a commit of 20 s: %v", err)
		}
		l.set(0, nil)
		time.Sleep(7 * time.Second)
		if err := beat(); !errors.Is(err, group.ErrUnknownMember) {
			t.Errorf("after 7 s of silence: %v, want %v", err, group.ErrUnknownMember)
		}
	})
}

func TestADeletedGroupStaysAwayAfterALoad(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, b *Coordinator) {
		a.Own(parts, everything(1))
		synctest.Wait()
		if err := commit(t, a, "g", 1); err != nil {
			t.Fatal(err)
		}
		if err := a.Delete(t.Context(), "g"); err != nil {
			t.Fatal(err)
		}
		a.Own(parts, nil)
		b.Own(parts, everything(2))
		synctest.Wait()
		if n, err := committed(t, b, "g"); n != -1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if l, err := b.List(t.Context(), nil); len(l) != 0 || err != nil {
			t.Errorf("%v, %v", l, err)
		}
	})
}

// What a topic had is forgotten with it: by who coordinates, and by who did not while it
// was deleted. What is committed for one that is made again stays.
func TestOffsetsEndWithTheirTopic(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, b *Coordinator) {
		topic := func(id byte) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.topics = map[string]byte{"t": id}
		}
		want := func(c *Coordinator, offset int64) {
			t.Helper()
			if n, err := committed(t, c, "g"); n != offset || err != nil {
				t.Errorf("%d, %v, want %d", n, err, offset)
			}
		}
		commitFor := func(c *Coordinator, id byte, offset int64) {
			t.Helper()
			r, err := c.CommitOffsets(t.Context(), &group.CommitRequest{Group: "g", Generation: -1, Offsets: []group.Offset{
				{TopicPartition: group.TopicPartition{Topic: "t"}, TopicID: record.TopicID{id}, Offset: offset, LeaderEpoch: -1}}})
			if err != nil || r.Errs[0] != nil {
				t.Fatal(err, r)
			}
		}
		prune := func(c *Coordinator) {
			t.Helper()
			if err := c.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		a.Own(parts, everything(1))
		synctest.Wait()
		topic(1)
		commitFor(a, 1, 7)
		prune(a)
		want(a, 7)
		topic(2) // deleted and made again
		prune(a)
		want(a, -1)
		commitFor(a, 2, 8)
		prune(a)
		want(a, 8)
		a.Own(parts, nil)
		b.Own(parts, everything(2))
		synctest.Wait()
		want(b, 8)
		prune(b)
		want(b, 8)
		b.Own(parts, nil)
		topic(0) // deleted while nobody coordinates
		l.set(time.Minute, nil)
		a.Own(parts, everything(3))
		prune(a) // while it loads
		l.set(0, nil)
		time.Sleep(10 * time.Minute)
		want(a, -1)
	})
}

// A commit that was on its way when its topic was deleted is refused: nobody would forget it.
func TestACommitDoesNotOutliveItsTopic(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, b *Coordinator) {
		a.Own(parts, everything(1))
		synctest.Wait()
		late := func(why string, id byte) {
			t.Helper()
			l.mu.Lock()
			l.topics = map[string]byte{"t": id}
			l.mu.Unlock()
			if err := a.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			r, err := a.CommitOffsets(t.Context(), &group.CommitRequest{Group: "g", Generation: -1, Offsets: []group.Offset{
				{TopicPartition: group.TopicPartition{Topic: "t"}, TopicID: record.TopicID{1}, Offset: 7, LeaderEpoch: -1}}})
			if err != nil || !errors.Is(r.Errs[0], group.ErrUnknownTopic) {
				t.Errorf("%s: %v, %v, want %v", why, err, r.Errs, group.ErrUnknownTopic)
			}
		}
		late("deleted", 0)
		late("made again", 2)
		a.Own(parts, nil)
		b.Own(parts, everything(2))
		synctest.Wait()
		if n, err := committed(t, b, "g"); n != -1 || err != nil {
			t.Errorf("the next topic of that name has the offset %d, %v", n, err)
		}
	})
}

// One bad record must not take the other groups of its partition away.
func TestRecordsThatMakeNoSenseAreSkipped(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, b *Coordinator) {
		a.Own(parts, everything(1))
		synctest.Wait()
		if err := commit(t, a, "g", 7); err != nil {
			t.Fatal(err)
		}
		p := Partition("g", parts)
		for _, r := range [][2][]byte{
			{nil, nil}, {{}, {}}, {{0}, {1}}, {{0, 1}, {0, 1}}, {{0, 1, 0x7f, 0xff}, {0, 3}}, {{0, 2, 0, 1, 'g'}, {0, 3, 0x7f}}, {{0x7f, 0xff}, nil},
		} {
			var batch record.Builder
			batch.Add(0, r[0], r[1])
			bytes, err := batch.Build()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Append(t.Context(), p, bytes); err != nil {
				t.Fatal(err)
			}
		}
		a.Own(parts, nil)
		b.Own(parts, everything(2))
		synctest.Wait()
		if n, err := committed(t, b, "g"); n != 7 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

package group

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// bench drives a machine by hand.
type bench struct {
	t   testing.TB
	m   *Machine
	now int64
	got map[any]any
	log []Record
}

func newBench(t testing.TB, c Config) *bench {
	n := 0
	b := &bench{t: t, now: 1, got: map[any]any{}}
	b.m = New(c, func(p string) string { n++; return fmt.Sprintf("%s-%d", p, n) })
	return b
}

func (b *bench) take() {
	out := b.m.Take()
	b.log = append(b.log, out.Records...)
	for _, a := range out.Answers {
		if _, twice := b.got[a.Token]; twice {
			b.t.Fatalf("G1: %v is answered twice", a.Token)
		}
		b.got[a.Token] = a.Response
	}
}

func (b *bench) tick(ms int64) {
	b.now += ms
	b.m.Tick(b.now, b.now)
	b.take()
}

func (b *bench) join(token, member string, instance *string, opts ...func(*JoinRequest)) {
	r := &JoinRequest{Group: "g", MemberID: member, InstanceID: instance, ClientID: "c", SessionTimeoutMs: 10000, RebalanceTimeoutMs: 20000,
		ProtocolType: "consumer", Protocols: []Protocol{{"range", []byte("m")}}}
	for _, o := range opts {
		o(r)
	}
	b.m.Join(b.now, b.now, r, token)
	b.take()
}

func (b *bench) joined(token string) JoinResponse {
	b.t.Helper()
	r, ok := b.got[token].(JoinResponse)
	if !ok {
		b.t.Fatalf("%s is not answered", token)
	}
	return r
}

func (b *bench) sync(token, member string, gen int32, as ...Assignment) {
	b.m.Sync(b.now, b.now, &SyncRequest{Group: "g", MemberID: member, Generation: gen, Assignments: as}, token)
	b.take()
}

func (b *bench) synced(token string) SyncResponse {
	b.t.Helper()
	r, ok := b.got[token].(SyncResponse)
	if !ok {
		b.t.Fatalf("%s is not answered", token)
	}
	return r
}

// two makes a stable group of two members.
func (b *bench) two() (a, c string, gen int32) {
	b.t.Helper()
	b.join("a", "", nil)
	ra := b.joined("a")
	b.sync("sa", ra.MemberID, ra.Generation, Assignment{ra.MemberID, []byte("x")})
	b.join("c", "", nil)
	if _, ok := b.got["c"]; ok {
		b.t.Fatal("the second member must wait for the first to join again")
	}
	if err := b.m.Heartbeat(b.now, &HeartbeatRequest{Group: "g", MemberID: ra.MemberID, Generation: ra.Generation}); !errors.Is(err, ErrRebalanceInProgress) {
		b.t.Fatal(err)
	}
	b.join("a2", ra.MemberID, nil)
	r1, r2 := b.joined("a2"), b.joined("c")
	if r1.Generation != r2.Generation || r1.Leader != r1.MemberID || len(r1.Members) != 2 || len(r2.Members) != 0 {
		b.t.Fatalf("%+v %+v", r1, r2)
	}
	b.sync("sc", r2.MemberID, r2.Generation)
	if _, ok := b.got["sc"]; ok {
		b.t.Fatal("a member must wait for the leader's assignment")
	}
	b.sync("sa2", r1.MemberID, r1.Generation, Assignment{r1.MemberID, []byte("1")}, Assignment{r2.MemberID, []byte("2")})
	if string(b.synced("sc").Assignment) != "2" || string(b.synced("sa2").Assignment) != "1" {
		b.t.Fatal("assignments went astray")
	}
	return r1.MemberID, r2.MemberID, r1.Generation
}

func TestTwoMembersShareAGroup(t *testing.T) { newBench(t, Config{}).two() }

func TestSemantic38MemberIDRequired(t *testing.T) {
	b := newBench(t, Config{})
	need := func(r *JoinRequest) { r.NeedMemberID = true }
	b.join("a", "", nil, need)
	r := b.joined("a")
	if !errors.Is(r.Err, ErrMemberIDRequired) || r.MemberID == "" {
		t.Fatalf("%+v", r)
	}
	b.join("b", r.MemberID, nil, need)
	if r := b.joined("b"); r.Err != nil || r.Generation != 1 {
		t.Fatalf("%+v", r)
	}
	i := "static"
	b2 := newBench(t, Config{})
	b2.join("s", "", &i, need)
	if r := b2.joined("s"); r.Err != nil {
		t.Fatalf("a static member gets its id at once: %+v", r)
	}
	b2.join("bad", "", nil, func(r *JoinRequest) { r.SessionTimeoutMs = 10 })
	if r := b2.joined("bad"); !errors.Is(r.Err, ErrInvalidSessionTimeout) {
		t.Fatalf("%+v", r)
	}
}

func TestSemantic38InitialDelay(t *testing.T) {
	b := newBench(t, Config{InitialDelayMs: 3000})
	b.join("a", "", nil)
	b.tick(2000)
	b.join("c", "", nil)
	b.tick(1500)
	if len(b.got) != 0 {
		t.Fatal("a new member during the delay extends it")
	}
	b.tick(3000)
	if r := b.joined("a"); r.Generation != 1 || len(r.Members) != 2 {
		t.Fatalf("%+v", r)
	}
}

func TestSemantic39ProtocolVote(t *testing.T) {
	b := newBench(t, Config{InitialDelayMs: 100})
	ps := func(names ...string) func(*JoinRequest) {
		return func(r *JoinRequest) {
			r.Protocols = nil
			for _, n := range names {
				r.Protocols = append(r.Protocols, Protocol{n, nil})
			}
		}
	}
	b.join("a", "", nil, ps("x", "y", "z"))
	b.join("b", "", nil, ps("y", "x"))
	b.join("c", "", nil, ps("y", "x", "w"))
	b.join("no", "", nil, ps("z"))
	if r := b.joined("no"); !errors.Is(r.Err, ErrInconsistentProtocol) {
		t.Fatalf("%+v", r)
	}
	b.join("type", "", nil, func(r *JoinRequest) { r.ProtocolType = "connect" })
	if r := b.joined("type"); !errors.Is(r.Err, ErrInconsistentProtocol) {
		t.Fatalf("%+v", r)
	}
	b.tick(100)
	b.tick(100)
	if r := b.joined("a"); r.Protocol != "y" {
		t.Fatalf("%+v", r)
	}
}

func TestSemantic40StaticMembers(t *testing.T) {
	b := newBench(t, Config{})
	i := "i1"
	b.join("a", "", &i)
	a := b.joined("a")
	b.m.Sync(b.now, b.now, &SyncRequest{Group: "g", MemberID: a.MemberID, InstanceID: &i, Generation: 1, Assignments: []Assignment{{a.MemberID, []byte("x")}}}, "s")
	b.take()
	b.join("again", "", &i, func(r *JoinRequest) { r.CanSkip = true })
	r := b.joined("again")
	if r.Err != nil || r.Generation != 1 || !r.SkipAssignment || r.MemberID == a.MemberID {
		t.Fatalf("a static member that returns must not rebalance: %+v", r)
	}
	if err := b.m.Heartbeat(b.now, &HeartbeatRequest{Group: "g", MemberID: a.MemberID, InstanceID: &i, Generation: 1}); !errors.Is(err, ErrFencedInstance) {
		t.Fatal(err)
	}
	b.join("changed", "", &i, func(r *JoinRequest) { r.Protocols = []Protocol{{"range", []byte("other")}} })
	if r := b.joined("changed"); r.Generation != 2 {
		t.Fatalf("changed metadata must rebalance: %+v", r)
	}
}

func TestSemantic41OffsetCommit(t *testing.T) {
	b := newBench(t, Config{})
	tp := TopicPartition{"t", 0}
	commit := func(gen int32, member string, newErrors bool) error {
		return b.m.Commit(b.now, b.now, &CommitRequest{Group: "g", Generation: gen, MemberID: member, NewErrors: newErrors, Offsets: []Offset{{TopicPartition: tp, Offset: 5, LeaderEpoch: 3, Metadata: "m"}}}).Errs[0]
	}
	if err := commit(3, "x", false); !errors.Is(err, ErrIllegalGeneration) {
		t.Fatal(err)
	}
	if err := commit(3, "x", true); !errors.Is(err, ErrGroupNotFound) {
		t.Fatal(err)
	}
	if err := commit(-1, "", false); err != nil {
		t.Fatal(err)
	}
	if o := b.m.Fetch(&FetchRequest{Group: "g", All: true}).Offsets; len(o) != 1 || o[0].Offset != 5 || o[0].LeaderEpoch != 3 || o[0].Metadata != "m" {
		t.Fatalf("%+v", o)
	}
	if o := b.m.Fetch(&FetchRequest{Group: "g", Partitions: []TopicPartition{{"t", 9}}}).Offsets[0]; o.Offset != -1 || o.Err != nil {
		t.Fatalf("%+v", o) // semantic 42
	}
	a, _, gen := b.two()
	if err := commit(-1, "", false); !errors.Is(err, ErrUnknownMember) {
		t.Fatal(err)
	}
	if err := commit(gen-1, a, false); !errors.Is(err, ErrIllegalGeneration) {
		t.Fatal(err)
	}
	if err := commit(gen, a, false); err != nil {
		t.Fatal(err)
	}
	big := b.m.Commit(b.now, b.now, &CommitRequest{Group: "g", Generation: gen, MemberID: a, Offsets: []Offset{{TopicPartition: tp, Metadata: string(make([]byte, 5000))}}})
	if !errors.Is(big.Errs[0], ErrOffsetMetadataLarge) {
		t.Fatal(big.Errs)
	}
}

func TestSemantic43OffsetExpiry(t *testing.T) {
	b := newBench(t, Config{RetentionMs: 1000, CheckMs: 100})
	b.m.Commit(b.now, b.now, &CommitRequest{Group: "g", Generation: -1, Offsets: []Offset{{TopicPartition: TopicPartition{"t", 0}, Offset: 5}}})
	b.tick(900)
	if len(b.m.Fetch(&FetchRequest{Group: "g", All: true}).Offsets) != 1 {
		t.Fatal("expired too early")
	}
	b.tick(200)
	if len(b.m.Fetch(&FetchRequest{Group: "g", All: true}).Offsets) != 0 || len(b.m.List(nil)) != 0 {
		t.Fatal("not expired")
	}
}

func TestSemantic44DescribeAndDelete(t *testing.T) {
	b := newBench(t, Config{})
	if d := b.m.Describe("g"); d.State != "Dead" || !errors.Is(d.Err, ErrGroupNotFound) {
		t.Fatalf("%+v", d)
	}
	a, c, _ := b.two()
	if d := b.m.Describe("g"); d.State != "Stable" || len(d.Members) != 2 || d.Protocol != "range" {
		t.Fatalf("%+v", d)
	}
	if err := b.m.Delete("g"); !errors.Is(err, ErrNonEmptyGroup) {
		t.Fatal(err)
	}
	r := b.m.Leave(b.now, b.now, &LeaveRequest{Group: "g", Members: []LeaveMember{{ID: a}, {ID: c}, {ID: "nobody"}}})
	if r.Errs[0] != nil || r.Errs[1] != nil || !errors.Is(r.Errs[2], ErrUnknownMember) {
		t.Fatalf("%+v", r)
	}
	b.take()
	if err := b.m.Delete("g"); !errors.Is(err, ErrGroupNotFound) && err != nil {
		t.Fatal(err)
	}
}

func TestSilentMembersAreRemoved(t *testing.T) {
	b := newBench(t, Config{})
	a, c, gen := b.two()
	for range 5 {
		b.tick(4000)
		_ = b.m.Heartbeat(b.now, &HeartbeatRequest{Group: "g", MemberID: a, Generation: gen})
	}
	if d := b.m.Describe("g"); len(d.Members) != 1 || d.State != "PreparingRebalance" {
		t.Fatalf("%+v", d)
	}
	if err := b.m.Heartbeat(b.now, &HeartbeatRequest{Group: "g", MemberID: c, Generation: gen}); !errors.Is(err, ErrUnknownMember) {
		t.Fatal(err)
	}
	b.join("back", a, nil)
	if r := b.joined("back"); r.Generation != gen+1 || len(r.Members) != 1 {
		t.Fatalf("%+v", r)
	}
}

func TestReplayRebuildsTheGroup(t *testing.T) {
	b := newBench(t, Config{})
	a, _, gen := b.two()
	b.m.Commit(b.now, b.now, &CommitRequest{Group: "g", Generation: gen, MemberID: a, Offsets: []Offset{{TopicPartition: TopicPartition{"t", 1}, Offset: 7, LeaderEpoch: 2}}})
	b.take()
	n := newBench(t, Config{})
	for _, r := range b.log {
		if err := n.m.ReplayTxn(-1, r.Key, r.Value); err != nil {
			t.Fatalf("%q: %v", r.Key, err)
		}
	}
	n.m.Loaded(n.now, n.now)
	if d := n.m.Describe("g"); d.State != "Stable" || len(d.Members) != 2 || string(d.Members[1].Assignment) != "2" {
		t.Fatalf("%+v", d)
	}
	if err := n.m.Heartbeat(n.now, &HeartbeatRequest{Group: "g", MemberID: a, Generation: gen}); err != nil {
		t.Fatal(err)
	}
	if o := n.m.Fetch(&FetchRequest{Group: "g", All: true}).Offsets; len(o) != 1 || o[0].Offset != 7 || o[0].LeaderEpoch != 2 {
		t.Fatalf("%+v", o)
	}
}

// TestAnyScheduleAnswersEveryTokenOnce throws requests at a group and lets time
// pass: G1 and G2 hold whatever comes.
func TestAnyScheduleAnswersEveryTokenOnce(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		b := newBench(t, Config{InitialDelayMs: int64(rng.IntN(2) * 500), MinSessionMs: 1})
		var ids []string
		instances := []string{"i0", "i1"}
		asked, lastGen := 0, int32(0)
		pick := func() string {
			if len(ids) == 0 || rng.IntN(10) == 0 {
				return ""
			}
			return ids[rng.IntN(len(ids))]
		}
		for range 200 {
			g := b.m.groups["g"]
			gen := int32(0)
			if g != nil {
				gen = g.generation
			}
			switch rng.IntN(6) {
			case 0, 1:
				var inst *string
				if rng.IntN(3) == 0 {
					inst = &instances[rng.IntN(2)]
				}
				tok := fmt.Sprint("j", asked)
				asked++
				b.join(tok, pick(), inst, func(r *JoinRequest) { r.NeedMemberID = rng.IntN(2) == 0 })
			case 2:
				tok := fmt.Sprint("s", asked)
				asked++
				b.sync(tok, pick(), gen)
			case 3:
				_ = b.m.Heartbeat(b.now, &HeartbeatRequest{Group: "g", MemberID: pick(), Generation: gen})
			case 4:
				if rng.IntN(4) == 0 {
					b.m.Leave(b.now, b.now, &LeaveRequest{Group: "g", Members: []LeaveMember{{ID: pick()}}})
				}
			case 5:
				b.tick(int64(rng.IntN(6000)))
			}
			b.take()
			for _, a := range b.got {
				if j, ok := a.(JoinResponse); ok && j.MemberID != "" {
					ids = append(ids, j.MemberID)
				}
			}
			if len(ids) > 30 {
				ids = ids[len(ids)-30:]
			}
			if g := b.m.groups["g"]; g != nil {
				if len(g.members) > 0 && g.state != Preparing && g.byID[g.leader] == nil {
					t.Fatalf("seed %d: G2: leader %q is no member in %s", seed, g.leader, g.state)
				}
				if g.generation < lastGen && g.recorded {
					t.Fatalf("seed %d: G2: generation went from %d to %d", seed, lastGen, g.generation)
				}
				lastGen = g.generation
			} else {
				lastGen = 0
			}
		}
		for range 50 { // everybody goes silent
			b.tick(30000)
		}
		if len(b.got) != asked {
			t.Fatalf("seed %d: G1: %d requests, %d answers", seed, asked, len(b.got))
		}
	}
}

func FuzzReplay(f *testing.F) {
	f.Add(groupKey("g"), []byte{0, 3})
	f.Add(offsetRecord("g", TopicPartition{"t", 1}, nil).Key, []byte{0, 1})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		m := New(Config{}, func(string) string { return "x" })
		m.Replay(k, v)
		m.Loaded(1, 1)
		m.Tick(2, 2)
		subscription(v, func([]byte) {})
	})
}

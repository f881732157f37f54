package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// node is a Gossip with a listener in the place of its Kafka port.
type node struct {
	*Gossip
	kafka net.Listener
	conns sync.Map
	// accepted receives when a connection was taken.
	accepted chan struct{}
	stop     context.CancelFunc
	ended    chan error
}

func start(t *testing.T, id int32, cluster string, seeds ...string) *node {
	t.Helper()
	return startWith(t, id, cluster, "", seeds...)
}

// startWith starts a node whose gossip is sealed with the keys of a file.
func startWith(t *testing.T, id int32, cluster, keys string, seeds ...string) *node {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(t.Context(), Options{
		Bind: "127.0.0.1:0", Name: fmt.Sprintf("%s-%d", t.Name(), id), Cluster: cluster,
		Self:  Member{Session: uint64(100 + id), Node: id, Kafka: ln.Addr().String(), Rack: "a"},
		Seeds: func() []string { return seeds }, KeyFile: keys, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Gossip: g, kafka: ln, ended: make(chan error, 1), accepted: make(chan struct{}, 64)}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n.conns.Store(c, true)
			n.accepted <- struct{}{}
		}
	}()
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	go func() { n.ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		ln.Close()
		<-n.ended
	})
	return n
}

// die closes what a kernel closes when a process is killed.
func (n *node) die() {
	n.kafka.Close()
	n.conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
}

// see waits until a node sees exactly these members.
func (n *node) see(t *testing.T, want ...int32) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		changed := n.Changed()
		var got []int32
		for _, m := range n.Members() {
			got = append(got, m.Node)
		}
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("node sees %v, want %v", got, want)
		}
	}
}

// hears waits until a node has this of another.
func (n *node) hears(t *testing.T, m Member) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		changed := n.Changed()
		if slices.Contains(n.Members(), m) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%+v was not heard of: %+v", m, n.Members())
		}
	}
}

func TestBrokersFindEachOtherAndSayWhatChanges(t *testing.T) {
	a := start(t, 1, "one")
	b := start(t, 2, "one", a.Addr())
	c := start(t, 3, "one", b.Addr())
	for _, n := range []*node{a, b, c} {
		n.see(t, 1, 2, 3)
	}
	m := b.Members()[1]
	if m.Session != 102 || m.Kafka != b.kafka.Addr().String() || m.Rack != "a" {
		t.Fatalf("member 2 is %+v", m)
	}
	m.Session, m.Draining = 777, true
	b.Set(m)
	for {
		changed := a.Changed()
		if got := a.Members()[1]; got == m {
			break
		}
		<-changed
	}
	a.Grew(77)
	for _, n := range []*node{b, c} {
		<-n.Hints()
		if got := n.Newest(); got != 77 {
			t.Errorf("told of entry %d, want 77", got)
		}
	}
}

func TestClustersDoNotMerge(t *testing.T) {
	a := start(t, 1, "one")
	b := start(t, 2, "two", a.Addr())
	c := start(t, 3, "one", a.Addr())
	a.see(t, 1, 3)
	c.see(t, 1, 3)
	b.see(t, 2)
}

func TestDeadProcessIsGoneAtOnce(t *testing.T) {
	a := start(t, 1, "one")
	b := start(t, 2, "one", a.Addr())
	a.see(t, 1, 2)
	<-b.accepted // it is watched
	b.die()
	if m := <-a.Gone(); m.Node != 2 {
		t.Fatalf("gone is %+v", m)
	}
	if len(a.Members()) != 1 {
		t.Error("who is gone is still a member")
	}
	if a.list.NumMembers() != 2 {
		t.Fatal("the probes were quicker: this test shows nothing of connections")
	}
}

func TestSilentMachineIsGone(t *testing.T) {
	b, err := Open(t.Context(), Options{
		Bind: "127.0.0.1:0", Name: t.Name(), Cluster: "one", Self: Member{Session: 102, Node: 2, Kafka: "127.0.0.1:1"},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var attests sync.WaitGroup
	attests.Go(func() { b.attest(ctx) })
	a := start(t, 1, "one", b.Addr())
	a.see(t, 1, 2)
	stop()
	attests.Wait()
	if err := b.list.Shutdown(); err != nil { // nothing in, nothing out, no farewell
		t.Fatal(err)
	}
	if m := <-a.Gone(); m.Node != 2 {
		t.Fatalf("gone is %+v", m)
	}
}

func TestWhoLeavesIsNotGone(t *testing.T) {
	a := start(t, 1, "one")
	b := start(t, 2, "one", a.Addr())
	a.see(t, 1, 2)
	b.stop()
	a.see(t, 1)
	select {
	case m := <-a.Gone():
		t.Fatalf("%+v left in good order and was reported", m)
	default:
	}
}

func TestBadOptionsAreExplained(t *testing.T) {
	for bind, want := range map[string]string{"7946": "HOST:PORT", "0.0.0.0:0": "cannot reach", "127.0.0.1:x": "HOST:PORT"} {
		_, err := Open(t.Context(), Options{Bind: bind, Logger: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", bind, err, want)
		}
	}
	_, err := Open(t.Context(), Options{Bind: "127.0.0.1:0", Self: Member{Rack: strings.Repeat("r", 600)}, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "rack") {
		t.Errorf("a rack of 600 bytes: %v", err)
	}
}

func FuzzMember(f *testing.F) {
	b, _ := Member{Session: 9, Node: 3, Kafka: "h:1", Rack: "z", Draining: true}.encode(5)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, load, err := decode(b)
		if err != nil {
			return
		}
		again, err := m.encode(load)
		if err != nil {
			return // longer than memberlist would have brought it
		}
		if m2, load2, err := decode(again); err != nil || m2 != m || load2 != load {
			t.Fatalf("%+v came back as %+v: %v", m, m2, err)
		}
	})
}

// A broker's load is told, coarsely, and changes nothing else: nobody who waits for members
// to change is woken, and no connection is held anew.
func TestLoadIsToldAndMovesNothing(t *testing.T) {
	a := start(t, 1, "one")
	b := start(t, 2, "one", a.Addr())
	a.see(t, 1, 2)
	b.see(t, 1, 2)
	before, changed := a.Members(), a.Changed()
	b.SetLoad(1_000_000)
	deadline := time.Now().Add(20 * time.Second)
	for ; a.Loads()[2] == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the load is not told")
		}
	}
	if got := a.Loads(); got[1] != 0 || got[2] < 875_000 || got[2] > 1_000_000 {
		t.Errorf("loads are %v", got)
	}
	select {
	case <-changed:
		t.Error("members have changed with a load")
	default:
	}
	if now := a.Members(); !slices.Equal(now, before) {
		t.Errorf("members were %+v and are %+v", before, now)
	}
	for n, want := range map[uint64]uint64{0: 0, 1023: 0, 1024: 1024, 1279: 1024, 1280: 1280, 2047: 1792, 1 << 40: 1 << 40} {
		if got := coarse(n); got != want {
			t.Errorf("%d bytes are told as %d, want %d", n, got, want)
		}
	}
}

// What an earlier program says of itself, which tells no load, is understood.
func TestAMemberWithoutLoadIsUnderstood(t *testing.T) {
	m := Member{Session: 9, Node: 3, Kafka: "h:1", Rack: "z"}
	b, err := m.encode(0)
	if err != nil {
		t.Fatal(err)
	}
	if got, load, err := decode(b[:len(b)-1]); got != m || load != 0 || err != nil {
		t.Errorf("%+v, load %d: %v", got, load, err)
	}
}

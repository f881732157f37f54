package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/broker/bubble"
)

// tape is a network whose packets and streams somebody records on their way in.
type tape struct {
	Network
	mu      sync.Mutex
	packets [][]byte      // guarded by mu
	streams []*taped      // guarded by mu
	off     chan struct{} // closed when nothing more is recorded
}

type taped struct {
	net.Conn
	t    *tape
	read []byte // guarded by t.mu
}

func (t *tape) record(do func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.off:
	default:
		do()
	}
}

func (c *taped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.t.record(func() { c.read = append(c.read, b[:n]...) })
	return n, err
}

type tapedListener struct {
	net.Listener
	t *tape
}

func (l tapedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	x := &taped{Conn: c, t: l.t}
	l.t.record(func() { l.t.streams = append(l.t.streams, x) })
	return x, nil
}

type tapedPackets struct {
	net.PacketConn
	t *tape
}

func (c tapedPackets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(b)
	if err == nil {
		c.t.record(func() { c.t.packets = append(c.t.packets, slices.Clone(b[:n])) })
	}
	return n, from, err
}

func (t *tape) Listen(ctx context.Context, at string) (net.Listener, error) {
	l, err := t.Network.Listen(ctx, at)
	return tapedListener{l, t}, err
}

func (t *tape) ListenPacket(ctx context.Context, at string) (net.PacketConn, error) {
	c, err := t.Network.ListenPacket(ctx, at)
	return tapedPackets{c, t}, err
}

// play sends all that was recorded to a node's gossip, from a host of its own.
func (t *tape) play(tt *testing.T, from *bubble.Process, to string) {
	tt.Helper()
	t.mu.Lock() // not across what waits
	packets, streams := t.packets, t.streams
	t.mu.Unlock()
	out, err := from.ListenPacket(tt.Context(), from.Host()+":0")
	if err != nil {
		tt.Fatal(err)
	}
	defer out.Close()
	at, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		tt.Fatal(err)
	}
	for i, b := range packets {
		if _, err := out.WriteTo(b, at); err != nil {
			tt.Fatal(err)
		}
		if i%100 == 99 {
			time.Sleep(10 * time.Millisecond) // or they are lost
		}
	}
	for _, s := range streams {
		c, err := from.Dial(tt.Context(), to)
		if err != nil {
			tt.Fatal(err)
		}
		if _, err := c.Write(s.read); err != nil {
			tt.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		c.Close()
	}
}

// life is a Gossip in a bubble.
type life struct {
	*Gossip
	*bubble.Process
	stop  func() // in good order
	ended chan struct{}
}

// live begins one, of node id on host 10.0.0.id, in a network or on a tape of it.
func live(t *testing.T, p *bubble.Process, n Network, session uint64, keys string, seeds ...string) *life {
	t.Helper()
	return liveAmong(t, p, n, session, keys, nil, seeds...)
}

// liveAmong begins one that knows of others from their sessions, too.
func liveAmong(t *testing.T, p *bubble.Process, n Network, session uint64, keys string, others []string, seeds ...string) *life {
	t.Helper()
	var id int32
	if _, err := fmt.Sscanf(p.Host(), "10.0.0.%d", &id); err != nil {
		t.Fatal(err)
	}
	g, err := Open(t.Context(), Options{
		Bind: p.Host() + ":7946", Name: fmt.Sprintf("life-%d", session), Cluster: "one",
		Self:  Member{Session: session, Node: id, Kafka: p.Host() + ":9092"},
		Seeds: func() []string { return seeds }, Live: func() []string { return others }, KeyFile: keys, Network: n, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &life{Gossip: g, Process: p, ended: make(chan struct{})}
	go func() { defer close(l.ended); _ = g.Run(ctx) }()
	l.stop = func() { cancel(); <-l.ended }
	return l
}

// end ends them in good order, and waits for the last probe.
func end(all ...*life) {
	for _, l := range all {
		l.stop()
	}
	time.Sleep(10 * time.Second)
}

// sessions are those of the members.
func (l *life) sessions() (out []uint64) {
	for _, m := range l.Members() {
		out = append(out, m.Session)
	}
	return out
}

// What was recorded and is sent again, minutes later, brings back nobody who has died or
// left, and nobody is reported as gone who lives or was reported before, sealed or not.
func TestWhatWasRecordedBringsNobodyBack(t *testing.T) {
	for _, x := range []struct {
		name string
		key  bool
	}{{"open", false}, {"sealed", true}} {
		t.Run(x.name, func(t *testing.T) {
			keys := ""
			if x.key {
				keys = keyFile(t, key(1))
			}
			synctest.Test(t, func(t *testing.T) {
				n := bubble.NewNetwork(200 * time.Microsecond)
				host := func(i int) *bubble.Process { return n.Boot(fmt.Sprintf("10.0.0.%d", i)) }
				pa, pc := host(1), host(3)
				rec := &tape{Network: pa, off: make(chan struct{})}
				a := live(t, pa, rec, 101, keys)
				pb := host(2)
				b := live(t, pb, pb, 102, keys, a.Addr())
				c := live(t, pc, pc, 103, keys, a.Addr())
				time.Sleep(30 * time.Second) // so that states were exchanged, too
				if got := a.sessions(); !slices.Equal(got, []uint64{101, 102, 103}) {
					t.Fatalf("members are %v", got)
				}
				close(rec.off)
				defer func() {
					c.stop()
					a.stop()
					time.Sleep(10 * time.Second) // the last probe
				}()

				b.Kill()
				b.stop()
				c.stop()
				pc.Kill()
				if m := <-a.Gone(); m.Session != 102 {
					t.Fatalf("gone is %+v", m)
				}
				pc = host(3)
				c = live(t, pc, pc, 203, keys, a.Addr())
				mallory := n.Boot("10.9.9.9")
				// A new process counts its questions from the beginning: what was recorded
				// holds answers to the like.
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range 5 {
						rec.play(t, mallory, c.Addr())
					}
				}()
				for playing := true; playing; {
					if got := c.sessions(); slices.Contains(got, 102) || slices.Contains(got, 103) {
						t.Errorf("members are %v at the start", got)
						break
					}
					select {
					case <-done:
						playing = false
					case <-time.After(time.Millisecond):
					}
				}
				<-done
				time.Sleep(2 * time.Minute) // until memberlist has forgotten the dead
				for range 3 {
					for _, to := range []*life{a, c} {
						rec.play(t, mallory, to.Addr())
						for range 100 {
							if got := to.sessions(); !slices.Equal(got, []uint64{101, 203}) {
								t.Fatalf("members are %v", got)
							}
							select {
							case m := <-to.Gone():
								t.Fatalf("%+v is gone", m)
							case <-time.After(50 * time.Millisecond):
							}
						}
					}
				}
				t.Logf("%d packets and %d streams", len(rec.packets), len(rec.streams))
			})
		})
	}
}

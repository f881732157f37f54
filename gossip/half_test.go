package gossip

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/broker/bubble"
)

// forgetful is a network whose kernel forgets one that is connected to a dying process by
// half: nobody answers it, and it would ask again after a second.
type forgetful struct {
	Network
	dying  string
	dead   atomic.Bool
	forgot atomic.Int32
}

func (f *forgetful) Dial(ctx context.Context, address string) (net.Conn, error) {
	if address == f.dying && f.dead.Load() && f.forgot.Add(1) == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.Network.Dial(ctx, address)
}

// A process that dies while somebody connects to it is found as soon as any other: long
// before probes say so.
func TestAProcessThatDiesWhileItIsConnectedToIsGoneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := bubble.NewNetwork(200 * time.Microsecond)
		p, q := network.Boot("10.0.0.1"), network.Boot("10.0.0.2")
		clients, err := q.Listen(t.Context(), "10.0.0.2:9092")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				if _, err := clients.Accept(); err != nil { // held until the process dies
					return
				}
			}
		}()
		f := &forgetful{Network: p, dying: "10.0.0.2:9092"}
		a := live(t, p, f, 101, "")
		b := live(t, q, q, 102, "", "10.0.0.1:7946")
		defer end(a, b)
		time.Sleep(5 * time.Second)
		f.dead.Store(true)
		q.Kill()
		died := time.Now()
		if m := <-a.Gone(); m.Session != 102 {
			t.Fatalf("gone is %+v", m)
		}
		if took := time.Since(died); took > 2*glance || f.forgot.Load() < 2 {
			t.Errorf("found after %s and %d attempts", took, f.forgot.Load())
		}
	})
}

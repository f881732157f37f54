package gossip

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// watched is how many others a broker holds a connection to: enough that each has
// several that notice, few enough that a thousand brokers do not hold a million.
const watched = 8

// watch holds the connections whose end tells that a process has died. One
// goroutine, that of Run, keeps it.
type watch struct {
	g     *Gossip
	peers map[Member]context.CancelFunc
	ended sync.WaitGroup
}

func newWatch(g *Gossip) *watch {
	return &watch{g: g, peers: map[Member]context.CancelFunc{}}
}

// keep watches the members that come next after this one, in the order of all.
func (w *watch) keep(ctx context.Context) {
	w.g.mu.Lock()
	self := w.g.self
	w.g.mu.Unlock()
	all := w.g.Members()
	at := slices.Index(all, self)
	next := map[Member]bool{}
	for i := 1; i < len(all) && len(next) < watched; i++ {
		if m := all[(at+i)%len(all)]; m != self && m.Session != 0 && !m.Draining && ctx.Err() == nil {
			next[m] = true
		}
	}
	for m, stop := range w.peers {
		if !next[m] {
			stop()
			delete(w.peers, m)
		}
	}
	for m := range next {
		if w.peers[m] == nil {
			wctx, stop := context.WithCancel(ctx)
			w.peers[m] = stop
			w.ended.Go(func() { w.hold(wctx, m) })
		}
	}
}

func (w *watch) end() {
	for _, stop := range w.peers {
		stop()
	}
	w.ended.Wait()
}

// glance is how long an attempt may take right after a connection has ended, and glances
// how many there are: a dying process forgets who is connected to it by half without a
// word, and that one's kernel asks again after a second only. Who asks anew is refused.
const glance, glances = interval / 2, 5

// hold keeps a connection to a member. When it ends, and the member's address
// refuses another, the process has died. Silence proves nothing here: that is what
// probes are for.
func (w *watch) hold(ctx context.Context, m Member) {
	reached, brief := false, 0
	var wait time.Duration
	for ctx.Err() == nil {
		c, err := w.dial(ctx, m.Kafka, brief > 0)
		if err != nil {
			if reached && errors.Is(err, syscall.ECONNREFUSED) && ctx.Err() == nil {
				w.g.report(m, "its connection was closed and it refuses another")
				return
			}
			if brief > 0 {
				brief--
				continue
			}
			pause(ctx, 5*interval)
			continue
		}
		reached, brief = true, glances
		began := time.Now()
		stop := context.AfterFunc(ctx, func() { c.Close() })
		_, _ = c.Read(make([]byte, 1)) // nothing ever comes: it returns when the connection ends
		stop()
		c.Close()
		if time.Since(began) >= 5*interval {
			wait = 0
			continue
		}
		// A dying process may take a connection more while its kernel closes the others,
		// so the next attempt is soon; one that lives and does not want us is left alone.
		wait = min(2*wait+interval/20, 5*interval)
		pause(ctx, wait)
	}
}

// dial waits no longer than probes need to find a death, or briefly.
func (w *watch) dial(ctx context.Context, address string, brief bool) (net.Conn, error) {
	most := 5 * interval
	if brief {
		most = glance
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return w.g.opts.Network.Dial(ctx, address)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

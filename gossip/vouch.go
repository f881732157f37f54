package gossip

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Packets can be recorded and sent again, sealed or not, and memberlist remembers the dead
// for half a minute only: after that, what somebody once said of himself brings him back
// for as long as it takes to find out that he does not answer. So whoever was only told of
// is no member before he has answered a ping of ours by his name, which is that of one life
// of one process. The living are members a round trip later.

// rumour is a member that was told of and has not answered yet.
type rumour struct {
	Member
	addr  string
	since time.Time
}

// credit is after what time a rumour is believed that memberlist's own probes, which go by
// way of others too, did not end: there may be no way from here to there. They take their
// turn, one each interval.
func credit(members int) time.Duration { return 10*time.Second + time.Duration(members)*2*interval }

// verify asks those that were told of, until ctx ends.
func (g *Gossip) verify(ctx context.Context) {
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		if g.vouch(ctx) {
			again.Reset(interval)
		}
		select {
		case <-ctx.Done():
			return
		case <-g.told:
		case <-again.C:
		}
	}
}

// vouch asks everybody who was told of once, and reports whether some did not answer.
func (g *Gossip) vouch(ctx context.Context) (left bool) {
	g.mu.Lock()
	asked := make(map[string]*rumour, len(g.rumours))
	for name, r := range g.rumours {
		asked[name] = r
	}
	patience := credit(len(g.others) + len(g.rumours))
	g.mu.Unlock()
	var all sync.WaitGroup
	for name, r := range asked {
		all.Go(func() {
			if ctx.Err() != nil || time.Since(r.since) < patience && !g.answers(name, r.addr) {
				return
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.rumours[name] == r {
				delete(g.rumours, name)
				g.others[name], g.reached[name] = r.Member, r.addr
				g.turn()
			}
		})
	}
	all.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.rumours) > 0
}

func (g *Gossip) answers(name, addr string) bool {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return false
	}
	_, err = g.list.Ping(name, net.UDPAddrFromAddrPort(at))
	return err == nil
}

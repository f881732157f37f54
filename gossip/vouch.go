package gossip

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Packets can be recorded and sent again, sealed or not, and memberlist remembers the dead
// for half a minute only: after that, what somebody once said of himself brings him back
// for as long as it takes to find out that he does not answer. So whoever was only told of
// is no member before he has answered a question of ours, put to him by his name, which is
// that of one life of one process. The living are members a round trip later.

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
			// What he has said of himself since he was asked is his word, too.
			if now := g.rumours[name]; now != nil && now.addr == r.addr {
				delete(g.rumours, name)
				g.others[name], g.reached[name] = now.Member, now.addr
				g.turn()
			}
		})
	}
	all.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.rumours) > 0
}

// answerWait is how long an answer may take before the question is put again.
const answerWait = interval / 2

// answers asks a member whether he lives. memberlist's own pings are numbered from the
// start of a process, and what was recorded may hold an answer of that number: each
// question of ours has a number that nobody has seen.
func (g *Gossip) answers(name, addr string) bool {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	heard := make(chan struct{})
	g.mu.Lock()
	g.asking[nonce] = heard
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.asking, nonce)
		g.mu.Unlock()
	}()
	if g.list.SendToAddress(memberlist.Address{Addr: addr, Name: name}, question{nonce, g.addr, name}.encode()) != nil {
		return false
	}
	t := time.NewTimer(answerWait)
	defer t.Stop()
	select {
	case <-heard:
		return true
	case <-t.C:
		return false
	}
}

// attest answers those who ask, until ctx ends.
func (g *Gossip) attest(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-g.questions:
			_ = g.list.SendToAddress(memberlist.Address{Addr: q.from}, append([]byte{answer}, q.nonce[:]...))
		}
	}
}

// question asks whether the process of a name lives at the address to which it is sent.
type question struct {
	nonce [16]byte
	from  string // where the answer goes
	name  string
}

// encode writes a question: its first byte, 16 bytes of nonce, the length of the address
// in one byte, the address, and the name.
func (q question) encode() []byte {
	b := append([]byte{ask}, q.nonce[:]...)
	b = append(b, byte(len(q.from)))
	return append(append(b, q.from...), q.name...)
}

func decodeQuestion(b []byte) (q question, ok bool) {
	if len(b) < 18 || b[0] != ask || len(b) < 18+int(b[17]) {
		return q, false
	}
	n := copy(q.nonce[:], b[1:17])
	q.from, q.name = string(b[n+2:n+2+int(b[17])]), string(b[n+2+int(b[17]):])
	return q, true
}

package kafka

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// paced answers what is appended after the time that a put takes.
type paced struct{ *fake }

const putTime = 30 * time.Millisecond

type pacedAppending struct {
	Appending
	at time.Time
}

func (a pacedAppending) Wait(ctx context.Context) ([]Appended, error) {
	time.Sleep(time.Until(a.at))
	return a.Appending.Wait(ctx)
}

func (l paced) Append(ctx context.Context, a Append) (Appending, error) {
	out, err := l.fake.Append(ctx, a)
	return pacedAppending{out, time.Now().Add(putTime)}, err
}

// held makes topics when it is told to.
type held struct {
	Topics
	hold chan struct{}
}

func (h held) Create(ctx context.Context, ts []NewTopic) []error {
	<-h.hold
	return h.Topics.Create(ctx, ts)
}

// Whatever was served before them, Produce requests of a connection do not wait for each
// other's answers, and a client that always has some under way does not go on to.
func TestProduceRequestsDoNotWaitForEachOther(t *testing.T) { // K2
	fetch := kmsg.NewPtrFetchRequest()
	fetch.SetVersion(11)
	fetch.MaxWaitMillis, fetch.MinBytes = 100, 1
	create := createOf("another", 1, 1)
	create.SetVersion(5)
	for what, c := range map[string]struct {
		first kmsg.Request
		held  bool          // it is served for a while
		takes time.Duration // what is sent right behind it
	}{
		"behind an answer that is not taken yet": {first: create, takes: putTime},
		"behind one that is being served":        {first: create, held: true, takes: putTime},
		"behind one that waits for long":         {first: fetch, takes: 4 * putTime}, // one by one, and no more of them
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.topic("t", 1)
				b := f.backend()
				b.Log = paced{f}
				h := held{b.Topics, make(chan struct{})}
				b.Topics = h
				if !c.held {
					close(h.hold)
				}
				cl := serveBackend(t, b, Limits{}).client(t)
				cl.send(c.first)
				synctest.Wait()
				frames := make(chan []byte, 16)
				defer close(frames)
				go func() {
					for f := range frames {
						cl.nc.Write(f)
					}
				}()
				sent := func(n int) {
					for range n {
						frames <- frame(produceOf(9, -1, "t", 0, batch(0, 1, "a")), 0)
					}
					synctest.Wait()
				}
				sent(4)
				if c.held {
					close(h.hold)
				}
				cl.receive()
				began := time.Now()
				sent(4)
				for i := range 8 {
					cl.receive()
					if i == 3 {
						if took := time.Since(began); took > c.takes {
							t.Errorf("those that were sent at once took %v, want %v at most", took, c.takes)
						}
						sent(4)
					}
				}
				began = time.Now()
				for range 4 {
					cl.receive()
				}
				if took := time.Since(began); took > putTime {
					t.Errorf("those that came later took %v, want %v at most", took, putTime)
				}
			})
		})
	}
}

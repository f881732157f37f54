package pump

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// scripted answers puts and gets as it is told, and counts them.
type scripted struct {
	puts  []ingest.Answer
	found []byte // nil: 404
	sent  int
	looks int
	over  context.CancelFunc
}

func (s *scripted) PutIfAbsent(ctx context.Context, _ string, _ cold.Body) error {
	if s.sent == len(s.puts) {
		s.over()
		<-ctx.Done()
		return ctx.Err()
	}
	a := s.puts[s.sent]
	s.sent++
	return map[ingest.Answer]error{
		ingest.Exists: cold.ErrExists, ingest.Conflict: cold.ErrConflict, ingest.Denied: cold.ErrDenied,
		ingest.Unknown: errors.New("connection reset"),
	}[a]
}

func (s *scripted) Get(context.Context, string, cold.Range, []byte) ([]byte, error) {
	s.looks++
	if s.found == nil {
		return nil, cold.ErrNotFound
	}
	return s.found, nil
}

func (s *scripted) Stat(context.Context, string) (cold.Info, error) {
	return cold.Info{}, cold.ErrNotFound
}
func (s *scripted) List(context.Context, string, string) iter.Seq2[cold.Info, error] {
	return func(func(cold.Info, error) bool) {}
}
func (s *scripted) Delete(context.Context, string) error { return nil }

// TestPutsFollowTheRule holds the loop that sends puts against ingest.Settle, the
// rule that the model explores: for every sequence of three answers, and whatever
// is found in the slot, both send as often, look as often, and end the same way.
func TestPutsFollowTheRule(t *testing.T) { // S3
	answers := []ingest.Answer{ingest.Created, ingest.Exists, ingest.Conflict, ingest.Unknown, ingest.Denied}
	for _, a := range answers {
		for _, b := range answers {
			for _, c := range answers {
				for _, who := range []ingest.Owner{ingest.Nobody, ingest.Ours, ingest.AFence, ingest.Stranger} {
					puts := []ingest.Answer{a, b, c}
					t.Run(fmt.Sprint(puts, who), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { followsTheRule(t, puts, who) })
					})
				}
			}
		}
	}
}

func followsTheRule(t *testing.T, puts []ingest.Answer, who ingest.Owner) {
	session := Session{ID: 5, Nonce: [16]byte{1}}
	mine := []byte("the bytes of the slot")
	found := map[ingest.Owner][]byte{
		ingest.Ours: mine, ingest.AFence: object.EncodeFence(session.ID, 0, session.Nonce, [16]byte{9}, 0), ingest.Stranger: []byte("something else"),
	}[who]
	wantSent, wantLooks, want := 0, 0, ingest.Undecided
	for _, a := range puts {
		wantSent++
		act, outcome := ingest.Settle(a, ingest.Nobody)
		if act == ingest.Look {
			wantLooks++
			if who == ingest.Nobody {
				act, outcome = ingest.Settle(ingest.Absent, ingest.Nobody)
			} else {
				act, outcome = ingest.Settle(ingest.Found, who)
			}
		}
		if want = outcome; act == ingest.Done {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &scripted{puts: puts, found: found, over: cancel}
	p := New(Options{Store: s})
	got, err := p.put(ctx, &flight{session: session, slot: &ingest.Slot{Session: session.ID}}, &encoded{segments: [][]byte{mine}})
	assert.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, wantSent, s.sent)
	if who == ingest.AFence || who == ingest.Stranger {
		wantLooks *= 2 // not ours: two reads have to agree
	}
	assert.Equal(t, wantLooks, s.looks)
}

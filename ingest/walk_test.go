package ingest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slots is a session's part of a bucket, for walks.
type slots map[uint64]Owner

// try performs one step.
func (s slots) try(t Try) (Answer, Owner) {
	who, taken := s[t.Slot]
	switch {
	case t.Step == StepRead && !taken:
		return Absent, Nobody
	case t.Step == StepRead:
		return Found, who
	case taken:
		return Exists, who
	}
	s[t.Slot] = AFence
	return Created, Nobody
}

func data(n uint64) slots {
	s := slots{}
	for slot := range n {
		s[slot] = Ours
	}
	return s
}

// walk goes to the end and returns it, with the rounds and the puts that it took.
// between is called after each round.
func (s slots) walk(t *testing.T, w *Walk, between func()) (end uint64, rounds, puts int) {
	for {
		tries := append([]Try(nil), w.Next()...)
		if len(tries) == 0 {
			end, done := w.End()
			require.True(t, done)
			return end, rounds, puts
		}
		rounds++
		require.Less(t, rounds, 1000)
		for _, try := range tries {
			if try.Step == StepFence {
				puts++
			}
			a, who := s.try(try)
			require.NoError(t, w.Answer(try, a, who))
		}
		between()
	}
}

func TestAWalkOfADeadSessionPutsOneFence(t *testing.T) { // S6
	for _, likely := range []uint64{0, 5, 40, 47, 100} { // the listing may be short, exact, or wrong
		s := data(40)
		end, _, puts := s.walk(t, NewWalk(3, likely), func() {})
		assert.EqualValues(t, 40, end)
		if likely >= 40 {
			assert.Equal(t, 1, puts, "a listing that ends at %d", likely)
		}
		again, _, puts := s.walk(t, NewWalk(0, 40), func() {})
		assert.EqualValues(t, 40, again, "the fence is adopted")
		assert.Equal(t, 1, puts)
	}
}

func TestAWalkCatchesUpWithASessionThatGoesOn(t *testing.T) { // S6
	for _, speed := range []uint64{1, 4, 20, 100, 1000} { // slots that it fills in one of our round trips
		s := data(50)
		end, rounds, _ := s.walk(t, NewWalk(0, 50), func() {
			filled := uint64(0)
			for slot := uint64(0); filled < speed; slot++ {
				switch s[slot] {
				case AFence:
					return // it has noticed
				case Nobody:
					s[slot] = Ours
					filled++
				}
			}
		})
		assert.Less(t, rounds, 60, "%d slots a round", speed)
		for slot := range end {
			assert.Equal(t, Ours, s[slot])
		}
		assert.Equal(t, AFence, s[end])
	}
}

func TestAWalkAsksAgainWhatIsNotDefinite(t *testing.T) { // S3, S6
	w := NewWalk(7, 8)
	read := Try{StepRead, 7}
	require.NoError(t, w.Answer(read, Unknown, Nobody))
	assert.Equal(t, []Try{read}, w.Next())
	require.NoError(t, w.Answer(read, Absent, Nobody))
	fence := Try{StepFence, 7}
	for _, a := range []Answer{Unknown, Conflict, Denied} {
		assert.Equal(t, []Try{fence}, w.Next())
		require.NoError(t, w.Answer(fence, a, Nobody))
	}
	assert.ErrorIs(t, w.Answer(fence, Exists, Stranger), ErrForeign)

	w = NewWalk(0, 2) // what is foreign above the end is rubbish
	require.NoError(t, w.Answer(Try{StepRead, 1}, Found, Stranger))
	require.NoError(t, w.Answer(Try{StepRead, 0}, Found, AFence))
	end, done := w.End()
	assert.True(t, done)
	assert.Zero(t, end)
}

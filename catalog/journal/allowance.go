package journal

import "time"

// What looks may cost that are asked for (Journal.Ask). Each is two requests to the bucket,
// which show that neither an entry nor a boundary was put, and it is clients who ask: a
// consumer waits for a topic that nobody has made yet for days, and asks several times a
// second. lookBurst looks are there at once, so that nobody waits who asks now and then;
// lookRate a second come after, for all clients of a broker together. Asked without end, a
// broker sends 8 requests a second, some 21 million a month, and who asks waits for a
// quarter of a second at most for a look of his own.
const (
	lookBurst = 16
	lookRate  = 4
)

// allowance is a token bucket of looks.
type allowance struct {
	left float64
	at   time.Time // when left was so much
}

func newAllowance(now time.Time) allowance { return allowance{lookBurst, now} }

// wait is how long it takes until there is a look to be had.
func (a *allowance) wait(now time.Time) time.Duration {
	a.left = min(lookBurst, a.left+now.Sub(a.at).Seconds()*lookRate)
	a.at = now
	if a.left >= 1 {
		return 0
	}
	return time.Duration((1-a.left)/lookRate*1e9) + time.Microsecond // a timer must not find that a hair is missing
}

// spend takes one off.
func (a *allowance) spend() { a.left-- }

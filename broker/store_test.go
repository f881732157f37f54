package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/open"
)

// nowhere is a store whose every look ends with one error.
type nowhere struct {
	cold.Store
	err error
}

func (n nowhere) Stat(context.Context, string) (cold.Info, error) { return cold.Info{}, n.err }

// Whoever misspells the bucket, or its credentials, is told so at once: waiting for them
// would look like an outage.
func TestWhatNoWaitingMendsIsRefusedAtTheStart(t *testing.T) {
	for says, err := range map[string]error{
		"--create":          fmt.Errorf("stat: %w", cold.ErrNoBucket),
		"AWS_ACCESS_KEY_ID": fmt.Errorf("stat: %w", cold.ErrDenied),
	} {
		got := examine(t.Context(), nowhere{err: err}, open.Location{Scheme: "mem"}, slog.New(slog.DiscardHandler))
		if !errors.Is(got, err) || !strings.Contains(got.Error(), says) {
			t.Errorf("%v: %v, want it with %q", err, got, says)
		}
	}
}

// A store that is not there yet is waited for, and that is told now and then.
func TestAStoreThatIsAwayAtTheStartIsToldOfNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		away := nowhere{err: errors.New("connection refused")}
		if err := examine(ctx, away, open.Location{Scheme: "mem"}, slog.New(slog.NewTextHandler(&said, nil))); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if n := strings.Count(said.String(), "does not answer yet"); n < 4 || n > 7 {
			t.Errorf("told %d times of a minute:\n%s", n, said.String())
		}
	})
}

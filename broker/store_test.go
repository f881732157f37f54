package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

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

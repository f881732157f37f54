//go:build ring4

package ring4

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/localstack/proc"
)

// TestSecondProcessOnADataFolderIsRefused by a message that names the folder, and
// the first one serves on.
func TestSecondProcessOnADataFolderIsRefused(t *testing.T) {
	s := newStack(t)
	s.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	second, err := proc.Start(ctx, s.log, s.bin, "--store", s.store, "--data-dir", s.data, "--listeners", "127.0.0.1:0", "--http", "127.0.0.1:0", "--gossip", "127.0.0.1:0")
	if err == nil {
		second.Kill()
		t.Fatal("a second broker serves on the same data folder")
	}
	if errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), s.data) {
		t.Errorf("refused by %v, which does not name %s", err, s.data)
	}
	if err := client(t, s.addr).Ping(ctx); err != nil {
		t.Errorf("the first broker: %v", err)
	}
	s.stop(t)
	s.verify(t)
}

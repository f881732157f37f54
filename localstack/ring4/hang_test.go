//go:build ring4

package ring4

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test may take: several times what the longest one does on two
// busy processors. RING4_PATIENCE is for those who want to see what becomes of one that
// takes longer.
func patience(t *testing.T) time.Duration {
	t.Helper()
	d := 6 * time.Minute
	if s := os.Getenv("RING4_PATIENCE"); s != "" {
		var err error
		if d, err = time.ParseDuration(s); err != nil {
			t.Fatalf("RING4_PATIENCE=%q: want a duration", s)
		}
	}
	if t.Name() == "TestHistoryUnderFaults" {
		d += 2 * nemesisTime(t) // the judge reads a long history for long
	}
	return d
}

var hanging sync.Once

// hangs ends the program and tells what everybody is waiting for: the test, by its
// goroutines, and its brokers, each by the end of its log with its own (SIGQUIT). A
// test that hangs says nothing else, and keeps those behind it from being run.
func (s *stack) hangs(t *testing.T) {
	hanging.Do(func() {
		all := make([]byte, 1<<20)
		all = all[:runtime.Stack(all, true)]
		fmt.Fprintf(os.Stderr, "%s\n", all)
		time.AfterFunc(10*time.Second, func() {
			fmt.Fprintf(os.Stderr, "FAIL: %s hangs: the brokers' logs, with their goroutines, and those of the test are above\n", t.Name())
			os.Exit(1)
		})
	})
	if b := s.broker; b != nil {
		_ = b.Signal(syscall.SIGCONT)
		_ = b.Signal(syscall.SIGQUIT)
		select {
		case <-b.Exited():
		case <-time.After(5 * time.Second):
		}
	}
	log, _ := os.ReadFile(s.log.Name())
	fmt.Fprintf(os.Stderr, "%s: log of the broker at %s:\n%s\n", t.Name(), s.addr, log[max(0, len(log)-60000):])
}

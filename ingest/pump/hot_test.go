package pump

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/tier/hot"
)

// Slots that nobody waits for are written in groups, in order; one that an acks=1
// waits for is written at once, and with it all before it (P2).
func TestHotSlotsAreWrittenInGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &tier{}
		told := 0
		hotter := newHotter(h, nil, 64<<20, func(e hotEvent) { told++ })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); hotter.append(ctx) }()
		var seq uint64
		push := func(bytes int64, sync bool) {
			require.True(t, hotter.push(hotTask{flight: &flight{slot: &ingest.Slot{Session: 1, Seq: seq, Bytes: bytes, Sync: sync}}}))
			seq++
			synctest.Wait()
		}
		written := func() int {
			h.mu.Lock()
			defer h.mu.Unlock()
			for i, s := range h.appended {
				require.Equal(t, hot.Slot{Session: 1, Seq: uint64(i)}, s)
			}
			require.Equal(t, len(h.appended), told, "the loop is told of each")
			return len(h.appended)
		}
		push(1000, false)
		time.Sleep(hotLinger / 2)
		push(1000, false)
		require.Zero(t, written())
		time.Sleep(hotLinger / 2)
		synctest.Wait()
		require.Equal(t, 2, written(), "as long as the oldest may wait")

		push(1000, false)
		push(1000, true)
		require.Equal(t, 4, written(), "somebody waits")

		push(hotGroup-1, false)
		require.Equal(t, 4, written())
		push(1, false)
		require.Equal(t, 6, written(), "a group is full")

		push(1000, false)
		require.True(t, hotter.push(hotTask{start: hot.Session{ID: 2}}))
		synctest.Wait()
		require.Equal(t, 7, written())
		require.Len(t, h.started, 1, "a session begins behind what was before it")

		push(1000, false)
		cancel()
		<-ended
		require.Equal(t, 8, told, "what is left is given back at the end")
	})
}

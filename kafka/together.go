package kafka

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// How many partitions of one request are looked up in time, or trimmed, at the same time,
// how many groups are asked, and how many resources altered. Each may be a round trip or
// two to the bucket, of which a client waits for some seconds' worth. Trims become one
// entry of the journal, and so do alterations; what groups write becomes one batch.
const (
	findWidth  = 16
	trimWidth  = 128
	groupWidth = 128
	alterWidth = 128
)

// together calls do for 0 to n-1, at most width of them at the same time, and returns when
// all have returned. A panic in one of them becomes the caller's, where it ends one
// connection only (K4).
func together(n, width int, do func(i int)) {
	if n == 1 {
		do(0)
		return
	}
	var all sync.WaitGroup
	var next atomic.Int64
	panics := make([]any, min(n, width))
	for w := range panics {
		all.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					panics[w] = fmt.Sprintf("%v\n%s", r, debug.Stack())
				}
			}()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
	for _, r := range panics {
		if r != nil {
			panic(r)
		}
	}
}

package main

import (
	"context"
	"io"
)

// heeding is standard input that ends with a context. What is read from a terminal or a
// pipe may never come, and nothing else interrupts who waits for it.
type heeding struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader. After the context has ended its error is returned, and what
// a read that was under way finds is lost.
func (h *heeding) Read(b []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	own := make([]byte, len(b)) // b is the caller's again when ctx ends
	done := make(chan result, 1)
	go func() {
		n, err := h.in.Read(own)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return copy(b, own[:r.n]), r.err
	case <-h.ctx.Done():
		return 0, h.ctx.Err()
	}
}

package s3wire

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Steady wraps a transport so that an answer which stands still in the middle of its body
// ends: when nothing has arrived for silenceLimit, reading it fails. The peer may well
// live, a proxy for one, so that nothing beneath notices; the time that a reader takes
// between two reads does not count.
func Steady(t http.RoundTripper) http.RoundTripper { return &steady{t} }

type steady struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s *steady) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	resp, err := s.RoundTripper.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &steadyBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel}
	return resp, nil
}

// CloseIdleConnections is found by http.Client.
func (s *steady) CloseIdleConnections() {
	if c, ok := s.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

var errStill = fmt.Errorf("the answer stood still for %v", silenceLimit)

type steadyBody struct {
	io.ReadCloser
	ctx    context.Context // of the request
	cancel context.CancelCauseFunc
	limit  *time.Timer
}

func (b *steadyBody) Read(p []byte) (int, error) {
	if b.limit == nil {
		b.limit = time.AfterFunc(silenceLimit, func() { b.cancel(errStill) })
	} else {
		b.limit.Reset(silenceLimit)
	}
	n, err := b.ReadCloser.Read(p)
	b.limit.Stop()
	if err != nil && err != io.EOF && context.Cause(b.ctx) == errStill {
		err = errStill
	}
	return n, err
}

func (b *steadyBody) Close() error {
	if b.limit != nil {
		b.limit.Stop()
	}
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

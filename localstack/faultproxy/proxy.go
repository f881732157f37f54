// Package faultproxy stands between a broker and its store and does to single
// requests what networks and overloaded stores do: answers 503 in the store's
// stead or 403, lets a put land and loses the answer, holds it back, or cuts the
// connection before the request gets there or in the middle of its body. It speaks
// HTTP; faults of bare connections are toxiproxy's trade.
package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is what happens to a request.
type Fault int

const (
	// Pass hands request and answer on.
	Pass Fault = iota
	// Unavailable answers 503 SlowDown; the store hears nothing of the request.
	Unavailable
	// Denied answers 403 AccessDenied, as a store does to keys that were revoked; it
	// hears nothing of the request.
	Denied
	// LoseRequest cuts the connection; the store hears nothing of the request.
	LoseRequest
	// LoseAnswer lets the store carry the request out, whole, and cuts the
	// connection in place of the answer.
	LoseAnswer
	// DelayAnswer carries the request out and holds the answer back for Delay.
	DelayAnswer
	// LateRequest cuts the connection at once and carries the request out Delay
	// later: a put that lands after its sender has given up on it.
	LateRequest
	// CutRequest lets the store have half of the body, and cuts both connections: the
	// sender died in the middle of it. A request without a body is lost.
	CutRequest
	faults
)

// String names it.
func (f Fault) String() string {
	names := [faults]string{"pass", "503", "403", "request lost", "answer lost", "answer delayed", "request late", "request cut"}
	if f < 0 || f >= faults {
		return fmt.Sprintf("fault %d", int(f))
	}
	return names[f]
}

// maxBody bounds what is held of one request, whose body a late one needs whole.
// Firn's objects are smaller.
const maxBody = 64 << 20

// Proxy is a running proxy.
type Proxy struct {
	upstream string
	delay    time.Duration
	decide   atomic.Pointer[func(*http.Request) Fault]
	counts   [faults]atomic.Int64

	listener  net.Listener
	server    *http.Server
	transport *http.Transport
	served    chan error
	late      sync.WaitGroup
	quit      context.Context
	stop      context.CancelFunc
	close     func() error
}

// Start listens at a free port of the loopback and hands on to upstream, HOST:PORT.
// delay is that of DelayAnswer and LateRequest.
func Start(upstream string, delay time.Duration) (*Proxy, error) {
	return StartAt("127.0.0.1", upstream, delay)
}

// StartAt is Start at another address of this machine.
func StartAt(host, upstream string, delay time.Duration) (*Proxy, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("fault proxy before %s: %w", upstream, err)
	}
	p := &Proxy{upstream: upstream, delay: delay, listener: ln, transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}, served: make(chan error, 1)}
	p.quit, p.stop = context.WithCancel(context.Background())
	p.close = sync.OnceValue(p.end)
	p.Decide(nil)
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: time.Minute}
	go func() { p.served <- p.server.Serve(ln) }()
	return p, nil
}

// Addr is HOST:PORT of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Decide takes the function that chooses the fault of each request from now on; nil
// passes all. It is called from many goroutines at once and must not read the body.
func (p *Proxy) Decide(choose func(*http.Request) Fault) {
	if choose == nil {
		choose = func(*http.Request) Fault { return Pass }
	}
	p.decide.Store(&choose)
}

// Count is how many requests had that fault.
func (p *Proxy) Count(f Fault) int64 { return p.counts[f].Load() }

// Close cuts all connections and returns when nothing of the proxy runs. Late
// requests that have not begun are never sent. It may be called again.
func (p *Proxy) Close() error { return p.close() }

func (p *Proxy) end() error {
	p.stop()
	err := p.server.Close()
	if serr := <-p.served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	p.late.Wait()
	p.transport.CloseIdleConnections()
	return err
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	f := (*p.decide.Load())(r)
	p.counts[f].Add(1)
	switch f {
	case Unavailable:
		refuse(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
		return
	case Denied:
		refuse(w, http.StatusForbidden, "AccessDenied", "Access Denied.")
		return
	case LoseRequest:
		panic(http.ErrAbortHandler) // the server's way to cut a connection
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		panic(http.ErrAbortHandler) // the client cut it
	}
	switch f {
	case LateRequest:
		p.later(r, body)
		panic(http.ErrAbortHandler)
	case CutRequest:
		if len(body) > 0 {
			if resp, err := p.send(p.quit, r, &reader{rest: body[:len(body)/2], end: errCut}, len(body)); err == nil {
				resp.Body.Close() // refused before it was cut
			}
		}
		panic(http.ErrAbortHandler)
	}
	// Once it is whole here it is the network's: the client may leave, it lands.
	resp, err := p.send(p.quit, r, &reader{rest: body, end: io.EOF}, len(body))
	if err != nil {
		panic(http.ErrAbortHandler) // the store is gone: so is the connection to it
	}
	defer resp.Body.Close()
	switch f {
	case LoseAnswer:
		_, _ = io.Copy(io.Discard, resp.Body)
		panic(http.ErrAbortHandler)
	case DelayAnswer:
		select {
		case <-time.After(p.delay):
		case <-p.quit.Done():
			panic(http.ErrAbortHandler)
		}
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
}

// later sends the request once the delay is over.
func (p *Proxy) later(r *http.Request, body []byte) {
	p.late.Go(func() {
		select {
		case <-time.After(p.delay):
		case <-p.quit.Done():
			return
		}
		resp, err := p.send(p.quit, r, &reader{rest: body, end: io.EOF}, len(body))
		if err != nil {
			return // nobody waits for it
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
	})
}

// send carries a request out at the store. The signature covers the Host header,
// so it stays as the client wrote it.
func (p *Proxy) send(ctx context.Context, r *http.Request, body *reader, size int) (*http.Response, error) {
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host = "http", p.upstream
	out.RequestURI = ""
	out.Body, out.ContentLength = http.NoBody, 0
	if size > 0 {
		out.Body, out.ContentLength = io.NopCloser(body), int64(size)
	}
	return p.transport.RoundTrip(out)
}

// reader reads bytes once. Unlike bytes.Reader it gives the transport no way to
// send a request again by itself.
type reader struct {
	rest []byte
	end  error // io.EOF, or why there is no more
}

var errCut = errors.New("cut in the middle of the body")

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, r.end
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// refuse answers in the store's stead. Only 503 says when to come back.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

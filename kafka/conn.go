package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// conn is one client. Two goroutines serve it: one reads and starts what may
// start early, the other gives each request its turn and writes its answer.
//
//	socket ─► read ─► decode ─► start (Produce) ─► queue ─► turn: serve or wait ─► write ─► socket
type conn struct {
	s      *Server
	nc     net.Conn
	remote string // the client's address, without its port
	peer   string // with it
	// listener is the name of the one that the client came by.
	listener string
	// queue holds the requests that were read, in their order. read closes it.
	queue chan *pending
	// late counts requests in the queue or at their turn that are neither started nor
	// served. While there are any, nothing may start early (K2).
	late atomic.Int32
	// parked counts those of them that may wait for long.
	parked atomic.Int32
	// freed receives a value when late has become 0. Its capacity is 1.
	freed chan struct{}
	// open counts requests that were read and not answered.
	open atomic.Int32
	out  []byte // the turn's buffer for answers
}

// pending is a request on its way to its turn.
type pending struct {
	*call
	wait    func(context.Context) answer // of a request that was started
	late    bool
	charged func()
	read    time.Time
}

// serveConn serves a connection until the client leaves, a fault ends it, or hard
// is cancelled. When drain is cancelled it reads no more, answers what it has, and
// ends. It closes nc.
func (s *Server) serveConn(hard, drain context.Context, nc net.Conn, listener string) {
	work, stop := context.WithCancel(hard)
	unclose := context.AfterFunc(work, func() { nc.Close() })
	defer func() {
		stop()
		unclose()
		nc.Close()
	}()
	// waits ends when nobody waits for an answer any more, or should not.
	waits, hush := context.WithCancel(work)
	defer hush()
	undrain := context.AfterFunc(drain, func() {
		hush()
		nc.SetReadDeadline(time.Unix(1, 0))
	})
	defer undrain()

	c := &conn{s: s, nc: nc, remote: hostOf(nc.RemoteAddr()), peer: peerOf(nc.RemoteAddr()), listener: listener, queue: make(chan *pending, s.limits.Pipelined), freed: make(chan struct{}, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer hush()
		defer close(c.queue)
		defer c.caught(stop)
		if err := c.read(work, drain); err != nil {
			c.complain(err)
		}
	}()
	c.turns(work, waits, stop)
	stop()
	nc.Close() // ends read
	for p := range c.queue {
		p.done()
	}
	<-ended
}

// caught ends the connection, and nothing else, when it panicked (K4).
func (c *conn) caught(stop func()) {
	if r := recover(); r != nil {
		c.s.log.Error("a request made the broker panic; its connection is closed", "client", c.remote, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		stop()
	}
}

// complain writes the one log line of a connection that ends by a fault.
func (c *conn) complain(err error) {
	client := c.remote
	var f *fault
	switch {
	case errors.As(err, &f):
		c.s.observer.Malformed(f.api)
		c.s.log.Warn("connection closed: bad request", "client", client, "id", f.client, "api", f.api, "version", f.version, "err", f.err)
	default:
		c.s.log.Debug("connection closed", "client", client, "err", err)
	}
}

// fault is a fault of the client.
type fault struct {
	api     string
	version int16
	client  string
	err     error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// read reads requests until the client leaves (nil), a fault, or the end.
func (c *conn) read(work, drain context.Context) (err error) {
	var p *pending
	defer func() {
		if p != nil { // a panic while it was read or started
			p.done()
		}
	}()
	for {
		p, err = c.next(work, drain)
		if p == nil || err != nil {
			return err
		}
		c.open.Add(1)
		if p.api.start != nil && c.early(work) {
			p.wait = p.api.start(work, &c.s.node, p.call)
		} else {
			if p.api.waits {
				c.parked.Add(1)
			}
			p.late = true
			c.late.Add(1)
		}
		select {
		case c.queue <- p:
			p = nil
		case <-work.Done():
			return nil
		}
	}
}

// early waits until a request may start before its turn (K2), and reports whether it may.
// Requests that went to their turns one by one would each wait for the answer of the one
// before, and those that are read meanwhile would again: a client that always has some under
// way would never be out of it. It does not wait for what waits itself: whether the client
// leaves, which ends that, is heard by reading on.
func (c *conn) early(work context.Context) bool {
	for c.late.Load() > 0 {
		if c.parked.Load() > 0 {
			return false
		}
		select {
		case <-c.freed:
		case <-work.Done():
			return false
		}
	}
	return true
}

// passed notes that a request is started or served. It is called before the answer is
// written, which may be what the client waits for with its next request.
func (c *conn) passed(p *pending) {
	if !p.late {
		return
	}
	p.late = false
	if p.api.waits {
		c.parked.Add(-1)
	}
	if c.late.Add(-1) == 0 {
		select {
		case c.freed <- struct{}{}:
		default:
		}
	}
}

// next reads one request; nil when the client left or the server drains.
//
//	4  size of the frame        1. these eight bytes say which limit holds,
//	2  API key                  2. the budget is charged,
//	2  API version              3. only then is memory taken, and the rest read
//	…                              straight into it
func (c *conn) next(work, drain context.Context) (*pending, error) {
	var head [8]byte
	if err := c.readHead(head[:], drain); err != nil {
		if errors.Is(err, io.EOF) || drain.Err() != nil {
			return nil, nil
		}
		if f := (*fault)(nil); errors.As(err, &f) {
			return nil, err
		}
		return nil, fmt.Errorf("read: %w", err)
	}
	size := int64(int32(binary.BigEndian.Uint32(head[:])))
	key, version := int16(binary.BigEndian.Uint16(head[4:])), int16(binary.BigEndian.Uint16(head[6:]))
	a := c.s.node.table[key]
	if a == nil {
		return nil, &fault{fmt.Sprintf("key %d", key), version, "", fmt.Errorf("%w: no such API%s", ErrMalformed, foreign(head))}
	}
	bad := func(client string, err error) error { return &fault{a.name, version, client, err} }
	limit, charge := int64(c.s.limits.Frame), 8*size
	if a.key == keyProduce {
		limit, charge = int64(c.s.limits.ProduceFrame), size
	}
	switch {
	case size < 10 || size > limit:
		return nil, bad("", fmt.Errorf("%w: frame of %d bytes, 10 to %d are allowed%s", ErrMalformed, size, limit, foreign(head)))
	case !a.serves(version) && a.key != keyApiVersions:
		// Kafka closes too (kafka.md 3).
		return nil, bad("", fmt.Errorf("%w: version %d of %s, served are %d to %d", ErrMalformed, version, a.name, a.min, a.max))
	}
	refund, err := c.s.lane(key, size).charge(work, charge)
	if err != nil {
		return nil, nil // the connection ends
	}
	p := &pending{call: &call{api: a, bytes: int(size), remote: c.remote, peer: c.peer, listener: c.listener}, charged: refund}
	whole := false
	defer func() {
		if !whole {
			p.done()
		}
	}()
	frame, err := c.readFrame(p, head[4:], drain)
	if err != nil {
		if drain.Err() != nil {
			return nil, nil
		}
		return nil, fmt.Errorf("read body: %w", err)
	}
	p.read = time.Now()
	if err := p.decode(frame); err != nil {
		return nil, bad(p.client, err)
	}
	whole = true
	return p, nil
}

// readHead waits for the next request. A client that waits for an answer is not idle.
func (c *conn) readHead(head []byte, drain context.Context) error {
	n := 0
	for {
		c.nc.SetReadDeadline(time.Now().Add(c.s.limits.Idle))
		if err := drain.Err(); err != nil { // after the deadline is set, which drain overrides
			return err
		}
		m, err := io.ReadAtLeast(c.nc, head[n:], max(4-n, 1))
		n += m
		switch {
		case n == len(head):
			return nil
		case n >= 4 && !c.s.limits.sensible(int32(binary.BigEndian.Uint32(head))):
			return &fault{"no request", 0, "", fmt.Errorf("%w: frame of %d bytes, 10 to %d are allowed%s", ErrMalformed, int32(binary.BigEndian.Uint32(head)), c.s.limits.most(), foreign([8]byte(head)))}
		case err == nil:
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && n == 0 && c.open.Load() > 0 && drain.Err() == nil {
			continue
		}
		return err
	}
}

// sensible is whether any request may follow a size: one that has room for key and
// version, and is not too large for all.
func (l Limits) sensible(size int32) bool {
	return size >= 4 && int64(size) <= l.most()
}

// most is the size of the largest frame of any API.
func (l Limits) most() int64 { return int64(max(l.Frame, l.ProduceFrame)) }

// readFrame reads the rest of the frame that begins with begin.
func (c *conn) readFrame(p *pending, begin []byte, drain context.Context) ([]byte, error) {
	var frame []byte
	if p.api.key == keyProduce {
		p.frame = c.s.pool.get(p.bytes)
		frame = p.frame.bytes
	} else {
		frame = make([]byte, p.bytes)
	}
	n := copy(frame, begin)
	c.nc.SetReadDeadline(time.Now().Add(c.s.limits.Body))
	if err := drain.Err(); err != nil {
		return nil, err
	}
	_, err := io.ReadFull(c.nc, frame[n:])
	return frame, err
}

// foreign explains a first frame that is no frame.
func foreign(head [8]byte) string {
	switch {
	case string(head[:4]) == "GET " || string(head[:4]) == "POST" || string(head[:4]) == "HEAD":
		return " (this looks like HTTP)"
	case head[0] == 0x16 && head[1] == 3:
		return " (this looks like TLS; this listener is plaintext)"
	}
	return ""
}

// lane is which budget a frame is charged to.
func (s *Server) lane(key int16, size int64) *lane {
	switch {
	case size > smallFrame:
		return &s.lanes[2]
	case key == keyProduce:
		return &s.lanes[1]
	}
	return &s.lanes[0]
}

// charge takes n bytes from a budget, and waits for them. It returns how to give
// them back, once.
func (l *lane) charge(ctx context.Context, n int64) (func(), error) {
	n = min(n, l.size)
	if err := l.budget.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { l.budget.Release(n) }), nil
}

// decode makes a request of a frame.
func (c *call) decode(frame []byte) error {
	known := c.api.serves(int16(binary.BigEndian.Uint16(frame[2:])))
	h, body, err := parseHeader(frame, known && c.api.flexible(int16(binary.BigEndian.Uint16(frame[2:]))))
	c.header = h
	if err != nil || !known {
		return err // of an ApiVersions that we do not know, the header is enough
	}
	if err := c.api.shape.check(body, h.version); err != nil {
		return err
	}
	c.request = kmsg.RequestForKey(h.key)
	c.request.SetVersion(h.version)
	if c.api.key == keyProduce || c.api.key == keyFetch {
		// Their strings are used until they are answered, and not kept: no copies.
		err = c.request.(interface{ UnsafeReadFrom([]byte) error }).UnsafeReadFrom(body)
	} else {
		err = c.request.ReadFrom(body)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// done gives back what a request holds.
func (p *pending) done() {
	if p.frame != nil {
		p.frame.Release()
		p.frame = nil
	}
	p.charged()
}

// turns gives every request its turn, until there are no more or one ends the
// connection.
func (c *conn) turns(work, waits context.Context, stop func()) {
	defer c.caught(stop)
	for p := range c.queue {
		if !c.turn(work, waits, p) {
			return
		}
	}
}

// serveInTime serves a request within the time that it names itself, or
// Limits.Answer: when the bucket is gone, requests whose clients have long left must
// not pile up. What it asked for may still happen.
func (c *conn) serveInTime(ctx context.Context, q *call) answer {
	limit := c.s.limits.Answer
	if t, ok := q.request.(kmsg.TimeoutRequest); ok {
		if ms := t.Timeout(); ms > 0 {
			limit = min(limit, time.Duration(ms)*time.Millisecond)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return q.api.serve(ctx, &c.s.node, q)
}

// turn answers one request; false when the connection is to be closed.
func (c *conn) turn(work, waits context.Context, p *pending) bool {
	defer p.done()
	var a answer
	switch {
	case p.wait != nil:
		a = p.wait(work)
	case p.api.start != nil:
		wait := p.api.start(work, &c.s.node, p.call)
		c.passed(p)
		a = wait(work)
	case p.api.waits:
		// It may wait for minutes: what it holds meanwhile is bounded by the number of
		// connections, and must not keep others from being read.
		p.charged()
		a = p.api.serve(waits, &c.s.node, p.call)
	default:
		a = c.serveInTime(work, p.call)
	}
	c.passed(p)
	n, err := c.write(p.call, a)
	c.open.Add(-1)
	switch {
	case err != nil:
		c.s.log.Debug("connection closed", "client", p.remote, "err", fmt.Errorf("write: %w", err))
		return false
	case a.close != nil:
		c.s.log.Warn("connection closed", "client", p.remote, "id", p.client, "api", p.api.name, "version", p.version, "err", a.close)
		return false
	}
	c.s.observer.Answered(p.api.name, p.version, p.bytes+4, n, time.Since(p.read))
	return true
}

package bubble

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how much a connection takes before its other end has read it.
const window = 1 << 20

// end is one end of a connection.
type end struct {
	p             *Process
	local, remote net.Addr
	in, out       *stream
	read, write   *deadline
	once          sync.Once
	closed        chan struct{}
}

// dialledFrom is the first port of those who dial.
const dialledFrom = 40000

// connect makes a connection between two processes; nil when one was killed.
func connect(from, to *Process, at net.Addr) (mine, theirs *end) {
	n := from.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if from.state == killed || to.state == killed {
		return nil, nil
	}
	n.dialled = max(n.dialled+1, dialledFrom)
	local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from.host), n.dialled))
	there, back := newStream(from, to), newStream(to, from)
	mine = newEnd(from, local, at, back, there)
	theirs = newEnd(to, at, local, there, back)
	from.open[mine], to.open[theirs] = true, true
	return mine, theirs
}

func newEnd(p *Process, local, remote net.Addr, in, out *stream) *end {
	return &end{p: p, local: local, remote: remote, in: in, out: out, read: newDeadline(), write: newDeadline(), closed: make(chan struct{})}
}

func (e *end) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: e.local, Addr: e.remote, Err: err}
}

// Read implements net.Conn.
func (e *end) Read(b []byte) (int, error) {
	for {
		late := e.read.over()
		if e.read.passed() {
			return 0, e.fail("read", os.ErrDeadlineExceeded)
		}
		select {
		case <-e.closed:
			return 0, e.fail("read", net.ErrClosed)
		default:
		}
		n, wait, wake, err := e.in.take(b)
		if n > 0 || err == io.EOF {
			return n, err
		}
		if err != nil {
			return 0, e.fail("read", err)
		}
		e.wait(late, wait, wake)
	}
}

// wait returns when something may have changed.
func (e *end) wait(late <-chan struct{}, after time.Duration, wake [2]<-chan struct{}) {
	var arrives <-chan time.Time
	if after > 0 {
		t := time.NewTimer(after)
		defer t.Stop()
		arrives = t.C
	}
	select {
	case <-arrives:
	case <-wake[0]:
	case <-wake[1]:
	case <-late:
	case <-e.closed:
	}
}

// Write implements net.Conn.
func (e *end) Write(b []byte) (int, error) {
	done := 0
	for {
		late := e.write.over()
		if e.write.passed() {
			return done, e.fail("write", os.ErrDeadlineExceeded)
		}
		select {
		case <-e.closed:
			return done, e.fail("write", net.ErrClosed)
		default:
		}
		n, wake, err := e.out.put(b[done:])
		if done += n; err != nil {
			return done, e.fail("write", err)
		}
		if done == len(b) {
			return done, nil
		}
		e.wait(late, 0, wake)
	}
}

// Close implements net.Conn: the other end reads what was written, then EOF.
func (e *end) Close() error {
	e.end(io.EOF)
	return nil
}

// abort is Close by the kernel of a process that is gone.
func (e *end) abort() { e.end(syscall.ECONNRESET) }

func (e *end) end(why error) {
	e.p.forget(e)
	e.once.Do(func() {
		close(e.closed)
		e.out.finish(why)
		e.in.leave()
	})
}

// LocalAddr implements net.Conn.
func (e *end) LocalAddr() net.Addr { return e.local }

// RemoteAddr implements net.Conn.
func (e *end) RemoteAddr() net.Addr { return e.remote }

// SetDeadline implements net.Conn.
func (e *end) SetDeadline(t time.Time) error {
	e.read.set(t)
	e.write.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (e *end) SetReadDeadline(t time.Time) error { e.read.set(t); return nil }

// SetWriteDeadline implements net.Conn.
func (e *end) SetWriteDeadline(t time.Time) error { e.write.set(t); return nil }

// stream is one direction of a connection.
type stream struct {
	from, to *Process

	mu     sync.Mutex
	chunks []chunk
	size   int
	fin    error         // what follows the chunks, when the writer has ended
	finAt  time.Time     // when it arrives
	gone   bool          // the reader has ended
	goneAt time.Time     // when the writer hears of it
	turn   chan struct{} // closed when one of these changes
}

// chunk is some bytes on their way.
type chunk struct {
	b  []byte
	at time.Time // when they arrive
}

func newStream(from, to *Process) *stream {
	return &stream{from: from, to: to, turn: make(chan struct{})}
}

// turned tells who waits that something has changed. mu is held.
func (s *stream) turned() {
	close(s.turn)
	s.turn = make(chan struct{})
}

// take reads what has arrived, or says what to wait for.
func (s *stream) take(b []byte) (n int, wait time.Duration, wake [2]<-chan struct{}, err error) {
	l := s.from.net.look(s.from, s.to)
	s.mu.Lock()
	defer s.mu.Unlock()
	wake = [2]<-chan struct{}{s.turn, l.changed}
	switch {
	case l.to == killed:
		return 0, 0, wake, syscall.ECONNRESET
	case l.to == paused || !l.there:
	case len(s.chunks) > 0:
		if wait = time.Until(s.chunks[0].at); wait > 0 {
			return 0, wait, wake, nil
		}
		for n < len(b) && len(s.chunks) > 0 && !time.Now().Before(s.chunks[0].at) {
			c := &s.chunks[0]
			k := copy(b[n:], c.b)
			n += k
			if c.b = c.b[k:]; len(c.b) == 0 {
				s.chunks = s.chunks[1:]
			}
		}
		s.size -= n
		s.turned()
	case s.fin != nil:
		if wait = time.Until(s.finAt); wait <= 0 {
			err = s.fin
		}
	}
	return n, wait, wake, err
}

// put sends as much as there is room for, or says what to wait for.
func (s *stream) put(b []byte) (n int, wake [2]<-chan struct{}, err error) {
	l := s.from.net.look(s.from, s.to)
	s.mu.Lock()
	defer s.mu.Unlock()
	wake = [2]<-chan struct{}{s.turn, l.changed}
	switch {
	case l.from == killed || s.gone && l.back && !time.Now().Before(s.goneAt):
		return 0, wake, syscall.EPIPE
	case l.from == paused:
		return 0, wake, nil
	case s.gone: // nobody has told the writer yet
		return len(b), wake, nil
	}
	if n = min(len(b), window-s.size); n > 0 {
		s.chunks = append(s.chunks, chunk{append([]byte(nil), b[:n]...), time.Now().Add(s.from.net.latency)})
		s.size += n
		s.turned()
		wake[0] = s.turn
	}
	return n, wake, nil
}

// finish is the writer's end: the reader gets what is under way, then why.
func (s *stream) finish(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fin == nil {
		s.fin, s.finAt = why, time.Now().Add(s.from.net.latency)
		s.turned()
	}
}

// leave is the reader's end: the writer writes in vain.
func (s *stream) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone, s.goneAt = true, time.Now().Add(s.from.net.latency)
	s.turned()
}

// deadline is a moment that can be moved.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	done  chan struct{} // closed when it has passed or was moved
}

func newDeadline() *deadline { return &deadline{done: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	close(d.done)
	done := make(chan struct{})
	d.done = done
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.done == done {
				close(d.done)
				d.done = make(chan struct{})
			}
		})
	}
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

func (d *deadline) over() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}

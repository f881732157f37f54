package kafka

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

// Limits bound what clients can take. Zero fields get the default.
type Limits struct {
	// ProduceFrame is the largest Produce frame, socket.request.max.bytes. Default
	// 100 MiB, as in Kafka: franz-go fills requests up to that by default, one batch
	// per partition.
	ProduceFrame int
	// Frame is the largest frame of every other API. Default 8 MiB: the assignment
	// of a large Streams application has some.
	Frame int
	// InFlight bounds the bytes of large requests that are being read, decoded or
	// answered; requests other than Produce count eightfold, which is what decoding
	// makes of them. Small ones have three eighths of it besides. Default a quarter of
	// the memory limit (GOMEMLIMIT), or 256 MiB without one; at least ProduceFrame.
	InFlight int64
	// Answers bounds the bytes of records in answers to Fetch that clients have not taken
	// yet, but for one batch or 64 KiB each: answers get smaller as it is used up. Default
	// as InFlight.
	Answers int64
	// Connections and ConnectionsPerIP bound open connections. Default 10,000 and
	// 1,000.
	Connections, ConnectionsPerIP int
	// ConnectionRate bounds new connections per second, max.connection.creation.rate.
	// Default no bound, as in Kafka: when a broker dies its thousands of clients come
	// to the others at once, and each must not wait for those before it.
	ConnectionRate float64
	// Pipelined bounds the requests of a connection that are read ahead. Default 8.
	Pipelined int
	// Idle is connections.max.idle.ms. Default 10 min.
	Idle time.Duration
	// Body is how long the body of a frame may take, and Stall how long the client
	// may take none of an answer. Default 30 s each.
	Body, Stall time.Duration
	// Answer is how long a request may be served that names no shorter time itself
	// and is not a Produce, a Fetch or one that waits for its group. Default 60 s.
	Answer time.Duration
	// Drain is how long requests that have begun may take at the end. Default 10 s.
	Drain time.Duration
}

func (l Limits) defaults() Limits {
	set := func(n *int, d int) {
		if *n <= 0 {
			*n = d
		}
	}
	wait := func(n *time.Duration, d time.Duration) {
		if *n <= 0 {
			*n = d
		}
	}
	set(&l.ProduceFrame, 100<<20)
	set(&l.Frame, 8<<20)
	set(&l.Connections, 10_000)
	set(&l.ConnectionsPerIP, 1_000)
	set(&l.Pipelined, 8)
	wait(&l.Idle, 10*time.Minute)
	wait(&l.Body, 30*time.Second)
	wait(&l.Stall, 30*time.Second)
	wait(&l.Answer, time.Minute)
	wait(&l.Drain, 10*time.Second)
	if l.ConnectionRate <= 0 {
		l.ConnectionRate = float64(rate.Inf)
	}
	share := int64(256 << 20)
	if m := debug.SetMemoryLimit(-1); m != math.MaxInt64 {
		share = m / 4
	}
	for _, n := range []*int64{&l.InFlight, &l.Answers} {
		if *n <= 0 {
			*n = share
		}
	}
	l.InFlight = max(l.InFlight, int64(l.ProduceFrame))
	return l
}

// Observer is told what happens, for metrics. Its methods are called from many
// goroutines and must not block.
type Observer interface {
	// Connected reports a connection that was opened (+1) or closed (-1).
	Connected(delta int)
	// Refused reports a connection that was closed at once, and why, in a word.
	Refused(why string)
	// Answered reports one request: its API and version, the bytes of request and
	// answer, and how long it took from its last byte read to its answer written.
	Answered(api string, version int16, in, out int, took time.Duration)
	// Malformed reports a connection that was closed because of what it sent.
	Malformed(api string)
}

// Unobserved is an Observer that ignores everything.
type Unobserved struct{}

// Connected does nothing.
func (Unobserved) Connected(int) {}

// Refused does nothing.
func (Unobserved) Refused(string) {}

// Answered does nothing.
func (Unobserved) Answered(string, int16, int, int, time.Duration) {}

// Malformed does nothing.
func (Unobserved) Malformed(string) {}

// Options are a Server's parts. Backend must be set.
type Options struct {
	Backend Backend
	// Wall is the time by the calendar: of LogAppendTime, and what clients' timestamps
	// are held against. It must not block. Default time.Now.
	Wall func() time.Time
	// Place is what tools are shown as the log directory: where the bucket is,
	// without secrets. Default "bucket".
	Place    string
	Limits   Limits
	Pool     *Pool        // nil: one of its own
	Observer Observer     // nil: nobody looks
	Logger   *slog.Logger // nil: discarded
}

// Server serves Kafka clients.
type Server struct {
	node     node
	limits   Limits
	pool     *Pool
	observer Observer
	log      *slog.Logger
	pace     *rate.Limiter // of new connections
	open     census

	// Frames have budgets of their own by what they are, so that neither somebody who
	// holds back the ends of large frames, nor a bucket that takes no more records,
	// stops heartbeats and fetches: small frames of other APIs, small ones of Produce,
	// large ones.
	lanes [3]lane
}

// lane is a budget for bytes in flight.
type lane struct {
	budget *semaphore.Weighted
	size   int64
}

func newLane(size int64) lane { return lane{semaphore.NewWeighted(size), size} }

// smallFrame is the largest frame that counts as small.
const smallFrame = 64 << 10

// New returns a server of a backend.
func New(o Options) *Server {
	s := &Server{
		node:   node{Backend: o.Backend, table: newTable(), place: o.Place, wall: o.Wall, sends: &sends{}},
		limits: o.Limits.defaults(), pool: o.Pool, observer: o.Observer, log: o.Logger,
	}
	if s.node.place == "" {
		s.node.place = "bucket"
	}
	if s.node.wall == nil {
		s.node.wall = time.Now
	}
	if s.pool == nil {
		s.pool = NewPool()
	}
	if s.observer == nil {
		s.observer = Unobserved{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.pace = rate.NewLimiter(rate.Limit(s.limits.ConnectionRate), int(min(s.limits.ConnectionRate, math.MaxInt32))+1)
	s.open.perIP = map[string]int{}
	s.node.log, s.node.complaints = s.log, rate.NewLimiter(rate.Every(time.Second), 5)
	s.node.stock = &stock{size: s.limits.Answers}
	s.lanes = [3]lane{
		newLane(max(s.limits.InFlight/8, 8*smallFrame)),
		newLane(max(s.limits.InFlight/4, 8*smallFrame)),
		newLane(s.limits.InFlight),
	}
	return s
}

// Serve accepts connections until ctx ends, then drains: nothing more is read,
// requests that were read are answered, long polls end at once. It closes ln and
// returns when every connection is closed: nil after ctx, or why ln failed. It may
// be called for several listeners at once; they share the limits. Clients are told
// the addresses that brokers have for the listener's name.
func (s *Server) Serve(ctx context.Context, ln net.Listener, listener string) error {
	drain, beginDrain := context.WithCancel(ctx)
	hard, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	unclose := context.AfterFunc(ctx, func() { ln.Close() })
	defer unclose()

	var conns sync.WaitGroup
	err := s.accept(ctx, ln, func(nc net.Conn) {
		conns.Go(func() {
			s.observer.Connected(1)
			defer s.observer.Connected(-1)
			s.serveConn(hard, drain, nc, listener)
		})
	})
	ln.Close()
	beginDrain()
	late := time.AfterFunc(s.limits.Drain, stop)
	defer late.Stop()
	conns.Wait()
	return err
}

// accept hands every connection within the limits to serve, which takes it over.
func (s *Server) accept(ctx context.Context, ln net.Listener, serve func(net.Conn)) error {
	complaints := rate.NewLimiter(rate.Every(10*time.Second), 1)
	for {
		if s.pace.Wait(ctx) != nil {
			return nil
		}
		nc, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			var ne net.Error
			if !errors.Is(err, net.ErrClosed) && errors.As(err, &ne) {
				// Out of file descriptors, or the client was gone already: both pass. The
				// pause below keeps this from spinning.
				if complaints.Allow() {
					s.log.Warn("cannot accept connections", "err", err)
				}
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
				}
				continue
			}
			return err
		}
		ip := hostOf(nc.RemoteAddr())
		if why := s.open.admit(ip, s.limits); why != "" {
			nc.Close()
			s.observer.Refused(why)
			if complaints.Allow() {
				s.log.Warn("connection refused", "why", why, "client", ip)
			}
			continue
		}
		serve(&counted{Conn: nc, leave: func() { s.open.leave(ip) }})
	}
}

// census counts open connections.
type census struct {
	mu    sync.Mutex
	total int
	perIP map[string]int
}

// admit counts a connection in and returns "", or says in a word why not.
func (c *census) admit(ip string, l Limits) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.total >= l.Connections:
		return "max_connections"
	case c.perIP[ip] >= l.ConnectionsPerIP:
		return "max_connections_per_ip"
	}
	c.total++
	c.perIP[ip]++
	return ""
}

func (c *census) leave(ip string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.perIP[ip]--; c.perIP[ip] == 0 {
		delete(c.perIP, ip)
	}
}

// counted is a connection that leaves the census when it is closed.
type counted struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close closes the connection.
func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}

func hostOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return ap.Addr().Unmap().String()
	}
	return a.String()
}

func peerOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

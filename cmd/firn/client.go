package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/kafka/reach"
)

// client is a Kafka client that knows why it does not get through.
type client struct {
	*kgo.Client
	g     *globals
	dials *dials
	stop  context.CancelCauseFunc
}

// Close ends the client and its context.
func (c *client) Close() {
	c.Client.Close()
	c.stop(nil)
}

// connect returns a client of the brokers, and a context that ends when none of
// them can be reached. Nothing is sent yet.
func (g *globals) connect(ctx context.Context, opts ...kgo.Opt) (context.Context, *client, error) {
	seeds, err := g.seeds()
	if err != nil {
		return nil, nil, err
	}
	if len(seeds) > 1 { // who begins at one that is stopped waits for all of --timeout
		if awake := reach.Awake(ctx, seeds, g.timeout/3); len(awake) > 0 {
			seeds = awake
		}
	}
	ctx, stop := context.WithCancelCause(ctx)
	r := &dials{seeds: len(seeds), from: g.from, stop: stop, dead: map[string]error{}}
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.ClientID(g.clientID),
		kgo.DialTimeout(min(3*time.Second, g.timeout)),
		kgo.RetryTimeout(g.timeout),
		kgo.WithHooks(r),
	}, opts...)...)
	if err != nil {
		stop(nil)
		return nil, nil, usage("--brokers %s: %w", g.brokers, err)
	}
	return ctx, &client{cl, g, r, stop}, nil
}

// seeds are the addresses of --brokers.
func (g *globals) seeds() ([]string, error) {
	var seeds []string
	for s := range strings.SplitSeq(g.brokers, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(s); err != nil && !strings.Contains(s, ":") {
			s = net.JoinHostPort(s, "9092") // as any client takes it
		}
		seeds = append(seeds, s)
	}
	if len(seeds) == 0 {
		return nil, usage("--brokers is empty: want HOST:PORT,…")
	}
	return seeds, nil
}

// admin runs fn with an admin client, in the time of --timeout.
func (g *globals) admin(ctx context.Context, fn func(ctx context.Context, adm *kadm.Client) error) error {
	return g.patient(ctx, func(ctx context.Context, adm *kadm.Client) error {
		ctx, cancel := context.WithTimeout(ctx, g.timeout)
		defer cancel()
		return fn(ctx, adm)
	})
}

// patient runs fn with an admin client for as long as it takes. What fn asks, it asks in
// the time of --timeout.
func (g *globals) patient(ctx context.Context, fn func(ctx context.Context, adm *kadm.Client) error) error {
	ctx, cl, err := g.connect(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl.Client)
	adm.SetTimeoutMillis(int32(min(g.timeout.Milliseconds(), 1<<31-1)))
	return cl.explain(fn(ctx, adm))
}

// dials watches connections being made. A client retries for as long as it may;
// somebody at a terminal wants to know at once that nobody listens.
type dials struct {
	seeds int
	from  string // where the seeds come from
	stop  context.CancelCauseFunc

	mu      sync.Mutex
	arrived bool             // at any broker
	inside  bool             // at a broker by its advertised address
	dead    map[string]error // seeds that were tried in vain
	outside error            // the first dial of an advertised address that failed
	why     error
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (r *dials) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seed := meta.NodeID < 0
	addr := net.JoinHostPort(meta.Host, fmt.Sprint(meta.Port))
	switch {
	case err == nil:
		r.arrived = true
		r.inside = r.inside || !seed
		return
	case errors.Is(err, context.Canceled):
		return
	case seed:
		r.dead[addr] = err
		if r.arrived || len(r.dead) < r.seeds {
			return
		}
		r.why = fmt.Errorf("cannot reach %s%s: is a broker running? Start one with `firn dev`, or name another with --brokers (%w)", addr, r.from, err)
	default:
		again := r.outside != nil
		// The advertised-address trap, the most common fault of a first run.
		r.outside = fmt.Errorf("the broker answers, but says that it is to be reached at %s, which fails: set its advertised.listeners to an address that works from here; firn doctor connect tries every address (%w)", addr, err)
		if r.inside || !again {
			return // one of several brokers may just have died
		}
		r.why = r.outside
	}
	r.stop(r.why)
}

// fault is why nobody can be reached, or nil.
func (r *dials) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why
}

// trap is the fault of an advertised address, when no such address ever worked.
func (r *dials) trap() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside {
		return nil
	}
	return r.outside
}

// explain says what to do about an error.
func (c *client) explain(err error) error {
	if err == nil {
		return nil
	}
	if why := c.dials.fault(); why != nil {
		return why
	}
	var dial *net.OpError
	if trap := c.dials.trap(); trap != nil && errors.As(err, &dial) {
		return trap
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %v; --timeout gives it more time (%w)", c.g.brokers, c.g.timeout, err)
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("%w (`firn topic list` shows what there is)", err)
	}
	return err
}

// reason is Kafka's error with what the broker says about it, in place of what Kafka says
// about all errors of the kind.
func reason(err error, message string) error {
	if err == nil || message == "" {
		return err
	}
	var kind *kerr.Error
	if !errors.As(err, &kind) {
		return fmt.Errorf("%w: %s", err, message)
	}
	return &told{kind, message}
}

// told is one of Kafka's errors, in the words of a broker.
type told struct {
	kind    *kerr.Error
	message string
}

func (e *told) Error() string { return e.kind.Message + ": " + e.message }

func (e *told) Unwrap() error { return e.kind }

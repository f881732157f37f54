package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/firnlog/firn/localstack"
	"github.com/firnlog/firn/localstack/proc"
)

// Options say what runs.
type Options struct {
	Bin     string // the program, as proc.Build makes it; empty: it is built
	Store   string // URL of the bucket
	Brokers int
	Args    []string  // more arguments of all brokers
	Env     []string  // more of their environment
	Network *Network  // a namespace of it for each broker; nil: all on the loopback
	Log     io.Writer // takes what brokers log; may be nil
}

// Cluster is several brokers. Its methods are for one goroutine.
type Cluster struct {
	Brokers []*Broker
	scratch *localstack.Scratch
}

// Broker is one of them, life after life: it keeps its address and its disk.
type Broker struct {
	*proc.Broker // of its present life
	Addr         string

	o     Options
	data  string
	space *Space // or nil
}

// Start starts all brokers, and returns when they serve.
func Start(ctx context.Context, o Options) (c *Cluster, err error) {
	c = &Cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start a cluster: %w", err), c.Close())
		}
	}()
	if c.scratch, err = localstack.NewScratch(ctx); err != nil {
		return c, err
	}
	if o.Bin == "" {
		if o.Bin, err = c.build(ctx); err != nil {
			return c, err
		}
	}
	if o.Log != nil {
		o.Log = &together{w: o.Log}
	}
	for i := range o.Brokers {
		b := &Broker{o: o, data: filepath.Join(c.scratch.Path(), strconv.Itoa(i))}
		if b.Addr, err = localstack.Address("127.0.0.1"); err != nil {
			return c, err
		}
		if o.Network != nil {
			if b.space, err = o.Network.Add(); err != nil {
				return c, err
			}
			b.Addr = b.space.Host + ":0"
		}
		if err = b.Start(ctx); err != nil {
			return c, err
		}
		c.Brokers = append(c.Brokers, b)
	}
	return c, nil
}

// together lets several processes log to one writer.
type together struct {
	mu sync.Mutex
	w  io.Writer
}

func (t *together) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Write(p)
}

// Start begins a life, after Kill or Stop, and returns when the broker serves.
func (b *Broker) Start(ctx context.Context) error {
	host := "127.0.0.1"
	if b.space != nil {
		host = b.space.Host
	}
	bin, args := b.o.Bin, append([]string{
		"broker", "--store", b.o.Store, "--data-dir", b.data, "--listeners", b.Addr, "--http", host + ":0", "--gossip", host + ":0",
	}, b.o.Args...)
	if b.space != nil {
		bin, args = b.space.Command(bin, args...)
	}
	p, err := proc.StartEnv(ctx, b.o.Log, b.o.Env, bin, args...)
	if err != nil {
		return err
	}
	b.Broker, b.Addr = p, p.Kafka // the first life chose a port, the others keep it
	return nil
}

// Wipe empties the disk of a broker that does not run.
func (b *Broker) Wipe() error { return os.RemoveAll(b.data) }

// Pause stops the process as a debugger would, until Resume.
func (b *Broker) Pause() error { return b.Signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (b *Broker) Resume() error { return b.Signal(syscall.SIGCONT) }

// Cut cuts the broker's link. It fails with ErrNetwork without a Network.
func (b *Broker) Cut() error {
	if b.space == nil {
		return fmt.Errorf("%w: the brokers were started on the loopback", ErrNetwork)
	}
	return b.space.Cut()
}

// Mend takes it up again.
func (b *Broker) Mend() error {
	if b.space == nil {
		return ErrNetwork
	}
	return b.space.Mend()
}

// Addrs are the brokers' Kafka addresses.
func (c *Cluster) Addrs() []string {
	var out []string
	for _, b := range c.Brokers {
		out = append(out, b.Addr)
	}
	return out
}

// Close kills what runs and removes the brokers' disks. The bucket stays. When this
// process is killed instead, the brokers end with it, and the next to start a cluster or
// a store removes the disks.
func (c *Cluster) Close() error {
	for _, b := range c.Brokers {
		b.Kill()
	}
	if c.scratch == nil {
		return nil
	}
	return c.scratch.Close()
}

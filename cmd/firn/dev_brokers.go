package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
)

// mostDevBrokers is how many brokers one process runs: each has a hot tier.
const mostDevBrokers = 16

// siblings are the settings of all brokers, the first one's first: the others listen
// at the following ports and keep their hot tiers beside its.
func (d *dev) siblings(s *settingFlags, first *settings.Values) ([]*settings.Values, error) {
	switch {
	case d.brokers < 1 || d.brokers > mostDevBrokers:
		return nil, usage("--brokers %d: want 1 to %d", d.brokers, mostDevBrokers)
	case d.brokers == 1:
		return []*settings.Values{first}, nil
	case strings.HasPrefix(first.Get("store"), "mem:"):
		return nil, usage("--brokers %d needs a store that brokers can share: a folder, a bucket or --minio", d.brokers)
	}
	if _, set := first.Lookup("node.id"); set {
		return nil, usage("--brokers %d and --node-id exclude each other: each broker has an id of its own", d.brokers)
	}
	vs := []*settings.Values{first}
	for i := 1; i < d.brokers; i++ {
		over, under, err := d.sources(s)
		if err != nil {
			return nil, err
		}
		under["store"] = first.Get("store")
		over["data.dir"] = fmt.Sprintf("%s-%d", first.Get("data.dir"), i+1)
		for _, name := range []string{"listeners", "advertised.listeners", "http", "gossip"} {
			if over[name], err = d.nextPorts(vs[i-1].Get(name)); err != nil {
				return nil, usage("--brokers %d: %s: %v", d.brokers, name, err)
			}
			if over[name] == "" {
				delete(over, name)
			}
		}
		v, err := s.values(over, under)
		if err != nil {
			return nil, err
		}
		vs = append(vs, v)
	}
	return vs, nil
}

// nextPorts is a list of addresses, each at the port after its own, or with
// --any-port at the next free one. A port that is to be chosen stays so.
func (d *dev) nextPorts(list string) (string, error) {
	if list == "" {
		return "", nil
	}
	var next []string
	for addr := range strings.SplitSeq(list, ",") {
		name, at, named := strings.Cut(addr, "://")
		if !named {
			name, at = "", addr
		}
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			return "", err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return "", fmt.Errorf("port %q is not a number", port)
		}
		if n > 0 {
			if n++; n > 65535 {
				return "", fmt.Errorf("there is no port after %s", port)
			}
		}
		at = net.JoinHostPort(host, strconv.Itoa(n))
		if d.anyPort && n > 0 {
			at = freeFrom(at)
		}
		if named {
			at = name + "://" + at
		}
		next = append(next, at)
	}
	return strings.Join(next, ","), nil
}

// serveAll runs brokers until ctx ends or one of them fails, which ends all. They
// start one after the other, so that the first one alone examines the bucket; ready
// is called when all of them serve, and they serve on when it has returned.
func serveAll(ctx context.Context, vs []*settings.Values, log *slog.Logger, watch *flushed, ready func([]broker.Addresses)) error {
	if len(vs) == 1 {
		return serve(ctx, vs[0], log, watch, func(a broker.Addresses) { ready([]broker.Addresses{a}) })
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(vs))
	var at []broker.Addresses
	var wg sync.WaitGroup
	for i, v := range vs {
		serves, ended := make(chan broker.Addresses, 1), make(chan struct{})
		wg.Go(func() {
			defer close(ended)
			defer stop()
			if err := serve(ctx, v, log.With("broker", i+1), watch, func(a broker.Addresses) { serves <- a }); err != nil {
				errs[i] = fmt.Errorf("broker %d of %d: %w", i+1, len(vs), err)
			}
		})
		select {
		case a := <-serves:
			at = append(at, a)
			continue
		case <-ended:
		}
		break
	}
	if len(at) == len(vs) {
		ready(at)
	}
	wg.Wait()
	return errors.Join(errs...)
}

package faultproxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/firnlog/firn/localstack"
)

// Slow is a store that lies behind a proxy, as far away as its puts take.
type Slow struct {
	*Proxy
	store *localstack.Store
}

// StartSlow starts a store of that kind and a proxy at host before it, which answers puts
// so much later than the store does; with none it only hands on. Brokers need the
// environment that localstack.Env names.
func StartSlow(ctx context.Context, kind localstack.Kind, host string, puts time.Duration) (*Slow, error) {
	store, err := localstack.Start(ctx, kind, localstack.Options{})
	if err != nil {
		return nil, err
	}
	p, err := StartAt(host, store.Addr(), puts)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if puts > 0 {
		p.Decide(func(r *http.Request) Fault {
			if r.Method == http.MethodPut {
				return DelayAnswer
			}
			return Pass
		})
	}
	return &Slow{p, store}, nil
}

// URL is the store's, by way of the proxy.
func (s *Slow) URL() string { return strings.Replace(s.store.URL(), s.store.Addr(), s.Addr(), 1) }

// Close ends both.
func (s *Slow) Close() error { return errors.Join(s.Proxy.Close(), s.store.Close()) }

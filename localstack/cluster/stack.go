package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/localstack"
	"github.com/firnlog/firn/localstack/proc"
)

// Stack is a whole installation: a real store, its bucket, and brokers on it.
type Stack struct {
	*Cluster
	Store *localstack.Store
}

// Up starts a store, makes the bucket, and starts so many brokers on it: it returns when
// all serve. Options.Bin is built if it is empty, Options.Store is the store's. What runs
// ends with this process in whatever way that ends, and Close leaves nothing behind.
func Up(ctx context.Context, kind localstack.Kind, store localstack.Options, o Options) (*Stack, error) {
	s := &Stack{}
	err := s.up(ctx, kind, store, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a stack: %w", err), s.Close())
	}
	return s, nil
}

func (s *Stack) up(ctx context.Context, kind localstack.Kind, store localstack.Options, o Options) (err error) {
	if s.Store, err = localstack.Start(ctx, kind, store); err != nil {
		return err
	}
	o.Store, o.Env = s.Store.URL(), append(o.Env, localstack.Env()...)
	s.Cluster, err = Start(ctx, o)
	return err
}

// Close ends brokers and store, and removes what they wrote but for a folder that
// localstack.Options.Dir names.
func (s *Stack) Close() error {
	var errs []error
	if s.Cluster != nil {
		errs = append(errs, s.Cluster.Close())
	}
	if s.Store != nil {
		errs = append(errs, s.Store.Close())
	}
	return errors.Join(errs...)
}

// build makes the program in the cluster's folder.
func (c *Cluster) build(ctx context.Context) (string, error) {
	return proc.Build(ctx, c.scratch.Path())
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/open"
)

// storeUsage explains --store of a client command. What the environment says is no default
// of the flag: help would print it, with whatever secret is in it (H4).
const storeUsage = "the bucket's `URL` ($FIRN_STORE)"

// storeFlag adds --store to a command that reads a bucket.
func storeFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "store", "", storeUsage)
}

// withStore opens the bucket for as long as f runs. What f reads is asked for again when
// the store does not answer.
func withStore(ctx context.Context, url string, f func(cold.Store) error) error {
	s, err := openBucket(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = cold.Close(s) }() // nothing was written
	return f(cold.Patient(s, cold.Patience))
}

// openBucket opens the bucket for a command that expects a cluster in it: opening makes the
// folder of a file store, and nothing is to be made by a slip of the pen.
func openBucket(ctx context.Context, url string) (cold.Store, error) {
	if url == "" {
		return nil, usage("--store is not set: want the bucket's URL")
	}
	if at, err := open.Parse(url); err == nil && at.Path != "" {
		if _, err := os.Stat(at.Path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w (there is no folder %s)", errNoCluster, at.Path)
		}
	}
	s, _, err := broker.OpenStore(ctx, url)
	if err != nil {
		return nil, &exit{exitUsage, err}
	}
	return s, nil
}

var errNoCluster = errors.New("no cluster in this bucket: it has no journal; is it the right bucket and prefix?")

// readCatalog reads the newest catalog of a bucket.
func readCatalog(ctx context.Context, s cold.Store) (*catalog.State, error) {
	r := journal.NewReader(s)
	if err := r.Catchup(ctx, nil); err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	if r.State().Number() == 0 {
		return nil, errNoCluster
	}
	return r.State(), nil
}

// topicName is a topic's name, or its id when it is gone.
func topicName(s *catalog.State, id record.TopicID) string {
	if t, ok := s.Topic(id); ok {
		return t.Name
	}
	return id.String()
}

package broker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/tier/cold"
)

// A bucket that was rolled back under a data folder is refused by number, a wiped one
// by its cluster; with an empty folder either is taken for what it is.
func TestABucketThatWasRolledBackIsRefused(t *testing.T) {
	dir := t.TempDir()
	bucket, older, data := filepath.Join(dir, "bucket"), filepath.Join(dir, "older"), filepath.Join(dir, "data")
	life := func(data string) error {
		values, err := settings.New(settings.Source{Name: "test", Values: map[string]string{
			"store": "file://" + bucket, "data.dir": data, "listeners": "127.0.0.1:0", "http": "127.0.0.1:0", "gossip": "127.0.0.1:0",
			"offsets.topic.num.partitions": "1",
		}})
		if err != nil {
			t.Fatal(err)
		}
		store, place, err := OpenStore(t.Context(), values.Get("store"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := cold.Close(store); err != nil {
				t.Error(err)
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		return Run(ctx, Options{Settings: values, Store: store, Place: place}, func(Addresses) { cancel() })
	}
	if err := life(data); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(older, os.DirFS(bucket)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and it may be used as often as one likes
		if err := life(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(bucket); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(bucket, os.DirFS(older)); err != nil {
		t.Fatal(err)
	}
	if err := life(data); err == nil || !strings.Contains(err.Error(), "rolled back") || !strings.Contains(err.Error(), "ends at entry") {
		t.Errorf("rolled back: %v", err)
	}
	if err := life(filepath.Join(dir, "empty")); err != nil {
		t.Errorf("rolled back, with an empty folder: %v", err)
	}
	if err := os.RemoveAll(bucket); err != nil {
		t.Fatal(err)
	}
	if err := life(data); err == nil || !strings.Contains(err.Error(), "belongs to cluster") {
		t.Errorf("wiped: %v", err)
	}
}

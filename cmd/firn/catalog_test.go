package main

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/firnlog/firn/catalog"
)

// TestTheCatalogIsShownAndChecked goes from an empty bucket over one with a broker to
// one whose journal is damaged.
func TestTheCatalogIsShownAndChecked(t *testing.T) {
	c, store, _, stop := written(t)
	empty := "file://" + t.TempDir()
	for _, verb := range []string{"check", "dump"} {
		c.fails(exitError, "no cluster in this bucket", "catalog", verb, "--store", empty)
		c.fails(exitUsage, "--store is not set", "catalog", verb)
	}
	live := decoded[dumped](t, c.ok("catalog", "dump", "--store", store, "--json"))
	i := slices.IndexFunc(live.Topics, func(x dumpedTopic) bool { return x.Name == "t" })
	if i < 0 || len(live.Topics[i].Partitions) != 3 || len(live.Sessions) != 1 || live.Sessions[0].State != "live" || live.Sessions[0].Owns < 3 {
		t.Fatalf("%+v", live)
	}
	stop()
	after := decoded[dumped](t, c.ok("catalog", "dump", "--store", store, "--topic", "t", "--json"))
	if len(after.Topics) != 1 || after.Entry <= live.Entry || after.Cluster != live.Cluster || after.Sessions[0].State != "sealed" {
		t.Fatalf("%+v", after)
	}
	for n, p := range after.Topics[0].Partitions {
		if p.Described != 30 || p.LogStart != 0 || p.Extents == 0 || p.Owner != after.Sessions[0].ID {
			t.Errorf("partition %d: %+v", n, p)
		}
	}
	c.fails(exitError, "nope", "catalog", "dump", "--store", store, "--topic", "nope")
	if out := c.ok("catalog", "dump", "--store", store); !strings.Contains(out, "SESSION") || !strings.Contains(out, after.Cluster) {
		t.Error(out)
	}

	all := decoded[[]entryAt](t, c.ok("catalog", "history", "--store", store, "--json"))
	if uint64(len(all)) != after.Entry || all[0].Entry != 1 || !strings.Contains(all[0].Commands[0], "CreateCluster") || all[0].Put.IsZero() {
		t.Fatalf("%d entries, the newest is %d: %+v", len(all), after.Entry, all)
	}
	if some := decoded[[]entryAt](t, c.ok("catalog", "history", "--store", store, "--from", "2", "--to", "3", "--json")); len(some) != 2 || some[0].Entry != 2 {
		t.Errorf("%+v", some)
	}
	c.fails(exitUsage, "--from 3 is behind --to 2", "catalog", "history", "--store", store, "--from", "3", "--to", "2")

	if k := decoded[checked](t, c.ok("catalog", "check", "--store", store, "--json")); k.Entry != after.Entry || k.Live != 0 || len(k.Findings) != 0 {
		t.Errorf("%+v", k)
	}
	u, err := url.Parse(store)
	if err != nil {
		t.Fatal(err)
	}
	// Something tells of an entry that is not there: no broker starts.
	slot := filepath.Join(u.Path, catalog.WAL(after.Entry+7, 0).Name())
	if err := os.MkdirAll(filepath.Dir(slot), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(slot, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.fails(exitError, "firn catalog recover", "catalog", "check", "--store", store)
	if err := os.Remove(slot); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(u.Path, entryName(2))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	c.fails(exitError, entryName(2), "catalog", "check", "--store", store)
}

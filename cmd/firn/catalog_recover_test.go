package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/firnlog/firn/catalog/journal"
)

// TestCatalogRecoverAfterAnyLossOfNewestEntries: of a bucket whose brokers died, and of
// one that they left, the newest entries are lost, one more each time. Afterwards the
// bucket is sound, the records are there, and a broker serves them.
func TestCatalogRecoverAfterAnyLossOfNewestEntries(t *testing.T) {
	c, url, _, stop := written(t)
	live := filepath.Join(t.TempDir(), "live")
	copyFolder(t, live, strings.TrimPrefix(url, "file://")) // as a power cut would leave it
	stop()
	id := ""
	for _, x := range decoded[dumped](t, c.ok("catalog", "dump", "--store", url, "--json")).Topics {
		if x.Name == "t" {
			id = x.ID
		}
	}
	cluster := decoded[dumped](t, c.ok("catalog", "dump", "--store", url, "--json")).Cluster
	want := c.ok("replay", "t", "--store", url, "--format", "%p %o %v\n")
	if strings.Count(want, "\n") != 90 {
		t.Fatal(want)
	}
	for _, from := range []string{live, strings.TrimPrefix(url, "file://")} {
		entries, err := filepath.Glob(filepath.Join(from, "catalog/journal/*"))
		if err != nil || len(entries) < 4 {
			t.Fatal(entries, err)
		}
		slices.Sort(entries)
		for keep := len(entries) - 1; keep >= 0; keep-- {
			dir := filepath.Join(t.TempDir(), "bucket")
			copyFolder(t, dir, from)
			for _, e := range entries[keep:] {
				if err := os.Remove(filepath.Join(dir, "catalog/journal", filepath.Base(e))); err != nil {
					t.Fatal(err)
				}
			}
			store := "file://" + dir
			args := []string{"catalog", "recover", "--store", store, "--watch", "0s", "--name", id + "=t", "--cluster-id", cluster}
			a := c.run(append(args, "--json")...)
			if a.code == exitOK { // nothing tells of the lost entries: they said nothing that matters now
				if !decoded[recovery](t, a.out).Whole {
					t.Fatal(a.out)
				}
				continue
			}
			if r := decoded[recovery](t, a.out); a.code != exitProblem || r.Written || r.Whole || len(r.Lost)+len(r.Raised) > 0 {
				t.Fatalf("%d entries kept: exit code %d, %+v %s", keep, a.code, r, a.err)
			}
			r := decoded[recovery](t, c.ok(append(args, "--yes", "--json")...))
			if !r.Written || len(r.Lost)+len(r.Raised) > 0 {
				t.Fatalf("%d entries kept: %+v", keep, r)
			}
			c.ok("object", "verify", "--store", store)
			c.prints(want, "replay", "t", "--store", store, "--format", "%p %o %v\n")
			if !strings.Contains(c.ok(args...), "nothing to recover") {
				t.Errorf("%d entries kept: it is not whole afterwards", keep)
			}
			if keep%3 != 1 {
				continue
			}
			addr, end := brokerOn(t, store)
			c.in("more\n").ok("produce", "t", "-p", "1", "--brokers", addr)
			if got := c.ok("consume", "t", "-p", "1", "-f", "%o %v\n", "--brokers", addr); !strings.HasSuffix(got, "\n30 more\n") || strings.Count(got, "\n") != 31 {
				t.Errorf("%d entries kept: consumed\n%s", keep, got)
			}
			end()
			c.ok("object", "verify", "--store", store)
		}
	}
}

func TestCatalogRecoverRefuses(t *testing.T) {
	c, url, addr, _ := written(t)
	c.prints("", "replay", "t", "--store", url, "--from", "end", "--format", "raw")
	c.fails(exitUsage, "want ID=NAME", "catalog", "recover", "--store", url, "--name", "x")
	c.fails(exitUsage, "want the id of a topic", "catalog", "recover", "--store", url, "--name", "x=y")
	c.fails(exitError, "nothing of a cluster", "catalog", "recover", "--store", "file://"+t.TempDir())
	if out := c.ok("catalog", "recover", "--store", url); !strings.Contains(out, "the catalog is whole") {
		t.Error(out)
	}
	// The newest entry is damaged under a broker that writes.
	entries, _ := filepath.Glob(filepath.Join(strings.TrimPrefix(url, "file://"), "catalog/journal/*"))
	slices.Sort(entries)
	first := fmt.Sprintf("%s%020d", journal.PrefixEntries, 1)
	file := filepath.Join(strings.TrimPrefix(url, "file://"), first)
	b, err := os.ReadFile(file)
	if err == nil {
		b[len(b)-1] ^= 1
		err = os.Remove(file)
	}
	if err == nil {
		err = os.WriteFile(file, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		for {
			select {
			case <-done:
				return
			default:
				_ = c.in("x\n").run("produce", "t", "-p", "0", "--brokers", addr)
			}
		}
	}()
	a := c.run("catalog", "recover", "--store", url, "--watch", "1s", "--yes", "--cluster-id", "x")
	close(done)
	<-writing
	if a.code != exitError || !strings.Contains(a.err, "stop all brokers first") {
		t.Errorf("exit code %d: %s%s", a.code, a.out, a.err)
	}
}

func copyFolder(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

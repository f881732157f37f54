package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/replay"
)

func decoded[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

// TestFromOffsetToObjectAndBack goes the way on a live bucket, whose newest slots the
// catalog does not know, and on one that its broker has left.
func TestFromOffsetToObjectAndBack(t *testing.T) {
	c, store, _, stop := written(t)
	for _, gone := range []bool{false, true} {
		if gone {
			stop()
		}
		for _, at := range []string{"29", "@88000"} { // record 88 is offset 29 of partition 1
			l := decoded[located](t, c.ok("object", "locate", "t", "1", at, "--store", store, "--json"))
			if l.Offset != 29 || l.Base > 29 || l.Next <= 29 || l.Unrecorded == gone || len(l.Entries) > 0 != gone {
				t.Fatalf("gone %v: %+v", gone, l)
			}
			x := decoded[inspected](t, c.ok("object", "inspect", l.Object, "--store", store, "--json"))
			i := slices.IndexFunc(x.Runs, func(r runLine) bool { return r.Topic == "t" && r.Partition == 1 && r.Base == l.Base })
			if i < 0 {
				t.Fatalf("%+v", x)
			}
			if r := x.Runs[i]; r.Next != l.Next || r.FirstByte != l.FirstByte || r.Bytes != l.Bytes || r.CRC != l.CRC || r.Current != gone {
				t.Fatalf("%+v is not %+v", r, l)
			}
			if gone {
				entry := decoded[entryLine](t, c.ok("object", "inspect", entryName(l.Entries[0]), "--store", store, "--json"))
				if !strings.Contains(strings.Join(entry.Commands, "\n"), "extents=") {
					t.Fatalf("%+v", entry)
				}
			}
		}
	}
	if out := c.ok("object", "locate", "t", "1", "29", "--store", store); !strings.Contains(out, "JOURNAL  entry ") {
		t.Fatal(out)
	}
	c.fails(exitError, "partition 1 holds [0, 30), not 30", "object", "locate", "t", "1", "30", "--store", store)
	c.fails(exitError, "no record at or after", "object", "locate", "t", "1", "@90000", "--store", store)
	c.fails(exitUsage, "want a number", "object", "locate", "t", "x", "30", "--store", store)
	c.fails(exitUsage, "want OFFSET or @TIME", "object", "locate", "t", "1", "end", "--store", store)
	c.fails(exitUsage, "object name", "object", "inspect", "nonsense", "--store", store)
	c.fails(exitError, "not found", "object", "inspect", "wal/00000000000000000099/00000000000000000000", "--store", store)
}

func entryName(n uint64) string { return fmt.Sprintf("catalog/journal/%020d", n) }

func TestObjectsAreListedByKindTopicAndSession(t *testing.T) {
	c, store, _, stop := written(t)
	list := func(args ...string) []objectLine {
		t.Helper()
		return decoded[[]objectLine](t, c.ok(append([]string{"object", "ls", "--store", store, "--json"}, args...)...))
	}
	if live := list("--topic", "t"); len(live) == 0 || live[0].Status != "slot" {
		t.Errorf("slots that the catalog does not know yet: %+v", live)
	}
	stop()
	all := list()
	kinds := map[string]int{}
	for _, l := range all {
		kinds[l.Kind]++
		if l.Size == 0 || l.Modified.IsZero() || l.Status == "-" {
			t.Errorf("%+v", l)
		}
	}
	if kinds["wal"] == 0 || kinds["fence"] != 1 || kinds["journal"] < 3 {
		t.Fatalf("%v", kinds)
	}
	if got := list("--kind", "fence"); len(got) != 1 || got[0].Status != "fence" {
		t.Fatalf("%+v", got)
	}
	of := list("--topic", "t")
	if len(of) == 0 || len(of) >= len(all) {
		t.Fatalf("%d of %d", len(of), len(all))
	}
	for _, l := range of {
		if l.Status != "used" || l.Extents == 0 {
			t.Errorf("%+v", l)
		}
	}
	if got := list("--session", "99"); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
	c.fails(exitUsage, `--kind "nonsense"`, "object", "ls", "--store", store, "--kind", "nonsense")
	c.fails(exitError, "no such topic", "object", "ls", "--store", store, "--topic", "nope")
}

func TestInspectFindsDamage(t *testing.T) {
	c, store, _, stop := written(t)
	stop()
	l := decoded[located](t, c.ok("object", "locate", "t", "0", "0", "--store", store, "--json"))
	u, err := url.Parse(store)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(u.Path, l.Object)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[l.FirstByte+70] ^= 1
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	a := c.run("object", "inspect", l.Object, "--store", store)
	if a.code != exitProblem || !strings.Contains(a.out, "CRC-32C") || !strings.Contains(a.out, "finding") {
		t.Fatalf("%+v", a)
	}
}

func TestTopicStorage(t *testing.T) {
	c, store, _, stop := written(t)
	for _, gone := range []bool{false, true} {
		if gone {
			stop()
		}
		out := decoded[[]replay.Storage](t, c.ok("topic", "storage", "t", "--store", store, "--json"))
		if len(out) != 3 {
			t.Fatalf("%+v", out)
		}
		for _, s := range out {
			recorded := s.WAL.Bytes + s.Shared.Bytes + s.Own.Bytes
			if s.End != 30 || s.LastUpload.IsZero() || (s.Session == 0) != gone || (s.Unrecorded.Bytes == 0) != gone || (recorded > 0) != gone {
				t.Errorf("gone %v: %+v", gone, s)
			}
		}
	}
	if out := c.ok("topic", "storage", "t", "--store", store, "-p", "2"); !strings.Contains(out, "UNRECORDED") || strings.Count(out, "\n") != 2 {
		t.Fatal(out)
	}
}

// A lost object is given up by its name: only what it held is gone, and only once somebody
// who was told so says yes.
func TestALostObjectIsGivenUpByName(t *testing.T) {
	c, store, addr, stop := written(t)
	c.ok("topic", "alter", "t", "-c", "retention.ms=-1", "--brokers", addr) // its records are of 1970
	stop()
	l := decoded[located](t, c.ok("object", "locate", "t", "1", "5", "--store", store, "--json"))
	giveUp := []string{"object", "give-up", l.Object, "--store", store, "--watch", "0s"}
	c.fails(exitError, "nothing to give up", append(giveUp, "--yes")...)
	u, err := url.Parse(store)
	if err == nil {
		err = os.Remove(filepath.Join(u.Path, l.Object))
	}
	if err != nil {
		t.Fatal(err)
	}
	if a := c.run("object", "verify", "--store", store); a.code != exitProblem {
		t.Fatalf("%+v", a)
	}
	c.fails(exitError, "no broker is registered", append(giveUp, "--yes")...)
	end := registered(t, store)
	a := c.run(append(giveUp, "--json")...)
	r := decoded[givenUp](t, a.out)
	if a.code != exitProblem || r.Written || r.Records == 0 || len(r.Lost) == 0 {
		t.Fatalf("%+v", a)
	}
	if again := decoded[givenUp](t, c.ok(append(giveUp, "--yes", "--json")...)); !again.Written || again.Records != r.Records {
		t.Fatalf("%+v, want %+v", again, r)
	}
	end()
	if out := c.ok("catalog", "history", "--store", store); !strings.Contains(out, "GiveUp lost="+l.Object) {
		t.Error(out)
	}
	c.fails(exitError, "the catalog describes nothing in it", giveUp...)
	c.fails(exitUsage, "holds no records", "object", "give-up", "idx/"+l.Object[4:], "--store", store)
	c.fails(exitUsage, "object name", "object", "give-up", "nonsense", "--store", store)
	c.ok("object", "verify", "--store", store)
	addr, _ = brokerOn(t, store)
	c.in("more\n").ok("produce", "t", "-p", "1", "--brokers", addr)
	kept := 91 - int(r.Records)
	for _, read := range [][]string{{"consume", "t", "-f", "%o\n", "--brokers", addr}, {"replay", "t", "--format", "%o\n", "--store", store}} {
		if got := strings.Count(c.ok(read...), "\n"); got != kept {
			t.Errorf("%v: %d records, want %d", read, got, kept)
		}
	}
}

// registered registers a session that puts nothing, and returns what ends it.
func registered(t *testing.T, url string) (end func()) {
	t.Helper()
	store, _, err := broker.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	j := journal.NewScribe(store, [16]byte{1}, journal.Options{})
	commit := func(cmd catalog.Command) uint64 {
		t.Helper()
		res, err := j.Commit(t.Context(), cmd)
		if err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
		return res[0].ID
	}
	if err := j.Catchup(t.Context()); err != nil {
		t.Fatal(err)
	}
	me := pump.Session{ID: commit(&catalog.RegisterSession{Node: -1, Advertised: "a:1", Nonce: [16]byte{1}}), Nonce: [16]byte{1}}
	return func() {
		t.Helper()
		f, err := pump.Fence(t.Context(), pump.FenceOptions{Store: store, Session: me, Nonce: me.Nonce})
		if err != nil {
			t.Fatal(err)
		}
		commit(&catalog.SealSession{Session: me.ID, Fence: f.Slot})
	}
}

// A slot that the catalog does not describe yet is given up as well, when its broker is
// gone: the session is sealed without it. Nothing is written before somebody says yes.
func TestASlotOfASessionThatIsNotSealedIsGivenUp(t *testing.T) {
	c, live, _, stop := written(t)
	u, err := url.Parse(live)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // as a broker leaves it that is killed
	if err := os.CopyFS(dir, os.DirFS(u.Path)); err != nil {
		t.Fatal(err)
	}
	store := "file://" + dir
	l := decoded[located](t, c.ok("object", "locate", "t", "1", "5", "--store", store, "--json"))
	giveUp := []string{"object", "give-up", l.Object, "--store", store, "--watch", "0s"}
	c.fails(exitError, "start a broker", append(giveUp, "--yes")...)
	path := filepath.Join(dir, l.Object)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	c.fails(exitError, "stop it first", append(giveUp, "--yes")...)
	stop()
	if a := c.run("object", "verify", "--store", store); a.code != exitProblem || !strings.Contains(a.out, "firn object give-up "+l.Object) {
		t.Fatalf("%+v", a)
	}
	a := c.run(append(giveUp, "--json")...)
	r := decoded[slotsGivenUp](t, a.out)
	if a.code != exitProblem || r.Written || len(r.Slots) != 1 || len(r.Lost)+len(r.Unknown) == 0 {
		t.Fatalf("%+v", a)
	}
	if _, err := os.Stat(filepath.Join(dir, r.Fence)); err == nil {
		t.Fatal("looking has put a fence")
	}
	if out := c.ok(append(giveUp, "--yes")...); !strings.Contains(out, "is sealed") {
		t.Fatal(out)
	}
	c.ok("object", "verify", "--store", store)
	c.fails(exitError, "the catalog describes nothing in it", giveUp...)
	c.fails(exitUsage, "name one object", append(giveUp, l.Object)...)
	addr, _ := brokerOn(t, store)
	for p := range 3 {
		c.in("more\n").ok("produce", "t", "-p", fmt.Sprint(p), "--brokers", addr)
	}
	c.ok("object", "verify", "--store", store)
}

// An object of which the footer alone rots keeps its partitions without a leader. Giving it
// up loses nothing: its runs are copied.
func TestAnObjectWhoseFooterRotsLosesNothing(t *testing.T) {
	c, store, addr, stop := written(t)
	c.ok("topic", "alter", "t", "-c", "retention.ms=-1", "--brokers", addr)
	stop()
	u, err := url.Parse(store)
	if err != nil {
		t.Fatal(err)
	}
	l := decoded[located](t, c.ok("object", "locate", "t", "1", "29", "--store", store, "--json"))
	path := filepath.Join(u.Path, l.Object)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-40] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	giveUp := []string{"object", "give-up", l.Object, "--store", store, "--watch", "0s"}
	c.fails(exitError, "start one", append(giveUp, "--yes")...)
	_, stop = brokerOn(t, store)
	r := decoded[givenUp](t, c.ok(append(giveUp, "--yes", "--json")...))
	if r.Copied == 0 || r.Records > 0 {
		t.Fatalf("%+v", r)
	}
	stop()
	c.ok("object", "verify", "--store", store)
	addr, _ = brokerOn(t, store)
	for p := range 3 {
		c.in("more\n").ok("produce", "t", "-p", fmt.Sprint(p), "--brokers", addr)
	}
	if got := strings.Count(c.ok("consume", "t", "-f", "%o\n", "--brokers", addr), "\n"); got != 93 {
		t.Errorf("%d records, want 93", got)
	}
}

package gossip

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func key(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }

func keyFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	writeKeys(t, path, lines...)
	return path
}

func writeKeys(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyWhoHasTheKeyIsHeard(t *testing.T) {
	mine, others := keyFile(t, key(1)), keyFile(t, key(2))
	a := startWith(t, 1, "one", mine)
	b := startWith(t, 2, "one", mine, a.Addr())
	stranger := startWith(t, 3, "one", others, a.Addr())
	open := startWith(t, 4, "one", "", a.Addr())
	a.see(t, 1, 2)
	b.see(t, 1, 2)
	if _, err := stranger.list.Join([]string{a.Addr()}); err == nil {
		t.Error("who has another key was let in")
	}
	if _, err := open.list.Join([]string{a.Addr()}); err == nil {
		t.Error("who has no key was let in")
	}
	a.see(t, 1, 2)
	stranger.see(t, 3)
	open.see(t, 4)
}

// A key is changed in three steps. At each, brokers that have taken it and brokers
// that have not hear each other.
func TestKeysAreChangedWhileAllRun(t *testing.T) {
	fa, fb := keyFile(t, "# ours", key(1)), keyFile(t, key(1))
	a := startWith(t, 1, "one", fa)
	b := startWith(t, 2, "one", fb, a.Addr())
	a.see(t, 1, 2)
	ours := map[*node]string{}
	for _, step := range [][]string{{key(1), key(2)}, {key(2), key(1)}, {key(2)}} {
		for _, n := range []struct {
			*node
			file string
		}{{a, fa}, {b, fb}} {
			writeKeys(t, n.file, step...)
			if changed, err := n.keys.reload(); err != nil || !changed {
				t.Fatal(changed, err)
			}
			for _, way := range [][2]*node{{a, b}, {b, a}} { // told under the keys as they are now
				ours[way[0]] += "x"
				m := Member{Session: 1, Node: way[0].opts.Self.Node, Kafka: way[0].opts.Self.Kafka, Rack: ours[way[0]]}
				way[0].Set(m)
				way[1].hears(t, m)
			}
		}
	}
	if got := a.keys.ring.GetKeys(); len(got) != 1 || got[0][0] != 2 {
		t.Errorf("%d keys are left, the first of them %d", len(got), got[0][0])
	}
}

func TestBadKeysAreExplained(t *testing.T) {
	many := make([]string, mostKeys+1)
	for i := range many {
		many[i] = key(byte(i))
	}
	for want, lines := range map[string][]string{
		"line 2: want 16, 24 or 32 bytes": {"# a key", "c2hvcnQ="},
		"line 1: want 16, 24 or 32 bytes": {"not base64!"},
		"holds no key":                    {"# nothing"},
		"at most 8":                       many,
	} {
		_, err := openKeys(keyFile(t, lines...))
		if !errors.Is(err, ErrKeys) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := openKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	path := keyFile(t, key(1))
	k, err := openKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	writeKeys(t, path, "broken")
	if _, err := k.reload(); !errors.Is(err, ErrKeys) {
		t.Error(err)
	}
	if got := k.ring.GetKeys(); len(got) != 1 {
		t.Errorf("a broken file changed the keys to %v", got)
	}
}

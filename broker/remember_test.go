package broker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firnlog/firn/catalog"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/tier/cold/mem"
)

// A data folder is a cache: whatever bit of meta.properties is wrong, and wherever it is cut
// off, a broker starts as on an empty folder. It refuses no bucket for it, and is no other node.
func TestDamageToWhatABrokerRemembersIsAnEmptyFolder(t *testing.T) {
	m := memory{cluster: "TXkgY2x1c3RlciBpcyBp", node: 12, entry: 3456}
	text := m.String()
	if got, ok := recall(text); !ok || got != m {
		t.Fatalf("%q is %+v (%v)", text, got, ok)
	}
	older := text[:strings.Index(text, "crc32c")]
	if got, ok := recall(older); !ok || got != m {
		t.Errorf("that of an older version, %q, is %+v (%v)", older, got, ok)
	}
	for n := range len(text) {
		if got, ok := recall(text[:n]); got != nothing && got != m || ok != (got == m) {
			t.Errorf("cut off after %d bytes it is %+v (%v)", n, got, ok)
		}
		for bit := range 8 {
			b := []byte(text)
			b[n] ^= 1 << bit
			if got, ok := recall(string(b)); got != nothing && got != m || ok != (got == m) {
				t.Errorf("with bit %d of byte %d flipped, %q is %+v (%v)", bit, n, b, got, ok)
			}
		}
	}
}

// A disk that is full to the last byte, or a folder that is not there any more, stops no start.
func TestABrokerServesThoughItsFolderRemembersNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "meta.properties.new"), 0o755); err != nil { // it cannot be written
		t.Fatal(err)
	}
	values, err := settings.New(settings.Source{Name: "test", Values: map[string]string{
		"store": "mem://", "data.dir": dir, "listeners": "127.0.0.1:0", "http": "127.0.0.1:0", "gossip": "127.0.0.1:0", "offsets.topic.num.partitions": "1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := false
	if err := Run(ctx, Options{Settings: values, Store: mem.New()}, func(Addresses) { served = true; cancel() }); err != nil || !served {
		t.Errorf("served: %v, %v", served, err)
	}
}

// A broker whose folder is empty is who was last at its address, also when that one has
// left in good order: ids of those that are gone are given to nobody else for a while.
func TestWhoHasNothingButItsAddressIsWhoWasThereLast(t *testing.T) {
	s := catalog.NewState()
	for i, cmd := range []catalog.Command{
		&catalog.CreateCluster{ID: "c"},
		&catalog.RegisterSession{Node: 4, Advertised: "a:1"},
		&catalog.RegisterSession{Node: 5, Advertised: "b:1"},
		&catalog.SealSession{Session: 2},
		&catalog.RegisterSession{Node: 6, Advertised: "c:1"},
		&catalog.SealSession{Session: 5},
		&catalog.RegisterSession{Node: 6, Advertised: "d:1"},
	} {
		if r := s.Apply(uint64(i+1), []catalog.Command{cmd}); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
	}
	for addr, want := range map[string]int32{"a:1": 4, "b:1": 5, "c:1": -1, "d:1": 6, "e:1": -1} {
		if got := nodeAt(s, addr); got != want {
			t.Errorf("node at %s is %d, want %d", addr, got, want)
		}
	}
}

// Package coldtest is the suite that every driver of cold.Store passes, and that
// says what the interface means.
package coldtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firnlog/firn/tier/cold"
)

// Acceptance runs the suite. open returns stores on one and the same bucket,
// which is empty at the start of each test: the second and later calls in a test
// are for racing several clients. It registers its own clean-up.
func Acceptance(t *testing.T, bucket func(t *testing.T) (open func() cold.Store)) {
	for _, p := range []struct {
		promise string
		test    func(t *testing.T, open func() cold.Store)
	}{
		{"PutThenGetReturnsTheBytes", putThenGet},
		{"SegmentsAreStoredInOrder", segments},
		{"FileBodiesAreStored", fileBody},
		{"SecondPutIsRefusedAndChangesNothing", secondPut},
		{"OneOfManyRacersWins", racers},
		{"OneOfManyRacersWinsWithLargeBodies", largeRacers},
		{"EveryRangeIsExact", ranges},
		{"EmptyObjectsExist", empty},
		{"GetAppendsAndKeepsTheBufferOnError", buffers},
		{"MissingNamesAreNotFound", missing},
		{"StatTellsSizeAndTime", stat},
		{"ListIsFilteredAndComplete", list},
		{"ListPages", pages},
		{"ListStopsWhenTheCallerDoes", listStops},
		{"DeletedNamesAreFreeAgain", deleted},
		{"OddNamesAreKept", oddNames},
		{"IllegalNamesAreRefused", illegalNames},
		{"CancelledCallsDoNothing", cancelled},
		{"ABodyIsNotReadAfterThePutReturned", bodyReleased},
		{"APutDoesNotReturnInTheMiddleOfARead", bodyInUse},
		{"BadBodiesAreTheCallersError", badBodies},
		{"HalfABodyIsNoObject", halves},
	} {
		t.Run(p.promise, func(t *testing.T) {
			open := bucket(t)
			p.test(t, func() cold.Store {
				s := open()
				t.Cleanup(func() {
					if err := cold.Close(s); err != nil {
						t.Errorf("close: %v", err)
					}
				})
				return s
			})
		})
	}
}

func put(t *testing.T, s cold.Store, name string, data []byte) {
	t.Helper()
	if err := s.PutIfAbsent(t.Context(), name, cold.Bytes(data)); err != nil {
		t.Fatalf("put: %v", err)
	}
}

func want(t *testing.T, s cold.Store, name string, r cold.Range, expected []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), name, r, nil)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if !bytes.Equal(got, expected) {
		t.Fatalf("get %s %s: %d bytes %.40q, want %d bytes %.40q", name, r, len(got), got, len(expected), expected)
	}
}

func wantError(t *testing.T, what string, err, expected error) {
	t.Helper()
	if !errors.Is(err, expected) {
		t.Fatalf("%s: error %v, want %v", what, err, expected)
	}
}

// noise is n bytes that no compression and no repetition hides faults in.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

func putThenGet(t *testing.T, open func() cold.Store) {
	s := open()
	for i, n := range []int{1, 100, 4 << 10, 64 << 10, 1<<20 + 7, 5 << 20} {
		name := fmt.Sprintf("wal/7/%020d", i)
		data := noise(uint64(i), n)
		put(t, s, name, data)
		want(t, s, name, cold.Whole, data)
	}
}

func segments(t *testing.T, open func() cold.Store) {
	s := open()
	// More segments than one writev takes, empty ones among them, and one beyond
	// what is written at a stroke.
	var parts [][]byte
	for i := range 3000 {
		parts = append(parts, noise(uint64(i), i%7*100))
	}
	parts = append(parts, noise(1, 3<<20), nil, noise(2, 5))
	if err := s.PutIfAbsent(t.Context(), "seg/1/0", cold.Bytes(parts...)); err != nil {
		t.Fatal(err)
	}
	want(t, s, "seg/1/0", cold.Whole, slices.Concat(parts...))
}

func fileBody(t *testing.T, open func() cold.Store) {
	s := open()
	data := noise(3, 3<<20+1)
	body := fileOf(t, data)
	if err := s.PutIfAbsent(t.Context(), "seg/2/0", body); err != nil {
		t.Fatal(err)
	}
	want(t, s, "seg/2/0", cold.Whole, data)
}

func secondPut(t *testing.T, open func() cold.Store) {
	s := open()
	for _, n := range []int{10, 3 << 20} {
		name := fmt.Sprintf("wal/1/%d", n)
		first := noise(1, n)
		put(t, s, name, first)
		for _, other := range [][]byte{noise(2, n), first, {}} {
			err := s.PutIfAbsent(t.Context(), name, cold.Bytes(other))
			for tries := 0; tries < 10 && err != nil && !cold.Definite(err); tries++ { // a gateway may close on a large body that it refuses
				err = s.PutIfAbsent(t.Context(), name, cold.Bytes(other))
			}
			wantError(t, "second put", err, cold.ErrExists)
		}
		want(t, s, name, cold.Whole, first)
	}
}

func racers(t *testing.T, open func() cold.Store) { race(t, open, 64, 12, 300) }

func largeRacers(t *testing.T, open func() cold.Store) { race(t, open, 12, 2, 1<<20) }

// race lets clients, half of them through one store and half through another,
// create the same name: one is told that it won, its bytes are there, and the
// others are told ErrExists or nothing definite.
func race(t *testing.T, open func() cold.Store, clients, rounds, size int) {
	stores := []cold.Store{open(), open()}
	bodies := make([][]byte, clients)
	for i := range bodies {
		bodies[i] = append([]byte(fmt.Sprintf("client %d.", i)), noise(uint64(i), size)...)
	}
	for round := range rounds {
		name := fmt.Sprintf("wal/9/%020d", round)
		answers := make([]error, clients)
		start := make(chan struct{})
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				<-start
				answers[i] = stores[i%2].PutIfAbsent(t.Context(), name, cold.Bytes(bodies[i]))
			})
		}
		close(start)
		all.Wait()
		winner := -1
		for i, err := range answers {
			switch {
			case err == nil && winner >= 0:
				t.Fatalf("round %d: clients %d and %d were both told that they won", round, winner, i)
			case err == nil:
				winner = i
			case !errors.Is(err, cold.ErrExists) && !errors.Is(err, cold.ErrConflict):
				t.Logf("round %d: client %d: unknown answer: %v", round, i, err)
			}
		}
		if winner < 0 {
			t.Fatalf("round %d: nobody won: %v", round, answers[0])
		}
		want(t, stores[round%2], name, cold.Whole, bodies[winner])
	}
}

func ranges(t *testing.T, open func() cold.Store) {
	s := open()
	data := noise(5, 100_000)
	put(t, s, "seg/3/0", data)
	size := int64(len(data))
	for _, r := range []struct {
		r    cold.Range
		a, b int64
	}{
		{cold.Whole, 0, size},
		{cold.Range{Length: 1}, 0, 1},
		{cold.Range{Length: size}, 0, size},
		{cold.Range{Length: size + 50}, 0, size},
		{cold.Range{Offset: 1, Length: 1}, 1, 2},
		{cold.Range{Offset: 500, Length: 2000}, 500, 2500},
		{cold.Range{Offset: 500}, 500, size},
		{cold.Range{Offset: size - 1}, size - 1, size},
		{cold.Range{Offset: size - 1, Length: 1 << 40}, size - 1, size},
		{cold.Range{Offset: 1, Length: 1<<63 - 1}, 1, size},
		{cold.Tail(1), size - 1, size},
		{cold.Tail(4096), size - 4096, size},
		{cold.Tail(size), 0, size},
		{cold.Tail(size + 1), 0, size},
		{cold.Tail(1 << 40), 0, size},
	} {
		want(t, s, "seg/3/0", r.r, data[r.a:r.b])
	}
	for _, r := range []cold.Range{
		{Offset: size},
		{Offset: size, Length: 1},
		{Offset: size * 2, Length: 1},
		{Offset: 1 << 50},
		{Length: -1},
		cold.Tail(0),
		cold.Tail(-1),
	} {
		_, err := s.Get(t.Context(), "seg/3/0", r, nil)
		wantError(t, r.String(), err, cold.ErrRange)
	}
}

func empty(t *testing.T, open func() cold.Store) {
	s := open()
	put(t, s, "wal/1/0", nil)
	want(t, s, "wal/1/0", cold.Whole, nil)
	want(t, s, "wal/1/0", cold.Tail(10), nil)
	_, err := s.Get(t.Context(), "wal/1/0", cold.Range{Length: 1}, nil)
	wantError(t, "first byte", err, cold.ErrRange)
	wantError(t, "second put", s.PutIfAbsent(t.Context(), "wal/1/0", cold.Bytes([]byte("x"))), cold.ErrExists)
	if info, err := s.Stat(t.Context(), "wal/1/0"); err != nil || info.Size != 0 {
		t.Fatalf("stat: %+v, %v", info, err)
	}
}

func buffers(t *testing.T, open func() cold.Store) {
	s := open()
	put(t, s, "a/b", []byte("world"))
	room := make([]byte, 6, 64)
	copy(room, "hello ")
	got, err := s.Get(t.Context(), "a/b", cold.Whole, room)
	if err != nil || string(got) != "hello world" {
		t.Fatalf("%q, %v", got, err)
	}
	if &got[0] != &room[0] {
		t.Error("a buffer with room was not used")
	}
	for name, r := range map[string]cold.Range{"a/none": cold.Whole, "a/b": {Offset: 99}} {
		if got, err := s.Get(t.Context(), name, r, room); err == nil || string(got) != "hello " {
			t.Errorf("after a failed get of %s: %q, %v", name, got, err)
		}
	}
}

func missing(t *testing.T, open func() cold.Store) {
	s := open()
	put(t, s, "a/b", []byte("x"))
	for _, name := range []string{"nothing", "a/c", "b/b", "a", "a/b/c"} {
		_, err := s.Get(t.Context(), name, cold.Whole, nil)
		wantError(t, "get "+name, err, cold.ErrNotFound)
		_, err = s.Get(t.Context(), name, cold.Tail(10), nil)
		wantError(t, "get the tail of "+name, err, cold.ErrNotFound)
		_, err = s.Stat(t.Context(), name)
		wantError(t, "stat "+name, err, cold.ErrNotFound)
		if err := s.Delete(t.Context(), name); err != nil {
			t.Fatalf("delete %s: %v", name, err)
		}
	}
	want(t, s, "a/b", cold.Whole, []byte("x"))
}

func stat(t *testing.T, open func() cold.Store) {
	s := open()
	before := time.Now().Add(-2 * time.Second) // HTTP times are whole seconds
	put(t, s, "a/b", make([]byte, 12345))
	info, err := s.Stat(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != "a/b" || info.Size != 12345 || info.Modified.Before(before) || info.Modified.After(time.Now().Add(time.Second)) {
		t.Fatalf("%+v", info)
	}
}

func names(t *testing.T, s cold.Store, prefix, after string) []string {
	t.Helper()
	var found []string
	for info, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("list %q after %q: %v", prefix, after, err)
		}
		found = append(found, info.Name)
	}
	slices.Sort(found)
	return found
}

func list(t *testing.T, open func() cold.Store) {
	s := open()
	if got := names(t, s, "", ""); len(got) != 0 {
		t.Fatalf("an empty bucket holds %q", got)
	}
	all := []string{
		"catalog/00000000000000000001", "catalog/00000000000000000002", "seg/1/0", "seg/10/0", "seg/2/0",
		"wal/00000000000000000007/00000000000000000000", "wal/00000000000000000007/00000000000000000001",
		"wal/00000000000000000008/00000000000000000000", "zz",
	}
	for i, name := range all {
		put(t, s, name, make([]byte, i))
	}
	for _, q := range [][2]string{
		{"", ""},
		{"wal/", ""},
		{"wal/00000000000000000007/", ""},
		{"wal/00000000000000000007/", "wal/00000000000000000007/00000000000000000000"},
		{"wal/0000000000000000000", ""},
		{"seg/1", ""},
		{"seg/", "seg/1/0"},
		{"seg/", "seg/1"},
		{"seg/", "seg/15/0"},
		{"", "seg"},
		{"", "seg/2/0"},
		{"wal/", "zz"},
		{"wal/", "a"},
		{"none/", ""},
		{"", "zz"},
		{"z", ""},
	} {
		var expected []string
		for _, name := range all {
			if strings.HasPrefix(name, q[0]) && name > q[1] {
				expected = append(expected, name)
			}
		}
		if got := names(t, s, q[0], q[1]); !slices.Equal(got, expected) {
			t.Errorf("list %q after %q: %q, want %q", q[0], q[1], got, expected)
		}
	}
	for info, err := range s.List(t.Context(), "seg/2/", "") {
		if err != nil || info.Size != 4 || time.Since(info.Modified) > time.Minute {
			t.Errorf("%+v, %v", info, err)
		}
	}
}

// pages has more objects than one answer of an S3 store lists.
func pages(t *testing.T, open func() cold.Store) {
	s := open()
	const n = 1203
	var work sync.WaitGroup
	for w := range 8 {
		work.Go(func() {
			for i := w; i < n; i += 8 {
				if err := s.PutIfAbsent(t.Context(), fmt.Sprintf("p/%05d", i), cold.Bytes([]byte{1})); err != nil {
					t.Errorf("put %d: %v", i, err)
				}
			}
		})
	}
	work.Wait()
	if got := names(t, s, "p/", ""); len(got) != n || got[0] != "p/00000" || got[n-1] != "p/01202" {
		t.Errorf("%d names", len(got))
	}
	if got := names(t, s, "p/", "p/01100"); len(got) != 102 {
		t.Errorf("%d names after p/01100, want 102", len(got))
	}
}

func listStops(t *testing.T, open func() cold.Store) {
	s := open()
	for i := range 10 {
		put(t, s, fmt.Sprintf("p/%d", i), nil)
	}
	seen := 0
	for _, err := range s.List(t.Context(), "p/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range s.List(ctx, "p/", "") {
		last = err
	}
	wantError(t, "list with a cancelled context", last, context.Canceled)
}

func deleted(t *testing.T, open func() cold.Store) {
	s := open()
	for i := range 3 {
		data := noise(uint64(i), 100)
		put(t, s, "a/b/c", data)
		want(t, s, "a/b/c", cold.Whole, data)
		if err := s.Delete(t.Context(), "a/b/c"); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(t.Context(), "a/b/c", cold.Whole, nil)
		wantError(t, "get", err, cold.ErrNotFound)
		if got := names(t, s, "", ""); len(got) != 0 {
			t.Fatalf("left behind: %q", got)
		}
	}
}

var odd = []string{
	"with space/and more ", "plus+plus", "per%20cent%", "quest?ion=1&b=2", "hash#tag", "späße/雪/🏔", "quote'\"`", "<xml>&amp;",
	"comma,semi;colon:", "at@dollar$", "(paren)[bracket]{brace}", "tilde~^|", "UPPER/lower", "-dash", "--x", "a=b", "*star*",
	"dots.in.the/mid..dle", "trailing.", strings.Repeat("l", 255) + "/" + strings.Repeat("m", 255),
}

func oddNames(t *testing.T, open func() cold.Store) {
	s := open()
	for i, name := range odd {
		put(t, s, name, fmt.Appendf(nil, "object %d", i))
	}
	for i, name := range odd {
		want(t, s, name, cold.Whole, fmt.Appendf(nil, "object %d", i))
		wantError(t, "second put", s.PutIfAbsent(t.Context(), name, cold.Bytes(nil)), cold.ErrExists)
		if info, err := s.Stat(t.Context(), name); err != nil || info.Name != name {
			t.Errorf("stat %q: %+v, %v", name, info, err)
		}
	}
	expected := slices.Sorted(slices.Values(odd))
	if got := names(t, s, "", ""); !slices.Equal(got, expected) {
		t.Errorf("listed %q, want %q", got, expected)
	}
	for _, name := range odd {
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	if got := names(t, s, "", ""); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

func illegalNames(t *testing.T, open func() cold.Store) {
	s := open()
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".tmp/x", "a/.hidden", "nul\x00", "line\n", "back\\slash",
		"bad\xffutf8", strings.Repeat("x", 256), strings.Repeat("x/", 500) + "x",
	} {
		wantError(t, fmt.Sprintf("put %q", name), s.PutIfAbsent(t.Context(), name, cold.Bytes(nil)), cold.ErrName)
		_, err := s.Get(t.Context(), name, cold.Whole, nil)
		wantError(t, fmt.Sprintf("get %q", name), err, cold.ErrName)
		_, err = s.Stat(t.Context(), name)
		wantError(t, fmt.Sprintf("stat %q", name), err, cold.ErrName)
		wantError(t, fmt.Sprintf("delete %q", name), s.Delete(t.Context(), name), cold.ErrName)
	}
	if got := names(t, s, "", ""); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

func cancelled(t *testing.T, open func() cold.Store) {
	s := open()
	put(t, s, "there", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, "put", s.PutIfAbsent(ctx, "a", cold.Bytes([]byte("x"))), context.Canceled)
	_, err := s.Get(ctx, "there", cold.Whole, nil)
	wantError(t, "get", err, context.Canceled)
	_, err = s.Stat(ctx, "there")
	wantError(t, "stat", err, context.Canceled)
	wantError(t, "delete", s.Delete(ctx, "there"), context.Canceled)
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	wantError(t, "put", s.PutIfAbsent(late, "a", cold.Bytes([]byte("x"))), context.DeadlineExceeded)
	if got := names(t, s, "", ""); !slices.Equal(got, []string{"there"}) {
		t.Errorf("there is %q", got)
	}
}

// bodyReleased cancels puts while they read, and overwrites the memory as soon
// as they return, as a pool would (C3). The race detector sees a driver that
// reads on; without it a torn object is seen.
func bodyReleased(t *testing.T, open func() cold.Store) {
	s := open()
	for i := range 8 {
		data := bytes.Repeat([]byte{1}, 1<<20)
		ctx, cancel := context.WithCancel(t.Context())
		body := &watched{Body: cold.Bytes(data), at: int64(i) * 128 << 10, then: cancel}
		err := s.PutIfAbsent(ctx, fmt.Sprintf("wal/1/%d", i), body)
		for k := range data {
			data[k] = 2
		}
		cancel()
		if err == nil {
			t.Logf("put %d had landed when it was cancelled", i)
		}
	}
	for _, name := range names(t, s, "", "") {
		got, err := s.Get(t.Context(), name, cold.Whole, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1<<20 || bytes.IndexByte(got, 2) >= 0 {
			t.Errorf("%s is torn: %d bytes", name, len(got))
		}
	}
}

// bodyInUse cancels a put from within a read of its body, which then takes its time.
func bodyInUse(t *testing.T, open func() cold.Store) {
	s := open()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	returned := make(chan struct{})
	var once sync.Once
	var early bool
	reading := make(chan struct{})
	body := &watched{Body: cold.Bytes(noise(1, 1<<20)), at: 300 << 10, then: func() {
		once.Do(func() {
			defer close(reading)
			cancel()
			select {
			case <-returned:
				early = true
			case <-time.After(50 * time.Millisecond):
			}
		})
	}}
	err := s.PutIfAbsent(ctx, "wal/1/0", body)
	close(returned)
	<-reading
	if early {
		t.Error("the put returned, and its body was still being read")
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func badBodies(t *testing.T, open func() cold.Store) {
	s := open()
	for what, body := range map[string]cold.Body{
		"cannot be opened": &broken{size: 10, openErr: errors.New("gone")},
		"fails":            &broken{size: 10, data: make([]byte, 4), readErr: errors.New("bad sector")},
		"is too short":     &broken{size: 10, data: make([]byte, 4)},
	} {
		err := s.PutIfAbsent(t.Context(), "bad", body)
		wantError(t, "a body that "+what, err, cold.ErrBody)
	}
	if got := names(t, s, "", ""); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

// halves has senders that die in the middle of a body: the name is free afterwards.
func halves(t *testing.T, open func() cold.Store) {
	s := open()
	body := cold.Bytes(noise(1, 1<<20))
	for i := range 6 {
		name := fmt.Sprintf("wal/1/%d", i)
		err := s.PutIfAbsent(t.Context(), name, cold.Cut(body, 1+i%2))
		if i%2 == 1 && err == nil {
			continue // the driver goes over a body once, and this one was whole then
		}
		wantError(t, "put of half a body", err, cold.ErrBody)
		if err := s.PutIfAbsent(t.Context(), name, body); err != nil {
			info, _ := s.Stat(t.Context(), name)
			t.Fatalf("the sender died at half of %d bytes, and the name is taken by %d: %v", body.Size(), info.Size, err)
		}
	}
}

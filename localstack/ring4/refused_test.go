//go:build ring4

package ring4

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack/faultproxy"
)

// TestCredentialsThatStopWorking lets the store answer 403 to everything for longer
// than the broker's lease: nothing is acknowledged, the log says why, the process
// stays, and everything goes on when the keys work again.
func TestCredentialsThatStopWorking(t *testing.T) {
	needStore(t)
	p, err := faultproxy.Start(realStore.Addr(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	s := newStack(t, "-X", "broker.session.timeout.ms=2000")
	direct := s.store
	s.store = strings.Replace(direct, realStore.Addr(), p.Addr(), 1)
	s.start(t)
	const topic = "denied"
	if _, err := kadm.NewClient(client(t, s.addr)).CreateTopic(t.Context(), 4, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	w := startWriters(t, s.addr, topic, 2)
	time.Sleep(2 * time.Second)
	p.Decide(func(*http.Request) faultproxy.Fault { return faultproxy.Denied })
	time.Sleep(time.Second) // for answers that were on their way
	before := w.acknowledged()
	time.Sleep(6 * time.Second)
	if now := w.acknowledged(); now != before {
		t.Errorf("%d records were acknowledged while the store took none", now-before)
	}
	select {
	case <-s.broker.Exited():
		t.Fatal("the broker ended with its credentials")
	default:
	}
	log, err := os.ReadFile(s.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"AccessDenied", "not serving as leader"} {
		if !bytes.Contains(log, []byte(want)) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if len(log) > 200_000 {
		t.Errorf("the log has %d bytes", len(log))
	}
	p.Decide(nil)
	back := time.Now()
	for w.acknowledged() == before {
		if time.Since(back) > 30*time.Second {
			t.Fatal("nothing is acknowledged 30 s after the credentials work again")
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("first acknowledgement %v after the credentials work again", time.Since(back).Round(time.Millisecond))
	time.Sleep(time.Second)
	check(t, s.addr, topic, w.stop(t))
	s.stop(t)
	s.store = direct
	s.verify(t)
}

// TestADiskThatIsFull fills the disk of the hot tier under load: producing goes on,
// the broker can be killed and started on the full disk, and uses it again when there
// is room.
func TestADiskThatIsFull(t *testing.T) {
	s := newStack(t)
	if err := os.MkdirAll(s.data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", s.data, "tmpfs", 0, "size=256m"); errors.Is(err, syscall.EPERM) {
		t.Skip("mounting a small disk needs root")
	} else if err != nil {
		t.Fatal(err)
	}
	mounted := s.data
	t.Cleanup(func() {
		s.broker.Kill()
		if err := syscall.Unmount(mounted, 0); err != nil {
			t.Error(err)
		}
	})
	s.data = filepath.Join(mounted, "data")
	s.start(t)
	const topic = "full"
	if _, err := kadm.NewClient(client(t, s.addr)).CreateTopics(t.Context(), 4, 1, nil, topic, "large"); err != nil {
		t.Fatal(err)
	}
	w := startWriters(t, s.addr, topic, 2)
	goesOn := func(when string) {
		t.Helper()
		before, began := w.acknowledged(), time.Now()
		for w.acknowledged() < before+1000 {
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%s: %d records acknowledged in 30 s", when, w.acknowledged()-before)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	goesOn("with room")
	filler, err := os.Create(filepath.Join(mounted, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(filler, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	filler.Close()
	large := client(t, s.addr)
	noise := rand.NewChaCha8([32]byte{})
	for range 64 { // far more than the room that was promised before
		r := &kgo.Record{Topic: "large", Value: make([]byte, 900<<10)}
		noise.Read(r.Value)
		if err := large.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatalf("on a full disk: %v", err)
		}
	}
	goesOn("on a full disk")
	s.kill()
	s.start(t)
	goesOn("started on a full disk")
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	goesOn("with room again")
	s.kill()
	s.start(t)
	check(t, s.addr, topic, w.stop(t))
	s.stop(t)
	s.verify(t)
}

// zeros is a file without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

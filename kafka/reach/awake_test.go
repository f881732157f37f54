package reach

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Who takes connections and does not answer, as a process does that is stopped, takes nobody's
// time while another one answers; nor does who is not there.
func TestTheAwakeAreFoundBesideTheStopped(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(2))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	stopped, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close()
	at := k.ListenAddrs()
	began := time.Now()
	got := Awake(t.Context(), []string{stopped.Addr().String(), at[0], "127.0.0.1:1", at[1]}, time.Minute)
	if took := time.Since(began); len(got) == 0 || !slices.Contains(at, got[0]) || slices.Contains(got, stopped.Addr().String()) || took > 30*time.Second {
		t.Errorf("%v after %v, want %v", got, took, at)
	}
	if got := Awake(t.Context(), []string{stopped.Addr().String(), "127.0.0.1:1"}, 50*time.Millisecond); len(got) > 0 {
		t.Errorf("awake are %v", got)
	}
}

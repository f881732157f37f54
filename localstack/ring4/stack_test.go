//go:build ring4

package ring4

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack"
	"github.com/firnlog/firn/localstack/cluster"
)

// stackEnv makes this test program a parent of a whole stack that waits to be killed:
// it names the program.
const stackEnv = "RING4_HOLD_STACK"

func upStack(ctx context.Context, kind localstack.Kind, bin string) (*cluster.Stack, error) {
	return cluster.Up(ctx, kind, localstack.Options{}, cluster.Options{Bin: bin, Brokers: 3})
}

func holdStack() int {
	kind, _ := localstack.ByName(os.Getenv(holderEnv))
	s, err := upStack(context.Background(), kind, os.Getenv(stackEnv))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("holding", s.Store.Addr(), strings.Join(s.Addrs(), " "))
	<-s.Store.Exited()
	return 1
}

// TestOneCallIsAWholeStack: a real store, its bucket and three brokers that serve, and
// nothing of it afterwards.
func TestOneCallIsAWholeStack(t *testing.T) {
	needStore(t)
	bin, tmp := binary(t), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s, err := upStack(t.Context(), realStore.Kind(), bin)
	if err != nil {
		t.Fatal(err)
	}
	cl := client(t, "", kgo.SeedBrokers(s.Addrs()...), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("stack"))
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Value: []byte("x")}).FirstErr(); err != nil {
		t.Error(err)
	}
	addrs := append(s.Addrs(), s.Store.Addr())
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	nothing(t, tmp, addrs)
}

// TestStackLeavesNothingBehindWhenItsParentIsKilled: the processes are gone with their
// parent, the folders at the next start.
func TestStackLeavesNothingBehindWhenItsParentIsKilled(t *testing.T) {
	needStore(t)
	bin, tmp := binary(t), t.TempDir()
	t.Setenv("TMPDIR", tmp)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), stackEnv+"="+bin, holderEnv+"="+realStore.Kind().String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addrs := make([]string, 4)
	if _, err := fmt.Fscanf(out, "holding %s %s %s %s\n", &addrs[0], &addrs[1], &addrs[2], &addrs[3]); err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if !answers(a) {
			t.Errorf("%s is not served", a)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	s, err := localstack.NewScratch(t.Context())
	for began := time.Now(); err == nil && len(left(tmp)) > 1 && time.Since(began) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
		// A broker that is still dying writes into its folder.
		if err = s.Close(); err == nil {
			s, err = localstack.NewScratch(t.Context())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	nothing(t, tmp, addrs)
}

// left are the folders of stores and clusters.
func left(tmp string) []string {
	m, _ := filepath.Glob(filepath.Join(tmp, "firn-localstack-*-*"))
	return m
}

// nothing waits until nobody serves at the addresses, and holds the folder for
// temporary files to being empty.
func nothing(t *testing.T, tmp string, addrs []string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, a := range addrs {
		for answers(a) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is still served", a)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if l := left(tmp); len(l) != 0 {
		t.Errorf("left behind: %v", l)
	}
}

//go:build ring4

package ring4

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/localstack"
)

// realStore is the store that all tests of a run share when RING4_STORE names a
// kind; nil otherwise.
var realStore *localstack.Store

// TestMain starts the store that RING4_STORE names: minio or versitygw. Without it
// buckets are folders, and a URL is a bucket that somebody else runs. A store that
// cannot be had fails the run.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(stackEnv) != "":
		os.Exit(holdStack())
	case os.Getenv(holderEnv) != "":
		os.Exit(holdStore())
	}
	code := runOnStore(m)
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

func runOnStore(m *testing.M) int {
	kind, ok := localstack.ByName(os.Getenv("RING4_STORE"))
	if !ok {
		return m.Run()
	}
	s, err := openStore(kind, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: the store of this ring is missing:", err)
		return 1
	}
	realStore = s
	os.Setenv("RING4_STORE", s.URL())
	for _, kv := range localstack.Env() {
		name, value, _ := strings.Cut(kv, "=")
		os.Setenv(name, value)
	}
	code := m.Run()
	if err := s.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	return code
}

func openStore(kind localstack.Kind, progress io.Writer) (*localstack.Store, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 19*time.Minute) // a build on a bare machine among it
	defer cancel()
	return localstack.Start(ctx, kind, localstack.Options{Building: func() { fmt.Fprintf(progress, "building %s from its Go module\n", kind) }})
}

// holderEnv makes this test program a parent of a store that waits to be killed.
const holderEnv = "RING4_HOLD_STORE"

func holdStore() int {
	kind, _ := localstack.ByName(os.Getenv(holderEnv))
	s, err := openStore(kind, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("holding", s.Addr())
	<-s.Exited()
	return 1
}

// TestStoreLeavesNothingBehindWhenItsParentIsKilled: the process is gone with its
// parent, the folder at the next start.
func TestStoreLeavesNothingBehindWhenItsParentIsKilled(t *testing.T) {
	if realStore == nil {
		t.Skip("RING4_STORE names no store to run")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderEnv+"="+realStore.Kind().String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	if _, err := fmt.Fscanf(out, "holding %s\n", &addr); err != nil {
		t.Fatal(err)
	}
	folders := func() []string {
		m, _ := filepath.Glob(filepath.Join(tmp, "firn-localstack-*-*"))
		return m
	}
	if len(folders()) != 1 {
		t.Fatalf("folders of one store: %v", folders())
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for answers(addr) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is still served after its parent's death", addr)
		}
		time.Sleep(20 * time.Millisecond)
	}
	s, err := openStore(realStore.Kind(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	if got := folders(); len(got) != 1 {
		t.Errorf("beside the new store's folder there is what the killed one left: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := folders(); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func answers(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

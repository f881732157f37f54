//go:build unix

package file_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/file"
)

// The test binary runs itself again as another process that puts.
const childEnv = "FIRN_FILE_STORE_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		verb, dir, _ := strings.Cut(spec, ":")
		if err := child(verb, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const rounds = 60

func child(verb, dir string) error {
	s, err := file.Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	ctx := context.Background()
	for i := 0; verb == "fill" || i < rounds; i++ {
		name, body := fmt.Sprintf("race/%d", i), []byte(strings.Repeat(fmt.Sprintf("%d.", os.Getpid()), 1000))
		if verb == "fill" {
			name, body = fmt.Sprintf("fill/%d/%d", i%3, i), summed(i)
		}
		switch err := s.PutIfAbsent(ctx, name, cold.Bytes(body)); {
		case err == nil:
			fmt.Println("won", i, os.Getpid())
		case !errors.Is(err, cold.ErrExists):
			return err
		}
	}
	return nil
}

// summed is a body that ends in its own checksum.
func summed(i int) []byte {
	b := bytes.Repeat([]byte{byte(i), byte(i >> 8), 3, 4, 5, 6, 7, 8}, 64<<10)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(t *testing.T, verb, dir string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+verb+":"+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, in, bufio.NewScanner(out)}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if !p.out.Scan() || p.out.Text() != "ready" {
		t.Fatalf("child says %q, %v", p.out.Text(), p.out.Err())
	}
	return p
}

// C1 holds between processes too.
func TestOneOfSeveralProcessesWins(t *testing.T) {
	dir := t.TempDir()
	var all []*process
	for range 4 {
		all = append(all, start(t, "race", dir))
	}
	for _, p := range all {
		fmt.Fprintln(p.in)
	}
	winners := make(map[int]int)
	for _, p := range all {
		for p.out.Scan() {
			var round, pid int
			if _, err := fmt.Sscanf(p.out.Text(), "won %d %d", &round, &pid); err != nil {
				t.Fatal(p.out.Text())
			}
			if winners[round] != 0 {
				t.Errorf("round %d: %d and %d won", round, winners[round], pid)
			}
			winners[round] = pid
		}
		if err := p.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	s := open(t, dir)
	defer s.Close()
	pids := make(map[int]bool)
	for round := range rounds {
		got, err := s.Get(t.Context(), fmt.Sprintf("race/%d", round), cold.Whole, nil)
		if err != nil || string(got) != strings.Repeat(fmt.Sprintf("%d.", winners[round]), 1000) {
			t.Errorf("round %d, won by %d: %.20q, %v", round, winners[round], got, err)
		}
		pids[winners[round]] = true
	}
	t.Logf("%d of 4 processes won some of %d rounds", len(pids), rounds)
}

// F1 and P1: a process that is killed at any moment leaves whole objects, among
// them all that it was told are stored.
func TestAKilledProcessLeavesWholeObjects(t *testing.T) {
	dir := t.TempDir()
	acknowledged := make(map[int]bool)
	for life := range 4 {
		p := start(t, "fill", dir)
		fmt.Fprintln(p.in)
		for n := 0; n < 5+life*3 && p.out.Scan(); n++ {
			var i, pid int
			fmt.Sscanf(p.out.Text(), "won %d %d", &i, &pid)
			acknowledged[i] = true
		}
		p.cmd.Process.Kill()
		for p.out.Scan() { // what it was told before the end counts too
			var i, pid int
			if n, _ := fmt.Sscanf(p.out.Text(), "won %d %d", &i, &pid); n == 2 {
				acknowledged[i] = true
			}
		}
		p.cmd.Wait()
	}
	s := open(t, dir)
	defer s.Close()
	found := 0
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), info.Name, cold.Whole, nil)
		if err != nil {
			t.Fatal(err)
		}
		end := len(got) - 4
		if end < 0 || crc32.ChecksumIEEE(got[:end]) != binary.BigEndian.Uint32(got[end:]) {
			t.Errorf("%s is torn: %d bytes", info.Name, len(got))
		}
		found++
	}
	for i := range acknowledged {
		if _, err := s.Stat(t.Context(), fmt.Sprintf("fill/%d/%d", i%3, i)); err != nil {
			t.Errorf("acknowledged and lost: %v", err)
		}
	}
	if len(acknowledged) < 20 {
		t.Errorf("only %d acknowledged", len(acknowledged))
	}
	t.Logf("%d objects, %d acknowledged", found, len(acknowledged))
}

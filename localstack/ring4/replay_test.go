//go:build ring4

package ring4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	bigendian "encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// rebuildFromBucket rebuilds every file of the corpus by firn replay, with no broker
// running. The program is killed on its way, each time further on, and started again.
func rebuildFromBucket(t *testing.T, s *stack, topic string, lines int64, want map[string][32]byte) {
	t.Helper()
	dir := t.TempDir()
	out, mark := filepath.Join(dir, "out"), filepath.Join(dir, "checkpoint")
	args := []string{"replay", topic, "--store", s.store, "--out", out, "--checkpoint", mark, "--format", "%K{big32}%k%V{big32}%v"}
	began := time.Now()
	const kills, every = 3, 50 << 20 // the tree comes to some 300 MB in this format
	for kill := int64(1); kill <= kills; kill++ {
		cmd := exec.CommandContext(t.Context(), s.bin, args...)
		var text bytes.Buffer
		cmd.Stdout, cmd.Stderr = &text, &text
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for size(out) < kill*every {
			select {
			case err := <-ended:
				t.Fatalf("firn replay ended before it wrote %d bytes: %v\n%s", kill*every, err, text.Bytes())
			case <-time.After(time.Millisecond):
			}
		}
		cmd.Process.Kill()
		if err := <-ended; err == nil {
			t.Fatalf("firn replay ended before kill %d: it was to be killed on its way", kill)
		}
	}
	if text, err := exec.CommandContext(t.Context(), s.bin, args...).CombinedOutput(); err != nil {
		t.Fatalf("firn replay: %v\n%s", err, text)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	field := func() ([]byte, error) {
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return nil, err
		}
		b := make([]byte, bigendian.BigEndian.Uint32(n[:]))
		_, err := io.ReadFull(r, b)
		return b, err
	}
	files := map[string]*bytes.Buffer{}
	got := int64(0)
	for {
		key, err := field()
		if errors.Is(err, io.EOF) {
			break
		}
		value, verr := field()
		if err != nil || verr != nil {
			t.Fatal(err, verr)
		}
		b := files[string(key)]
		if b == nil {
			b = new(bytes.Buffer)
			files[string(key)] = b
		}
		b.Write(value)
		got++
	}
	if got != lines {
		t.Errorf("%d records came back, %d were acknowledged", got, lines)
	}
	wrong := 0
	for name, sum := range want {
		var b []byte
		if f := files[name]; f != nil {
			b = f.Bytes()
		}
		if sha256.Sum256(b) != sum {
			if wrong++; wrong < 10 {
				t.Errorf("%s came back different from the bucket", name)
			}
		}
	}
	if wrong > 0 {
		t.Fatalf("%d of %d files came back different from the bucket", wrong, len(want))
	}
	t.Logf("%d files rebuilt from the bucket alone in %v, every SHA-256 equal", len(want), time.Since(began).Round(time.Millisecond))
}

// size is how many bytes the file has by now, 0 if it does not exist yet.
func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

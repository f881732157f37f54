//go:build ring4

package ring4

import (
	"bufio"
	"bytes"
	"context"
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
// running. The program is killed some times on its way and started again.
func rebuildFromBucket(t *testing.T, s *stack, topic string, lines int64, want map[string][32]byte) {
	t.Helper()
	dir := t.TempDir()
	out, mark := filepath.Join(dir, "out"), filepath.Join(dir, "checkpoint")
	args := []string{"replay", topic, "--store", s.store, "--out", out, "--checkpoint", mark, "--format", "%K{big32}%k%V{big32}%v"}
	began := time.Now()
	for kill := 0; ; kill++ {
		ctx, cancel := context.WithCancel(t.Context())
		if kill < 3 { // not at a moment that the program chooses; the last run ends by itself
			ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
		}
		cmd := exec.CommandContext(ctx, s.bin, args...) // ended by SIGKILL
		text, err := cmd.CombinedOutput()
		killed := ctx.Err() != nil
		cancel()
		if err == nil {
			t.Logf("killed %d times", kill)
			break
		}
		if !killed {
			t.Fatalf("firn replay: %v\n%s", err, text)
		}
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

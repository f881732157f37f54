package cold_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/firnlog/firn/tier/cold"
)

// A body of segments reads, seeks and writes like one piece of memory, and each
// opening starts over (S2).
func TestSegmentsReadAsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segments := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 20), 0, 12).Draw(t, "segments")
		whole := bytes.Join(segments, nil)
		body := cold.Bytes(segments...)
		if body.Size() != int64(len(whole)) {
			t.Fatalf("size %d, want %d", body.Size(), len(whole))
		}
		r, err := body.Open()
		if err != nil {
			t.Fatal(err)
		}
		like := bytes.NewReader(whole)
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"read", "seek", "write"}).Draw(t, "step") {
			case "read":
				n := rapid.IntRange(0, 30).Draw(t, "n")
				a, b := make([]byte, n), make([]byte, n)
				k, errA := io.ReadFull(r, a)
				m, errB := io.ReadFull(like, b)
				if k != m || errA != errB || !bytes.Equal(a, b) {
					t.Fatalf("read %q, %v, want %q, %v", a[:k], errA, b[:m], errB)
				}
			case "seek":
				whence := rapid.SampledFrom([]int{io.SeekStart, io.SeekCurrent, io.SeekEnd}).Draw(t, "whence")
				to := rapid.Int64Range(-40, 40).Draw(t, "to")
				at, errA := r.Seek(to, whence)
				want, errB := like.Seek(to, whence)
				if (errA == nil) != (errB == nil) {
					t.Fatalf("seek: %v, want %v", errA, errB)
				}
				if end := int64(len(whole)); want > end {
					want, _ = like.Seek(end, io.SeekStart) // where a body stays
				}
				if errA == nil && at != want {
					t.Fatalf("at %d, want %d", at, want)
				}
			case "write":
				var a, b bytes.Buffer
				if _, err := r.(io.WriterTo).WriteTo(&a); err != nil {
					t.Fatal(err)
				}
				if _, err := like.WriteTo(&b); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(a.Bytes(), b.Bytes()) {
					t.Fatalf("wrote %q, want %q", a.Bytes(), b.Bytes())
				}
			}
		}
		again, _ := body.Open()
		if err := iotest.TestReader(again, whole); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSegmentsAreNotCopied(t *testing.T) {
	big := make([]byte, 8<<20)
	n := testing.AllocsPerRun(10, func() {
		r, _ := cold.Bytes(big, big).Open()
		if _, err := r.(io.WriterTo).WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
	if n > 4 {
		t.Errorf("%v allocations", n)
	}
}

func TestFileBodies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("firn"), 0o600); err != nil {
		t.Fatal(err)
	}
	body, err := cold.File(path)
	if err != nil || body.Size() != 4 {
		t.Fatal(err)
	}
	for range 2 {
		r, err := body.Open()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != "firn" {
			t.Errorf("%q, %v", got, err)
		}
		r.Close()
	}
	for _, bad := range []string{filepath.Dir(path), path + "x"} {
		if _, err := cold.File(bad); !errors.Is(err, cold.ErrBody) {
			t.Errorf("%v", err)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	for _, seed := range []string{"a", "a/b", "..", "a//b", ".tmp", "\x00", "wal/7/0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if cold.CheckName(name) == nil && !filepath.IsLocal(name) {
			t.Fatalf("%q leaves the folder", name)
		}
	})
}

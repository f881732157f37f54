package coldtest

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/firnlog/firn/tier/cold"
)

func fileOf(t *testing.T, data []byte) cold.Body {
	t.Helper()
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	body, err := cold.File(path)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// watched is a body that calls then when it is read at or past a byte. It hides
// that it lies in memory.
type watched struct {
	cold.Body
	at   int64
	then func()
}

func (w *watched) Open() (io.ReadSeekCloser, error) {
	r, err := w.Body.Open()
	return &watcher{ReadSeekCloser: r, at: w.at, then: w.then}, err
}

// summed is a watched body that does not hide it: its checksum is taken where it lies, and
// what is read is what is sent.
type summed struct{ *watched }

func (s summed) Segments() [][]byte { return s.Body.(cold.Segmented).Segments() }

type watcher struct {
	io.ReadSeekCloser
	pos, at int64
	then    func()
}

func (w *watcher) Read(p []byte) (int, error) {
	n, err := w.ReadSeekCloser.Read(p[:min(len(p), 64<<10)])
	if w.pos += int64(n); w.pos > w.at {
		w.then()
	}
	return n, err
}

func (w *watcher) Seek(offset int64, whence int) (int64, error) {
	pos, err := w.ReadSeekCloser.Seek(offset, whence)
	w.pos = pos
	return pos, err
}

// broken is a body that does not keep its word.
type broken struct {
	size             int64
	data             []byte
	openErr, readErr error
}

func (b *broken) Size() int64 { return b.size }

func (b *broken) Open() (io.ReadSeekCloser, error) {
	if b.openErr != nil {
		return nil, b.openErr
	}
	return &brokenReader{Reader: bytes.NewReader(b.data), err: b.readErr}, nil
}

type brokenReader struct {
	*bytes.Reader
	err error
}

func (b *brokenReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.err != nil {
		err = b.err
	}
	return n, err
}

func (b *brokenReader) Close() error { return nil }

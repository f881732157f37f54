package cold

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Body is what a put sends. It can be opened again for another attempt and
// yields the same bytes each time (S2). Hedged attempts open it twice at once.
type Body interface {
	Size() int64
	Open() (io.ReadSeekCloser, error)
}

// Segmented is a Body that lies in memory. A driver may hand the segments to the
// kernel as they are; it does not change them.
type Segmented interface {
	Body
	Segments() [][]byte
}

// Bytes is a Body of the segments one after the other. Nothing is copied: the
// caller leaves the memory alone until every put of the body has returned.
func Bytes(segments ...[]byte) Body {
	var size int64
	for _, s := range segments {
		size += int64(len(s))
	}
	return &memory{segments: segments, size: size}
}

type memory struct {
	segments [][]byte
	size     int64
}

func (m *memory) Size() int64                      { return m.size }
func (m *memory) Segments() [][]byte               { return m.segments }
func (m *memory) Open() (io.ReadSeekCloser, error) { return &cursor{body: m}, nil }

// cursor reads a memory body. At is the next byte of segment In; Pos is its
// place in the whole.
type cursor struct {
	body *memory
	in   int
	at   int
	pos  int64
}

func (c *cursor) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && c.in < len(c.body.segments) {
		k := copy(p[n:], c.body.segments[c.in][c.at:])
		n += k
		c.forward(k)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// WriteTo writes each segment as it is.
func (c *cursor) WriteTo(w io.Writer) (int64, error) {
	start := c.pos
	for c.in < len(c.body.segments) {
		rest := c.body.segments[c.in][c.at:]
		if len(rest) == 0 {
			c.forward(0)
			continue
		}
		n, err := w.Write(rest)
		c.forward(n)
		if err == nil && n < len(rest) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return c.pos - start, err
		}
	}
	return c.pos - start, nil
}

// forward takes n bytes of the current segment as read.
func (c *cursor) forward(n int) {
	c.at += n
	c.pos += int64(n)
	if c.at >= len(c.body.segments[c.in]) {
		c.in, c.at = c.in+1, 0
	}
}

func (c *cursor) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.pos
	case io.SeekEnd:
		offset += c.body.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of the body")
	}
	left := min(offset, c.body.size)
	c.in, c.at, c.pos = 0, 0, left
	for c.in < len(c.body.segments) && left >= int64(len(c.body.segments[c.in])) {
		left -= int64(len(c.body.segments[c.in]))
		c.in++
	}
	c.at = int(left)
	return c.pos, nil
}

func (c *cursor) Close() error { return nil }

// File is a Body of the file at path, which must not change until the last put
// of it has returned. Its size is taken now.
func File(path string) (Body, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrBody, path)
	}
	return &onDisk{path: path, size: info.Size()}, nil
}

type onDisk struct {
	path string
	size int64
}

func (f *onDisk) Size() int64 { return f.size }

func (f *onDisk) Open() (io.ReadSeekCloser, error) { return os.Open(f.path) }

package cold

import (
	"errors"
	"io"
)

// ErrCut is what the reader of a Cut body fails with.
var ErrCut = errors.New("cut in the middle, to see what becomes of it")

// Cut is a Body whose reader fails in the middle of one pass over it, 1 for the first: to
// a store that looks as if the sender had died. Drivers go over a body once, or twice, to
// sum it and to send it. It is for those who try out what a store makes of that.
func Cut(body Body, pass int) Body { return &cut{Body: body, pass: pass} }

// cut does not lie in memory, whatever it is made of: what is sent is read.
type cut struct {
	Body
	pass int
}

func (c *cut) Open() (io.ReadSeekCloser, error) {
	r, err := c.Body.Open()
	return &cutter{ReadSeekCloser: r, size: c.Size(), left: c.pass}, err
}

type cutter struct {
	io.ReadSeekCloser
	size, pos int64
	left      int // passes to the one that is cut, that among them
}

func (c *cutter) Read(p []byte) (int, error) {
	if c.left == 1 && c.pos >= c.size/2 {
		return 0, ErrCut
	}
	n, err := c.ReadSeekCloser.Read(p[:min(len(p), 16<<10)])
	if c.pos += int64(n); n > 0 && c.pos == c.size {
		c.left--
	}
	return n, err
}

func (c *cutter) Seek(offset int64, whence int) (int64, error) {
	pos, err := c.ReadSeekCloser.Seek(offset, whence)
	c.pos = pos
	return pos, err
}

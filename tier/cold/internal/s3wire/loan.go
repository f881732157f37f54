package s3wire

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/firnlog/firn/tier/cold"
)

// Loan is a body lent to an HTTP client, which may go on reading in a goroutine
// of its own after the call has returned: net/http says so, and both libraries
// hide Close from it. Once the loan is called back nothing reads the caller's
// memory again (C3).
type Loan struct {
	// The lock spans the reads of the body. That is its purpose: Back waits for a
	// read that is under way, and such a read is a copy from memory or a file.
	mu   sync.Mutex
	body io.ReadSeekCloser
	size int64
	pos  int64
	err  error // of the body

	segments [][]byte // where the body lies in memory, or nil
}

var errBack = errors.New("the put has returned")

// Lend opens the body.
func Lend(body cold.Body) (*Loan, error) {
	r, err := body.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cold.ErrBody, err)
	}
	l := &Loan{body: r, size: body.Size()}
	if m, ok := body.(cold.Segmented); ok {
		l.segments = m.Segments()
	}
	return l, nil
}

// Read implements io.Reader.
func (l *Loan) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.body == nil {
		return 0, errBack
	}
	if left := l.size - l.pos; int64(len(p)) > left {
		p = p[:left] // a file that grew is sent as long as it was said to be
	}
	if len(p) == 0 {
		return 0, io.EOF
	}
	n, err := l.body.Read(p)
	l.pos += int64(n)
	if err == io.EOF && l.pos < l.size {
		err = fmt.Errorf("%d bytes of %d: %w", l.pos, l.size, io.ErrUnexpectedEOF)
	}
	if err != nil && err != io.EOF {
		l.err = fmt.Errorf("%w: %w", cold.ErrBody, err)
		err = l.err
	}
	return n, err
}

// Seek implements io.Seeker: libraries go back to the start before they send.
func (l *Loan) Seek(offset int64, whence int) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.body == nil {
		return 0, errBack
	}
	pos, err := l.body.Seek(offset, whence)
	if err == nil {
		l.pos = pos
	}
	return pos, err
}

// Checksum is the body's CRC-32C as the header x-amz-checksum-crc32c has it. A store
// refuses a body that arrives otherwise: one, too, whose sender died in the middle of it,
// which versitygw 1.8.0 takes for a whole object where no checksum says how it ends. A body
// in memory is not copied; a file is read once, and the loan is at its start again.
func (l *Loan) Checksum() (string, error) {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if l.segments != nil {
		for _, s := range l.segments {
			sum.Write(s)
		}
	} else {
		if _, err := io.Copy(sum, l); err != nil {
			return "", err
		}
		if _, err := l.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
	}
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum.Sum32())), nil
}

// Back ends the loan and returns what was wrong with the body, if anything.
func (l *Loan) Back() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.body != nil {
		l.body.Close()
		l.body = nil
	}
	return l.err
}

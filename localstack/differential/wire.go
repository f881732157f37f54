package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience is how long an answer may take that is not supposed to wait.
const patience = 20 * time.Second

// errClosed says that the broker closed the connection instead of answering.
var errClosed = errors.New("closed")

// wire is one connection to a broker.
type wire struct {
	nc    net.Conn
	corr  int32
	ahead []byte // that peek has read
}

func dial(addr string) (*wire, error) {
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return &wire{nc: nc}, nil
}

func (w *wire) close() { _ = w.nc.Close() }

var format = kmsg.NewRequestFormatter(kmsg.FormatterClientID("differential"))

// send writes a request. That the broker has closed shows when its answer is read.
func (w *wire) send(version int16, q kmsg.Request) {
	q.SetVersion(version)
	w.corr++
	_, _ = w.nc.Write(format.AppendRequest(nil, q, w.corr))
}

// frame reads one answer: its correlation id, and what comes behind it.
func (w *wire) frame() (int32, []byte, error) {
	_ = w.nc.SetReadDeadline(time.Now().Add(patience))
	var head [8]byte
	n := copy(head[:], w.ahead)
	w.ahead = nil
	if _, err := io.ReadFull(w.nc, head[n:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, nil, fmt.Errorf("no answer within %v", patience)
		}
		return 0, nil, errClosed
	}
	body := make([]byte, int32(binary.BigEndian.Uint32(head[:]))-4)
	if _, err := io.ReadFull(w.nc, body); err != nil {
		return 0, nil, fmt.Errorf("an answer that is cut: %w", err)
	}
	return int32(binary.BigEndian.Uint32(head[4:])), body, nil
}

// peek waits for the beginning of an answer. It fails with os.ErrDeadlineExceeded when
// none comes.
func (w *wire) peek(wait time.Duration) error {
	if len(w.ahead) > 0 {
		return nil
	}
	_ = w.nc.SetReadDeadline(time.Now().Add(wait))
	var b [1]byte
	n, err := w.nc.Read(b[:])
	w.ahead = b[:n]
	return err
}

// receive reads the answer to a request of this version.
func (w *wire) receive(version int16, q kmsg.Request) (kmsg.Response, error) {
	corr, body, err := w.frame()
	if err != nil {
		return nil, err
	}
	if corr != w.corr {
		return nil, fmt.Errorf("answer %d to request %d", corr, w.corr)
	}
	r := q.ResponseKind()
	r.SetVersion(version)
	if r.IsFlexible() && r.Key() != keyApiVersions {
		if body[0] != 0 {
			return nil, fmt.Errorf("the header has tags: % x", body[:8])
		}
		body = body[1:]
	}
	if err := r.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("an answer that kmsg does not read (%w): %s", err, hex.EncodeToString(body))
	}
	if again := r.AppendTo(nil); !bytes.Equal(again, body) {
		return r, &inexact{got: body, want: again}
	}
	return r, nil
}

// inexact says that an answer is not what kmsg would have encoded.
type inexact struct{ got, want []byte }

func (e *inexact) Error() string { return fmt.Sprintf("not exact: % x, want % x", e.got, e.want) }

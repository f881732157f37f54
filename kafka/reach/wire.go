package reach

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// errForeign is the error of an answer that is not Kafka's. Its text says whose it is.
type errForeign struct{ what string }

func (e *errForeign) Error() string { return "not Kafka: " + e.what }

// errSilent is the error of a connection that was closed, or went silent, instead of
// being answered.
var errSilent = errors.New("no answer")

const (
	maxAnswer   = 64 << 20
	speaksTLS   = "it speaks TLS"
	apiVersions = 18
	metadataKey = 3
)

// line is one connection to a broker, for one request after the other.
type line struct {
	net.Conn
	format  *kmsg.RequestFormatter
	next    int32
	timeout time.Duration
}

// ask sends a request and reads its answer. It fails with an *errForeign, with
// errSilent, or because the answer is none to the request.
func (l *line) ask(ctx context.Context, q kmsg.Request) (kmsg.Response, error) {
	stop := context.AfterFunc(ctx, func() { l.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	l.SetDeadline(time.Now().Add(l.timeout))
	l.next++
	if _, err := l.Write(l.format.AppendRequest(nil, q, l.next)); err != nil {
		return nil, fmt.Errorf("%w: %w", errSilent, err)
	}
	var head [8]byte // length, correlation id
	if _, err := io.ReadFull(l, head[:]); err != nil {
		if what := foreign(head); what != "" {
			return nil, &errForeign{what}
		}
		return nil, fmt.Errorf("%w: %w", errSilent, err)
	}
	size, id := binary.BigEndian.Uint32(head[:]), int32(binary.BigEndian.Uint32(head[4:]))
	switch what := foreign(head); {
	case what != "":
		return nil, &errForeign{what}
	case size < 4 || size > maxAnswer || id != l.next:
		return nil, &errForeign{fmt.Sprintf("the answer begins with % x", head)}
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(l, body); err != nil {
		return nil, fmt.Errorf("%w: %w", errSilent, err)
	}
	r := q.ResponseKind()
	r.SetVersion(q.GetVersion())
	if q.Key() != apiVersions && q.IsFlexible() { // the header ends in tags: nobody sends any yet
		if len(body) == 0 || body[0] != 0 {
			return nil, &errForeign{"unknown tags in the header of an answer"}
		}
		body = body[1:]
	}
	if err := r.ReadFrom(body); err != nil {
		return nil, &errForeign{fmt.Sprintf("an answer to %s that cannot be read: %v", kmsg.NameForKey(q.Key()), err)}
	}
	return r, nil
}

// foreign recognises who else answers on such ports.
func foreign(head [8]byte) string {
	switch {
	case string(head[:4]) == "HTTP":
		return "an HTTP server answers there"
	case head[0] == 0x15 && head[1] == 3:
		return speaksTLS
	case string(head[:4]) == "SSH-":
		return "an SSH server answers there"
	}
	return ""
}

package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed says that the bytes of a request are not what they claim to be.
// The connection that they came from is closed.
var ErrMalformed = errors.New("malformed request")

// header is the head of every request:
//
//	offset  size  field
//	0       2     API key
//	2       2     API version
//	4       4     correlation id
//	8       2+n   client id, n = -1 for null      (header v1; never compact)
//	…       …     tagged fields                   (header v2: flexible versions)
type header struct {
	key, version int16
	correlation  int32
	client       string
}

// clientMax bounds how much of a client id is kept, for logs and groups.
const clientMax = 256

// parseHeader splits a frame into its header and its body. flexible says whether
// this version of this API has header v2.
func parseHeader(frame []byte, flexible bool) (h header, body []byte, err error) {
	if len(frame) < 10 {
		return h, nil, fmt.Errorf("%w: header of %d bytes", ErrMalformed, len(frame))
	}
	h.key = int16(binary.BigEndian.Uint16(frame))
	h.version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.correlation = int32(binary.BigEndian.Uint32(frame[4:]))
	n := int(int16(binary.BigEndian.Uint16(frame[8:])))
	body = frame[10:]
	switch {
	case n < -1 || n > len(body):
		return h, nil, fmt.Errorf("%w: client id of %d bytes", ErrMalformed, n)
	case n > 0:
		h.client = string(body[:min(n, clientMax)])
		body = body[n:]
	}
	if flexible {
		w := walk{rest: body, left: maxTags}
		if err := w.tags(nil, 0, true); err != nil {
			return h, nil, fmt.Errorf("header: %w", err)
		}
		body = w.rest
	}
	return h, body, nil
}

package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/firnlog/firn/broker/settings"
)

// reachWait is how long a broker may take to answer.
const reachWait = 500 * time.Millisecond

// apiVersions is the smallest request there is: ApiVersions (18), v0, correlation id 0,
// client "firn".
var apiVersions = []byte("\x00\x00\x00\x0e\x00\x12\x00\x00\x00\x00\x00\x00\x00\x04firn")

// reach is session.reach on the network: whether somebody answers there. A process that
// is stopped takes connections, and does not answer; one that wants no connection, or
// not this request, is there.
func (b *Broker) reach(ctx context.Context, advertised string) bool {
	es, err := settings.ParseEndpoints(advertised)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, reachWait)
	defer cancel()
	c, err := b.opts.Network.Dial(ctx, es[0].Address())
	if err != nil {
		return false
	}
	defer c.Close()
	return answers(c, time.Now().Add(reachWait))
}

func answers(c net.Conn, until time.Time) bool {
	if c.SetDeadline(until) != nil {
		return false
	}
	_, err := c.Write(apiVersions)
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 4))
	}
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

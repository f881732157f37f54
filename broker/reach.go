package broker

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/kafka/reach"
)

// reachWait is how long a broker may take to answer.
const reachWait = 500 * time.Millisecond

// reach is session.reach on the network: whether a broker of this cluster answers there. A
// process that is stopped takes connections, and does not answer. One that wants no
// connection, or not this request, is there; one of another cluster, or that speaks another
// protocol, is not: a dead broker's address may be somebody else's by now.
func (b *Broker) reach(ctx context.Context, advertised string) bool {
	es, err := settings.ParseEndpoints(advertised)
	if err != nil {
		return false
	}
	dctx, cancel := context.WithTimeout(ctx, reachWait)
	defer cancel()
	c, err := b.opts.Network.Dial(dctx, es[0].Address())
	if err != nil {
		return false
	}
	defer c.Close()
	cluster, err := reach.Whose(ctx, c, reachWait)
	switch {
	case err == nil:
		return cluster == b.journal.State().ClusterID()
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, reach.ErrStranger):
		return false
	}
	return true
}

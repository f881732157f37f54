package reach

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrStranger says that somebody answers who is no broker: an HTTP server, say.
var ErrStranger = errors.New("no broker answers there")

// Whose asks for the cluster of the broker at the other end of a connection, and waits for
// so long at most. ErrStranger is definite. Every other error says that nothing is known: the
// connection was closed, or encryption is wanted, or, as an os.ErrDeadlineExceeded, nobody
// answered in time.
func Whose(ctx context.Context, c net.Conn, timeout time.Duration) (cluster string, err error) {
	l := line{Conn: c, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("firn")), timeout: timeout}
	q := kmsg.NewPtrMetadataRequest()
	q.Version, q.Topics = 2, []kmsg.MetadataRequestTopic{} // of no topic; the first version with a cluster
	r, err := l.ask(ctx, q)
	var other *errForeign
	switch {
	case errors.As(err, &other) && other.what != speaksTLS:
		return "", errors.Join(ErrStranger, err)
	case err != nil:
		return "", err
	}
	if id := r.(*kmsg.MetadataResponse).ClusterID; id != nil {
		cluster = *id
	}
	return cluster, nil
}

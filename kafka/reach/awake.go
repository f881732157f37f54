package reach

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// moment is how much longer than the first the others may take to answer.
const moment = 100 * time.Millisecond

// Awake are those of several addresses at which a broker answers, in their order. It asks all
// at once and waits a moment beyond the first answer, or for patience when nobody answers:
// one that is stopped takes connections, and a client that came to it first would wait for
// all of its time. Whatever answers is an answer; why one does not, the client finds out.
func Awake(ctx context.Context, addrs []string, patience time.Duration) []string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type answer struct {
		addr  string
		awake bool
	}
	answers := make(chan answer, len(addrs))
	for _, addr := range addrs {
		go func() { answers <- answer{addr, speaks(ctx, addr, patience)} }()
	}
	var awake []string
	var enough <-chan time.Time
	for range addrs {
		select {
		case a := <-answers:
			if !a.awake {
				continue
			}
			if awake = append(awake, a.addr); enough == nil {
				enough = time.After(moment)
			}
			continue
		case <-enough:
		case <-ctx.Done():
		}
		break
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a string) bool { return !slices.Contains(awake, a) })
}

// speaks asks a broker what it speaks (ApiVersions, 18), which every broker answers.
func speaks(ctx context.Context, addr string, patience time.Duration) bool {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	l := line{Conn: c, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("firn")), timeout: patience}
	_, err = l.ask(ctx, kmsg.NewPtrApiVersionsRequest())
	return err == nil
}

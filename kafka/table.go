package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/time/rate"
)

// api is one row of the table: everything that the connection must know to serve
// requests of one key.
type api struct {
	key      int16
	name     string
	min, max int16 // versions served
	// fromZero makes ApiVersions tell 0 instead of min (Produce only, kafka.md 4).
	fromZero bool
	shape    body

	// waits is set when serving may wait for something other than storage: it ends
	// when the client leaves or the server drains.
	waits bool

	// Exactly one of these is set. serve answers at the request's turn. start begins
	// at once, in the order of the requests, and what it returns waits for the
	// answer (K2).
	serve func(ctx context.Context, n *node, c *call) answer
	start func(ctx context.Context, n *node, c *call) func(ctx context.Context) answer
}

// flexible says whether a version has compact lengths and tagged fields (KIP-482).
func (a *api) flexible(version int16) bool {
	return a.shape.flexible >= 0 && version >= a.shape.flexible
}

// serves says whether a version is served.
func (a *api) serves(version int16) bool { return a.min <= version && version <= a.max }

// call is one request.
type call struct {
	header
	api     *api
	request kmsg.Request
	frame   *buffer // of Produce; nil otherwise
	bytes   int     // of the frame
	remote  string
	peer    string // the connection's other end
	// listener is the name of the one that the client came by.
	listener string
}

// answer is what goes back.
type answer struct {
	response kmsg.Response // nil when fetch is set, or nothing is answered
	fetch    *fetched
	close    error // why the connection is closed afterwards
}

// on makes an api's serve from a method that answers one kind of request.
func on[Q kmsg.Request, R kmsg.Response](f func(*node, context.Context, *call, Q) R) func(context.Context, *node, *call) answer {
	return func(ctx context.Context, n *node, c *call) answer {
		r := f(n, ctx, c, c.request.(Q))
		r.SetVersion(c.version)
		return answer{response: r}
	}
}

// table is every API there is, by key: the one list that drives both dispatch
// and ApiVersions (K5).
type table map[int16]*api

func newTable() table {
	t := table{}
	for _, a := range []api{
		apiProduce(),
		apiFetch(),
		apiListOffsets(),
		apiMetadata(),
		apiOffsetCommit(),
		apiOffsetFetch(),
		apiFindCoordinator(),
		apiJoinGroup(),
		apiHeartbeat(),
		apiLeaveGroup(),
		apiSyncGroup(),
		apiDescribeGroups(),
		apiListGroups(),
		apiApiVersions(),
		apiCreateTopics(),
		apiDeleteTopics(),
		apiDeleteRecords(),
		apiInitProducerID(),
		apiOffsetForLeaderEpoch(),
		apiDescribeACLs(),
		apiCreateACLs(),
		apiDeleteACLs(),
		apiDescribeConfigs(),
		apiAlterConfigs(),
		apiAlterReplicaLogDirs(),
		apiDescribeLogDirs(),
		apiCreatePartitions(),
		apiDeleteGroups(),
		apiElectLeaders(),
		apiIncrementalAlterConfigs(),
		apiAlterPartitionReassignments(),
		apiListPartitionReassignments(),
		apiOffsetDelete(),
		apiDescribeClientQuotas(),
		apiDescribeUserScramCredentials(),
		apiDescribeQuorum(),
		apiDescribeCluster(),
		apiListConfigResources(),
		apiDescribeTopicPartitions(),
	} {
		if t[a.key] != nil || (a.serve == nil) == (a.start == nil) {
			panic(fmt.Sprintf("K5: row %d of the table", a.key))
		}
		t[a.key] = &a
	}
	return t
}

// node answers requests for one broker. It holds no state of its own.
type node struct {
	Backend
	table      table
	place      string // Options.Place
	wall       func() time.Time
	log        *slog.Logger
	complaints *rate.Limiter // of log
	sends      *sends
	stock      *stock
}

// code is codeOf for what a backend failed with. Faults that are not the client's
// end here: they are logged, some a second at most.
func (n *node) code(api string, err error) code {
	c := codeOf(err)
	if (c == codeUnknownServerError || c == codeKafkaStorageError) && n.complaints.Allow() {
		n.log.Error("a request failed", "api", api, "err", err)
	}
	return c
}

package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
)

const keyFetch = 1

// Fetch (1): committed batches out of the log, waiting for them if need be.
//
//   - Limits are those of KIP-74 (fetch_plan.go): partitions in the order of the
//     request, batches whole, the first one however large (kafka.md 30).
//   - The wait ends at min_bytes, max_wait, an error, a diverging epoch, or when
//     nothing was asked for (kafka.md 31); and when the client leaves.
//   - read_committed is served up to the last stable offset, with the aborted
//     transactions that overlap what is returned; read_uncommitted up to the high
//     watermark, with none: null (kafka.md 33, 34). Control batches are sent
//     (kafka.md 35).
//   - Outside of [log start, high watermark] is OFFSET_OUT_OF_RANGE (kafka.md 36).
//   - Sessions are declined: every answer has session id 0, which makes clients send
//     whole requests (kafka.md 32). A request that continues a session gets
//     FETCH_SESSION_ID_NOT_FOUND.
//   - v5 log start, v9 current leader epoch (KIP-320), v11 rack (KIP-392, nearest.go), v12
//     diverging epoch and current leader (KIP-595), v13 topic ids only (KIP-516), v16
//     addresses of current leaders (KIP-951). v17 and v18 are for replicas, of which
//     there are none; a request that claims to be one is refused.
//   - Batches of zstd are sent in every version, as Kafka 4 does: KIP-110 refused them
//     before v10, but there are clients that know zstd and ask with less.
//   - Payloads are not copied: the answer refers to what the log read (encode.go).
func apiFetch() api {
	return api{
		key: keyFetch, name: "Fetch", min: 4, max: 16,
		shape: parseShape(12, `replica:i32@0-14 wait:i32 min:i32 max:i32@3+ isolation:i8@4+ session:i32@7+ epoch:i32@7+
			topics:[ name:str@0-12 id:uuid@13+ partitions:[
				partition:i32 leaderEpoch:i32@9+ offset:i64 lastEpoch:i32@12+ start:i64@5+ max:i32 0~dir:uuid 1~hw:i64
			] ]
			forgotten:[ name:str@7-12 id:uuid@13+ partitions:[i32] ]@7+ rack:str@11+
			0~cluster:str? 1~state:( id:i32 epoch:i64 )`),
		waits: true,
		serve: func(ctx context.Context, n *node, c *call) answer {
			return answer{fetch: n.fetch(ctx, c, c.request.(*kmsg.FetchRequest))}
		},
	}
}

// fetched is the answer to a Fetch.
type fetched struct {
	code    code // of the whole answer
	topics  []fetchedTopic
	brokers []Broker // addresses of current leaders (KIP-951)

	stock *stock
	held  int // bytes that it has of stock
}

type fetchedTopic struct {
	name       string
	id         [16]byte
	partitions []fetchedPartition
}

// fetchedPartition is the answer for one partition.
type fetchedPartition struct {
	index  int32
	code   code
	hw     int64
	lso    int64
	start  int64
	found  Batches
	leader int32 // when the client should go elsewhere, or -1
	epoch  int32 // of leader, or -1
	// nearest is the broker that the client is to read from next (KIP-392), or -1.
	nearest int32
	// diverging tells where the client's log parts from ours (KIP-595); -1 if not.
	divergingEpoch int32
	divergingEnd   int64
	committed      bool // read_committed: aborted transactions are a list, not null
}

func (p *fetchedPartition) size() int {
	n := 0
	for _, b := range p.found.Bytes {
		n += len(b)
	}
	return n
}

// release gives back the bytes of all partitions.
func (f *fetched) release() {
	for i := range f.topics {
		for j := range f.topics[i].partitions {
			f.topics[i].partitions[j].drop()
		}
	}
	f.hold(0)
}

// hold changes how many bytes of the stock the answer has.
func (f *fetched) hold(n int) {
	f.stock.give(f.held - n)
	f.held = n
}

// drop gives back the bytes of a partition.
func (p *fetchedPartition) drop() {
	if p.found.Release != nil {
		p.found.Release()
	}
	p.found = Batches{}
}

// fetching is a Fetch while it is served.
type fetching struct {
	n        *node
	version  int16
	listener string
	peer     string
	q        *kmsg.FetchRequest
	max      int
	parts    []*fetchPart
	f        *fetched

	heard *view // taken once somebody asked for what the log does not have yet

	todo  []*fetchPart // scratch of pass
	maxes []int
}

// coldPatience is how long reads of one Fetch may take altogether, where the
// client's max_wait is shorter, once there is something to answer with.
const coldPatience = time.Second

// coldLimit is how much longer than max_wait a Fetch may take in all, when reads
// hang: clients give up after 30 s by default (request.timeout.ms). What was read
// until then is sent.
const coldLimit = 25 * time.Second

// fetchPart is one partition of a Fetch.
type fetchPart struct {
	q    *kmsg.FetchRequestTopicPartition
	a    *fetchedPartition
	id   record.Partition
	read bool // it exists and may have something to read
	end  int64
}

func (n *node) fetch(ctx context.Context, c *call, q *kmsg.FetchRequest) *fetched {
	switch {
	case q.ReplicaID >= 0 || q.ReplicaState.ID >= 0:
		return &fetched{code: codeInvalidRequest} // CVE-2018-1288: nobody here is a replica
	case q.SessionEpoch > 0 || q.SessionEpoch < -1:
		return &fetched{code: codeFetchSessionIDNotFound}
	}
	f := &fetching{n: n, version: c.version, listener: c.listener, peer: c.peer, q: q, f: &fetched{stock: n.stock}}
	f.max = int(min(int64(q.MaxBytes), n.settingInt(settingFetchMax, defaultFetchMaxBytes)))
	whole := false
	defer func() {
		if !whole { // a panic: nobody will write the answer
			f.f.release()
		}
	}()
	f.wait(ctx)
	whole = true
	return f.f
}

// wait fills the answer in and returns when it is to be sent.
func (f *fetching) wait(ctx context.Context) {
	n, q := f.n, f.q
	f.resolve(ctx)
	f.settle(ctx)

	wait := time.Duration(max(q.MaxWaitMillis, 0)) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, wait+coldLimit)
	defer cancel()
	deadline := time.Now().Add(wait)
	enough := time.Now().Add(max(wait, coldPatience))
	var watch Watch
	var timer *time.Timer
	for {
		if watch == nil && q.MaxWaitMillis > 0 && q.MinBytes > 0 {
			// Before the look, so that nothing is missed between look and wait.
			watch = n.Log.Watch(f.watched())
			defer watch.Close()
		}
		if f.pass(ctx, enough) || watch == nil || !time.Now().Before(deadline) {
			return
		}
		if timer == nil {
			timer = time.NewTimer(time.Until(deadline))
			defer timer.Stop()
		}
		select {
		case <-watch.Ready():
		case <-timer.C:
			// One last look: what came since is worth an answer.
			f.pass(ctx, enough)
			return
		case <-ctx.Done():
			return
		}
	}
}

// resolve finds the partitions, and makes the answer with a place for each.
func (f *fetching) resolve(ctx context.Context) {
	v := f.n.view()
	f.f.topics = make([]fetchedTopic, 0, len(f.q.Topics))
	for i := range f.q.Topics {
		qt := &f.q.Topics[i]
		t, code := v.topic(ctx, qt.Topic, qt.TopicID, f.version >= 13)
		ft := fetchedTopic{name: qt.Topic, id: qt.TopicID, partitions: make([]fetchedPartition, len(qt.Partitions))}
		for j := range qt.Partitions {
			qp, a := &qt.Partitions[j], &ft.partitions[j]
			a.reset(qp.Partition, f.q.IsolationLevel == 1)
			p := &fetchPart{q: qp, a: a}
			f.parts = append(f.parts, p)
			if code != codeNone {
				a.code, a.committed = code, true // an empty list of aborted transactions, as Kafka's
				continue
			}
			part, code := v.partition(ctx, t, qp.Partition)
			if a.code = code; code == codeNone {
				p.id, p.read = part.ID, true
			} else {
				a.committed = true
			}
		}
		f.f.topics = append(f.f.topics, ft)
	}
}

// settle waits for what is not led here, unless it is here for those who are near.
func (f *fetching) settle(ctx context.Context) {
	var ps []record.Partition
	for _, p := range f.parts {
		if _, led := f.n.Log.Progress(p.id); led || !p.read {
			continue // without a list of them: it is all of them as a rule
		}
		if _, near := f.history(p); !near {
			ps = append(ps, p.id)
		}
	}
	f.n.settle(ctx, ps)
}

func (p *fetchedPartition) reset(index int32, committed bool) {
	p.drop()
	*p = fetchedPartition{index: index, hw: -1, lso: -1, start: -1, leader: -1, epoch: -1, nearest: -1, divergingEpoch: -1, divergingEnd: -1, committed: committed}
}

func (f *fetching) watched() []record.Partition {
	ids := make([]record.Partition, 0, len(f.parts))
	for _, p := range f.parts {
		if p.read {
			ids = append(ids, p.id)
		}
	}
	return ids
}

// pass looks at every partition, in the order of the request, and reads what fits.
// It reports whether the answer is to be sent now.
func (f *fetching) pass(ctx context.Context, enough time.Time) bool {
	plan := fetchPlan{left: f.max, min: int(f.q.MinBytes)}
	todo, maxes := f.todo[:0], f.maxes[:0]
	for _, p := range f.parts {
		if !p.read {
			continue // its fault is known, and does not keep others from waiting
		}
		plan.partitions++
		p.a.reset(p.q.Partition, f.q.IsolationLevel == 1)
		var ok bool
		if p.end, ok = f.look(ctx, p); !ok {
			plan.ended = true
		} else if p.q.FetchOffset < p.end {
			todo, maxes = append(todo, p), append(maxes, int(p.q.PartitionMaxBytes))
		}
	}
	f.todo, f.maxes = todo, maxes
	f.f.hold(0) // what the last pass read was dropped
	if len(todo) > 0 {
		want := 0
		for _, n := range maxes {
			want = min(want+max(n, 0), f.max)
		}
		if f.f.held = f.n.stock.take(want); f.f.held < want {
			// Who waits for more than half of that might wait for what has no room.
			plan.left, plan.min = f.f.held, min(plan.min, f.f.held/2)
		}
		defer func() { f.f.hold(plan.got) }()
	}
	for len(todo) > 0 {
		if plan.got > 0 && !time.Now().Before(enough) {
			// No time left for cold partitions behind one that gave something: the
			// client asks for them first next time (KIP-74).
			break
		}
		limits, whole := plan.next(maxes)
		if len(limits) == 0 {
			break
		}
		f.read(ctx, todo[:len(limits)], limits, whole)
		for _, p := range todo[:len(limits)] {
			if p.a.code != codeNone {
				plan.ended = true
				f.hint(p)
			}
			plan.took(p.a.size())
		}
		todo, maxes = todo[len(limits):], maxes[len(limits):]
	}
	return plan.send()
}

// read reads partitions at the same time.
func (f *fetching) read(ctx context.Context, parts []*fetchPart, limits []int, whole bool) {
	together(len(parts), fetchWidth, func(i int) { f.readOne(ctx, parts[i], limits[i], whole) })
}

func (f *fetching) readOne(ctx context.Context, p *fetchPart, limit int, whole bool) {
	var err error
	p.a.found, err = f.n.Log.Read(ctx, Read{
		Partition: p.id, From: p.q.FetchOffset, End: p.end, MaxBytes: limit, Whole: whole, Aborted: p.a.committed,
	})
	if err != nil {
		p.a.code = f.fault(ctx, err)
	}
}

// fault is the code for an error of the log. Consumers give up at a code that they
// do not expect of Fetch, as REQUEST_TIMED_OUT is, so a slow bucket is a storage
// error; and when nobody waits for the answer any more, there is just nothing in it.
func (f *fetching) fault(ctx context.Context, err error) code {
	if ctx.Err() == context.Canceled {
		return codeNone
	}
	if c := f.n.code("Fetch", err); c != codeRequestTimedOut {
		return c
	}
	return codeKafkaStorageError
}

// look finds how far a partition has come, and up to where the client may read.
// false when the answer for it is complete.
func (f *fetching) look(ctx context.Context, p *fetchPart) (end int64, ok bool) {
	pr, code := f.replica(p)
	if p.a.code = code; code != codeNone {
		f.hint(p)
		return 0, false
	}
	p.a.hw, p.a.lso, p.a.start = pr.HighWatermark, pr.LastStable, pr.LogStart
	if p.a.nearest >= 0 {
		return 0, false // back to the leader, who alone knows what is there
	}
	if f.version >= 12 && p.q.LastFetchedEpoch >= 0 {
		if p.q.LastFetchedEpoch > pr.Epoch {
			return f.beyond(ctx, p, pr) // an epoch that has not been
		}
		epoch, end, err := pr.epochEnd(ctx, p.q.LastFetchedEpoch)
		switch {
		case err != nil:
			p.a.code = f.fault(ctx, err)
			f.hint(p)
			return 0, false
		case epoch < 0:
			return f.outOfRange(p)
		case epoch < p.q.LastFetchedEpoch || end < p.q.FetchOffset:
			p.a.divergingEpoch, p.a.divergingEnd = epoch, end
			return 0, false
		}
	}
	if p.q.FetchOffset > pr.HighWatermark {
		return f.beyond(ctx, p, pr)
	}
	if p.q.FetchOffset < pr.LogStart {
		return f.outOfRange(p)
	}
	if pr.leader {
		if p.a.nearest = f.nearest(p); p.a.nearest >= 0 {
			return 0, false
		}
	}
	if p.a.committed {
		return pr.LastStable, true
	}
	return pr.HighWatermark, true
}

// outOfRange is the answer to an offset that the log does not have: without the
// offsets that it has, for which clients ask ListOffsets.
func (f *fetching) outOfRange(p *fetchPart) (int64, bool) {
	p.a.reset(p.q.Partition, p.a.committed)
	p.a.code = codeOffsetOutOfRange
	return 0, false
}

// beyond is the answer to what the log does not have yet: the client is wrong, or it has
// read from a newer leader, of whom this broker has not heard. At OFFSET_OUT_OF_RANGE a
// consumer passes over what is there, so that is made sure of, once for all partitions.
func (f *fetching) beyond(ctx context.Context, p *fetchPart, pr replica) (int64, bool) {
	if !pr.leader {
		return f.outOfRange(p) // of what the newest state describes
	}
	if f.heard == nil {
		v := f.n.view()
		v.hear(ctx)
		f.heard = &v
	}
	if c, ok := f.heard.Partition(p.id); ok && c.Epoch <= pr.Epoch {
		return f.outOfRange(p)
	}
	p.a.reset(p.q.Partition, p.a.committed)
	p.a.code = codeNotLeaderOrFollower
	f.hint(p)
	return 0, false
}

// hint tells the client who leads the partition now (KIP-951).
func (f *fetching) hint(p *fetchPart) {
	if p.a.code != codeNotLeaderOrFollower && p.a.code != codeFencedLeaderEpoch {
		return
	}
	v := f.n.viewBy(f.listener)
	part, ok := v.Partition(p.id)
	if !ok {
		return
	}
	node, ok := v.leader(part)
	if !ok || node == v.self && p.a.code == codeNotLeaderOrFollower {
		return
	}
	p.a.leader, p.a.epoch = node, part.Epoch
	if f.version < 16 {
		return
	}
	for _, b := range f.f.brokers {
		if b.Node == node {
			return
		}
	}
	b, _ := v.broker(node)
	f.f.brokers = append(f.f.brokers, b)
}

package group

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// transcript runs testdata/name.txt: lines that are not indented are commands, the
// indented lines behind each are what came of it.
func transcript(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := newScript(t)
	for _, line := range strings.Split(strings.TrimRight(string(want), "\n"), "\n") {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		fmt.Fprintln(&s.out, line)
		if line != "" && line[0] != '#' {
			s.run(line)
		}
	}
	if got := s.out.String(); got != string(want) {
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("%s:%d:\n want %s\n got  %s", path, i+1, a[i], b[i])
			}
		}
		t.Fatalf("%s: %d lines, want %d", path, len(b), len(a))
	}
}

// script is a machine under commands. Everything that is written is durable at
// once; the order of records and answers is shown.
type script struct {
	t     *testing.T
	out   strings.Builder
	cfg   Config
	m     *Machine
	now   int64
	log   []replayed
	ids   int
	given map[string]bool
}

type replayed struct {
	producer int64
	Record
}

func newScript(t *testing.T) *script {
	s := &script{t: t, now: 1, given: map[string]bool{}}
	s.restart()
	return s
}

func (s *script) restart() {
	s.m = New(s.cfg, func(prefix string) string { s.ids++; return fmt.Sprintf("%s-%d", prefix, s.ids) })
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, "    "+format+"\n", args...) }

// fields are the words of a command, and its key=value pairs.
type args struct {
	words []string
	named map[string]string
	pairs [][2]string
}

func parse(line string) args {
	a := args{named: map[string]string{}}
	for _, w := range strings.Fields(line) {
		if k, v, ok := strings.Cut(w, "="); ok {
			a.named[k] = v
			a.pairs = append(a.pairs, [2]string{k, v})
		} else {
			a.words = append(a.words, w)
		}
	}
	return a
}

func (a args) str(k, def string) string {
	if v, ok := a.named[k]; ok {
		return v
	}
	return def
}

func (a args) opt(k string) *string {
	if v, ok := a.named[k]; ok {
		return &v
	}
	return nil
}

func (a args) num(k string, def int64) int64 {
	v, ok := a.named[k]
	if !ok {
		return def
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (s *script) run(line string) {
	a := parse(line)
	id := a.str("group", "g")
	switch a.words[0] {
	case "config":
		s.cfg = Config{InitialDelayMs: a.num("delay", 0), MaxSize: int(a.num("size", 0)), RetentionMs: a.num("retention", 0),
			CheckMs: a.num("check", 0), MaxRecordBytes: int(a.num("record", 0)), MaxProtocolBytes: int(a.num("protocol", 0)),
			MetadataMax: int(a.num("metadata", 0)), MaxGroups: int(a.num("groups", 0))}
		s.m.Configure(s.cfg)
	case "join":
		s.m.Join(s.now, s.now, joinRequest(id, a), a.words[1])
	case "sync":
		r := &SyncRequest{Group: id, MemberID: a.str("id", ""), InstanceID: a.opt("instance"), Generation: int32(a.num("gen", 0)),
			ProtocolType: a.opt("type"), Protocol: a.opt("protocol"), NeedProtocol: a.num("v", 4) >= 5}
		for _, x := range strings.FieldsFunc(a.str("assign", ""), func(r rune) bool { return r == ',' }) {
			m, data, _ := strings.Cut(x, ":")
			r.Assignments = append(r.Assignments, Assignment{m, []byte(data)})
		}
		s.m.Sync(s.now, s.now, r, a.words[1])
	case "heartbeat":
		s.printf("%v", orOK(s.m.Heartbeat(s.now, &HeartbeatRequest{Group: id, MemberID: a.str("id", ""), InstanceID: a.opt("instance"), Generation: int32(a.num("gen", 0))})))
	case "leave":
		r := &LeaveRequest{Group: id}
		for _, p := range a.pairs {
			switch p[0] {
			case "id":
				r.Members = append(r.Members, LeaveMember{ID: p[1]})
			case "instance":
				r.Members = append(r.Members, LeaveMember{InstanceID: &p[1]})
			case "both":
				m, i, _ := strings.Cut(p[1], "/")
				r.Members = append(r.Members, LeaveMember{m, &i})
			}
		}
		resp := s.m.Leave(s.now, s.now, r)
		for i, err := range resp.Errs {
			s.printf("%s%s: %v", r.Members[i].ID, show(r.Members[i].InstanceID), orOK(err))
		}
	case "commit":
		r := &CommitRequest{Group: id, MemberID: a.str("id", ""), InstanceID: a.opt("instance"), Generation: int32(a.num("gen", -1)),
			NewErrors: a.num("v", 8) >= 9, RetentionMs: a.num("retention", -1)}
		r.Offsets = offsets(a)
		for i, err := range s.m.Commit(s.now, s.now, r).Errs {
			s.printf("%s/%d: %v", r.Offsets[i].Topic, r.Offsets[i].Partition, orOK(err))
		}
	case "fetch":
		r := &FetchRequest{Group: id, RequireStable: slices.Contains(a.words, "stable")}
		for _, w := range a.words[1:] {
			if w != "stable" {
				r.Partitions = append(r.Partitions, partition(w))
			}
		}
		r.All = len(r.Partitions) == 0
		resp := s.m.Fetch(r)
		if len(resp.Offsets) == 0 {
			s.printf("nothing")
		}
		for _, o := range resp.Offsets {
			s.printf("%s/%d=%d@%d %q %v", o.Topic, o.Partition, o.Offset, o.LeaderEpoch, o.Metadata, orOK(o.Err))
		}
	case "delete-offsets":
		r := &DeleteOffsetsRequest{Group: id}
		for _, w := range a.words[1:] {
			r.Partitions = append(r.Partitions, partition(w))
		}
		resp := s.m.DeleteOffsets(r)
		if resp.Err != nil {
			s.printf("%v", resp.Err)
		}
		for i, err := range resp.Errs {
			s.printf("%s/%d: %v", r.Partitions[i].Topic, r.Partitions[i].Partition, orOK(err))
		}
	case "delete":
		s.printf("%v", orOK(s.m.Delete(id)))
	case "drop-topic":
		s.m.Prune(func(topic string) (record.TopicID, bool) { return record.TopicID{1}, topic != a.words[1] })
	case "remake-topic": // the same with another id
		s.m.Prune(func(topic string) (record.TopicID, bool) {
			if topic == a.words[1] {
				return record.TopicID{byte(a.num("as", 2))}, true
			}
			return record.TopicID{1}, true
		})
	case "describe":
		d := s.m.Describe(id)
		s.printf("%s type=%s protocol=%s %v", d.State, d.ProtocolType, d.Protocol, orOK(d.Err))
		for _, x := range d.Members {
			s.printf("%s%s %s %s metadata=%s assignment=%q", x.ID, show(x.InstanceID), x.ClientID, x.Host, about(x.Metadata), x.Assignment)
		}
	case "list":
		for _, l := range s.m.List(a.words[1:]) {
			s.printf("%s type=%s %s", l.Group, l.ProtocolType, l.State)
		}
	case "txn": // a transactional commit, as the log shows it
		for _, o := range offsets(a) {
			c := commit{offset: o.Offset, epoch: o.LeaderEpoch, at: s.now}
			s.replay(a.num("producer", 1), offsetRecord(id, o.TopicPartition, &c))
		}
	case "marker":
		s.m.EndTxn(a.num("producer", 1), slices.Contains(a.words, "commit"))
	case "wait":
		until := s.now + a.num("ms", 0)
		for { // time passes as the driver lets it: from one deadline to the next
			next := s.m.Tick(s.now, s.now)
			s.show()
			if next > until {
				break
			}
			s.now = max(s.now, next)
		}
		s.now = until
	case "crash":
		s.restart()
		for _, r := range s.log {
			if err := s.m.ReplayTxn(r.producer, r.Key, r.Value); err != nil {
				s.t.Fatal(err)
			}
		}
		s.m.Loaded(s.now, s.now)
	default:
		s.t.Fatalf("unknown command %q", line)
	}
	s.show()
	audit(s.t, s.m)
}

func (s *script) replay(producer int64, r Record) {
	s.log = append(s.log, replayed{producer, r})
	if err := s.m.ReplayTxn(producer, r.Key, r.Value); err != nil {
		s.t.Fatal(err)
	}
}

// show prints what Take returns.
func (s *script) show() {
	out := s.m.Take()
	for _, r := range out.Records {
		s.log = append(s.log, replayed{-1, r})
		s.printf("write %s", showRecord(s.t, r))
	}
	for _, a := range out.Answers {
		token := a.Token.(string)
		if s.given[token] {
			s.t.Fatalf("G1: %s is answered twice", token)
		}
		s.given[token] = true
		durable := ""
		if a.After > 0 {
			durable = fmt.Sprintf(" after %d", a.After)
		}
		switch r := a.Response.(type) {
		case JoinResponse:
			if r.Err != nil {
				s.printf("%s joins: %v: id=%s%s", token, r.Err, r.MemberID, durable)
				continue
			}
			skip := ""
			if r.SkipAssignment {
				skip = " skip"
			}
			s.printf("%s joins: gen=%d id=%s leader=%s %s/%s%s%s", token, r.Generation, r.MemberID, r.Leader, r.ProtocolType, r.Protocol, skip, durable)
			for _, m := range r.Members {
				s.printf("  %s%s %s", m.ID, show(m.InstanceID), about(m.Metadata))
			}
		case SyncResponse:
			if r.Err != nil {
				s.printf("%s syncs: %v%s", token, r.Err, durable)
				continue
			}
			s.printf("%s syncs: %q %s/%s%s", token, r.Assignment, r.ProtocolType, r.Protocol, durable)
		}
	}
}

func showRecord(t *testing.T, r Record) string {
	var k kmsg.OffsetCommitKey
	if r.Key[1] == 1 {
		if err := k.ReadFrom(r.Key); err != nil {
			t.Fatal(err)
		}
		if r.Value == nil {
			return fmt.Sprintf("%s %s/%d tombstone", k.Group, k.Topic, k.Partition)
		}
		c, err := readOffset(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		until := ""
		if c.until > 0 {
			until = fmt.Sprintf(" until %d", c.until)
		}
		return fmt.Sprintf("%s %s/%d=%d@%d at %d%s", k.Group, k.Topic, k.Partition, c.offset, c.epoch, c.at, until)
	}
	var g kmsg.GroupMetadataKey
	if err := g.ReadFrom(r.Key); err != nil {
		t.Fatal(err)
	}
	if r.Value == nil {
		return g.Group + " tombstone"
	}
	v, err := readGroup(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	s := fmt.Sprintf("%s gen=%d type=%s protocol=%s leader=%s at %d", g.Group, v.Generation, v.ProtocolType, show(v.Protocol), show(v.Leader), v.CurrentStateTimestamp)
	for _, m := range v.Members {
		s += fmt.Sprintf(" [%s%s %q]", m.MemberID, show(m.InstanceID), m.Assignment)
	}
	return s
}

// joinRequest makes protocols of words like range:t1+t2,sticky:t1, which subscribe
// to topics, or connect's, which are opaque.
func joinRequest(id string, a args) *JoinRequest {
	v := a.num("v", 9)
	r := &JoinRequest{
		Group: id, MemberID: a.str("id", ""), InstanceID: a.opt("instance"), ClientID: a.str("client", "c"), Host: "/" + a.str("client", "c"),
		SessionTimeoutMs: int32(a.num("session", 10000)), RebalanceTimeoutMs: int32(a.num("rebalance", 20000)),
		ProtocolType: a.str("type", "consumer"), NeedMemberID: v >= 4, CanSkip: v >= 9,
	}
	for _, p := range strings.Split(a.str("protocols", "range:t"), ",") {
		name, topics, _ := strings.Cut(p, ":")
		data := []byte(topics)
		if r.ProtocolType == consumers {
			data = subscriptionTo(strings.Split(topics, "+")...)
		}
		if raw := a.opt("raw"); raw != nil {
			data = []byte(*raw)
		}
		r.Protocols = append(r.Protocols, Protocol{name, data})
	}
	return r
}

func subscriptionTo(topics ...string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics = 0, topics
	return m.AppendTo(nil)
}

func partition(s string) TopicPartition {
	topic, p, _ := strings.Cut(s, "/")
	n, err := strconv.Atoi(p)
	if err != nil {
		panic(err)
	}
	return TopicPartition{topic, int32(n)}
}

// offsets reads words like t/0=5@3.
func offsets(a args) []Offset {
	var out []Offset
	for _, p := range a.pairs {
		if !strings.Contains(p[0], "/") {
			continue
		}
		at, epoch, _ := strings.Cut(p[1], "@")
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			panic(err)
		}
		o := Offset{TopicPartition: partition(p[0]), Offset: n, LeaderEpoch: -1, Metadata: a.str("metadata", "")}
		if e, err := strconv.Atoi(epoch); err == nil {
			o.LeaderEpoch = int32(e)
		}
		out = append(out, o)
	}
	return out
}

// about is what a member says of itself: the topics of a consumer.
func about(metadata []byte) string {
	if ts, ok := topicsOf(metadata); ok {
		return fmt.Sprint(ts)
	}
	return fmt.Sprintf("%q", metadata)
}

func show(s *string) string {
	if s == nil {
		return ""
	}
	return "/" + *s
}

func orOK(err error) error {
	if err == nil {
		return errOK
	}
	return err
}

var errOK = errors.New("ok")

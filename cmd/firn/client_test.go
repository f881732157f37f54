package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.yaml.in/yaml/v3"
)

func TestTopicsFromCreationToDeletion(t *testing.T) {
	c, _ := newKafka(t)
	c.prints("[]\n", "topic", "list", "--json")
	c.prints("NAME    STATUS\norders  created\nviews   created\n", "topic", "create", "orders", "views", "-p", "3", "-c", "retention.ms=1000")
	c.prints("NAME    PARTITIONS  REPLICAS\norders  3           1\nviews   3           1\n", "topic", "list")
	c.prints("NAME   STATUS\nviews  created\n", "topic", "create", "views", "--if-not-exists")
	c.prints("NAME   STATUS\nextra  would be created\n", "topic", "create", "extra", "--dry-run")
	c.prints("NAME   STATUS\nviews  grown\n", "topic", "add-partitions", "views", "-n", "2")
	c.prints("NAME    STATUS\norders  altered\n", "topic", "alter", "orders", "-c", "retention.ms=-1", "--reset", "cleanup.policy")

	var ds []topicDescription
	decode(t, c.ok("topic", "describe", "orders", "views", "--format", "json"), &ds)
	if id, err := base64.RawURLEncoding.DecodeString(ds[0].ID); err != nil || len(id) != 16 { // as Kafka's own tools write it
		t.Errorf("topic id %q", ds[0].ID)
	}
	if len(ds) != 2 || ds[0].Name != "orders" || len(ds[0].Parts) != 3 || len(ds[1].Parts) != 5 || ds[0].Configs["retention.ms"].Value != "-1" {
		t.Errorf("%+v", ds)
	}
	text := c.ok("topic", "describe", "orders")
	for _, want := range []string{"TOPIC       orders\n", "PARTITION  LEADER  EPOCH  REPLICAS  LOG-START  END\n", "0          0       ", "retention.ms"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}

	a := c.fails(exitUsage, "There is nobody to ask: --yes", "topic", "delete", "orders")
	if a.out != "" {
		t.Errorf("it says %q", a.out)
	}
	c.in("").prints("NAME    STATUS\norders  deleted\n", "topic", "delete", "orders", "--yes")
	c.prints("- name: views\n  status: deleted\n", "topic", "delete", "views", "-y", "--format", "yaml")
}

// H1 and H2: one item that fails makes the command fail; the answer is whole.
func TestOneItemThatFailsFailsTheCommand(t *testing.T) {
	c, _ := newKafka(t, kfake.SeedTopics(1, "there"))
	a := c.fails(exitError, "", "topic", "create", "new", "there", "--json")
	var got []outcome
	decode(t, a.out, &got)
	if len(got) != 2 || got[0].Status != "created" || got[1].Status != "failed" || !strings.Contains(got[1].Error, "TOPIC_ALREADY_EXISTS") {
		t.Errorf("%+v", got)
	}
	a = c.fails(exitError, "", "topic", "delete", "new", "nowhere", "--yes", "--json")
	decode(t, a.out, &got)
	if got[0].Status != "deleted" || got[1].Status != "failed" {
		t.Errorf("%+v", got)
	}
	a = c.fails(exitError, "no such topic: nowhere (`firn topic list` shows what there is)", "topic", "describe", "there", "nowhere", "--json")
	var ds []topicDescription
	decode(t, a.out, &ds)
	if len(ds) != 1 {
		t.Errorf("%+v", ds)
	}
	if a := c.fails(exitError, "", "group", "delete", "nobody", "--yes"); !strings.Contains(a.out, "failed: GROUP_ID_NOT_FOUND") {
		t.Error(a.out)
	}
}

func TestRecordsGoInAndComeOut(t *testing.T) {
	c, _ := newKafka(t, kfake.SeedTopics(1, "one"), kfake.SeedTopics(3, "three"))
	c.in("a\nb\nc\n").prints("", "produce", "one")
	c.prints("a\nb\nc\n", "consume", "one")
	for _, codec := range []string{"gzip", "snappy", "lz4", "zstd"} {
		c.in(codec+"\n").prints("", "produce", "one", "-z", codec)
	}
	c.prints("3 gzip\n4 snappy\n5 lz4\n6 zstd\n", "consume", "one", "-o", "3", "-f", "%o %v\n")
	c.prints("zstd\n", "consume", "one", "-o", "-1")
	c.prints("a\nb\n", "consume", "one", "-n", "2")
	c.prints("b\ngzip\n", "consume", "one", "-G", "^(b|gz.*)$")
	c.prints("", "consume", "one", "-o", "7")
	c.prints("", "consume", "one", "-o", "100") // behind the end: nothing, at once

	c.in("k1 v1\nk2 v2\n").prints("0 0 k1\n0 1 k2\n", "produce", "three", "-p", "0", "-f", "%k %v\n", "-o", "%p %o %k\n")
	c.in("x\n").prints("", "produce", "three", "-p", "2", "-k", "key", "-H", "source:test", "-H", "n:1")
	c.prints("2 key x source=test n=1 \n", "consume", "three", "-p", "2", "-f", "%p %k %v %h{%k=%v }\n")
	c.prints("k1\nk2\n", "consume", "three", "-p", "0,1", "-f", "%k\n")
	c.in("k1 \n").ok("produce", "three", "-p", "1", "-f", "%k %v\n", "-Z")
	c.prints("v\n", "consume", "three", "-p", "0,1,2", "-G", "v2", "-f", "v\n")
	c.in("no newline at the end").ok("produce", "one")
	c.prints("no newline at the end", "consume", "one", "-o", "-1", "-f", "%v")

	c.fails(exitError, "UNKNOWN_TOPIC_OR_PARTITION", "consume", "nowhere")
	c.fails(exitUsage, "no partition of three is among those asked for", "consume", "three", "-p", "9")
	c.fails(exitUsage, `--offset "soon": want start, end, N`, "consume", "one", "-o", "soon")
	c.fails(exitUsage, "exclude each other", "consume", "one", "-g", "x", "-p", "0")
	c.fails(exitUsage, `--compression "brotli": want none`, "produce", "one", "-z", "brotli")
	c.fails(exitUsage, `--acks "2": want all, 1 or 0`, "produce", "one", "--acks", "2")
	c.fails(exitUsage, `--header "x": want KEY:VALUE`, "produce", "one", "-H", "x")
	c.fails(exitUsage, "--record-format", "produce", "one", "-f", "%?")
	c.in(strings.Repeat("x", 2<<20)).fails(exitError, "1 of 1 record failed: produce to one: ", "produce", "one")
}

// Who cannot be written to is told of once.
func TestConsumeTellsOfFullOutputOnce(t *testing.T) {
	c, _ := newKafka(t, kfake.SeedTopics(1, "one"))
	c.in("a\n").ok("produce", "one")
	var errOut bytes.Buffer
	code := run(t.Context(), []string{"consume", "one"}, strings.NewReader(""), full{}, &errOut)
	if code != exitError || errOut.String() != "firn: standard output: no space left on device\n" {
		t.Errorf("exit code %d, %q", code, errOut.String())
	}
}

// full is a device without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestRecordsAsJSONLoseNothing(t *testing.T) {
	c, _ := newKafka(t, kfake.SeedTopics(1, "one"))
	c.in("k\xff v<&>\n").prints("", "produce", "one", "-f", "%k %v\n", "-H", "h:\xfe")
	out := c.in("k \n").ok("produce", "one", "-f", "%k %v\n", "-Z", "--json")
	var l recordLine
	decode(t, out, &l)
	if l.Offset != 1 || l.Topic != "one" {
		t.Errorf("%+v", l)
	}
	lines := strings.SplitAfter(strings.TrimSpace(c.ok("consume", "one", "--json")), "\n")
	if len(lines) != 2 {
		t.Fatalf("%q", lines)
	}
	decode(t, lines[0], &l)
	if l.Key != nil || string(l.KeyBase64) != "k\xff" || l.Value == nil || *l.Value != "v<&>" || l.Headers[0].Value != nil || string(l.Headers[0].ValueBase64) != "\xfe" {
		t.Errorf("%s", lines[0])
	}
	if !strings.Contains(lines[0], "v<&>") {
		t.Errorf("escaped for HTML: %s", lines[0])
	}
	l = recordLine{}
	decode(t, lines[1], &l)
	if l.Value != nil || l.ValueBase64 != nil || *l.Key != "k" {
		t.Errorf("a tombstone: %s", lines[1])
	}
	if _, err := time.Parse(time.RFC3339Nano, l.Timestamp); err != nil {
		t.Error(err)
	}
	c.fails(exitUsage, "text or json", "consume", "one", "--format", "yaml")
}

func TestConsumeFromATimeToAnother(t *testing.T) {
	c, _ := newKafka(t, kfake.SeedTopics(1, "one"))
	for _, r := range []string{"1000 a", "2000 b", "3000 c", "4000 d"} {
		c.in(r+"\n").ok("produce", "one", "-f", "%d %v\n")
	}
	at := func(ms string) string { return "@" + ms }
	c.prints("b\nc\nd\n", "consume", "one", "-o", at("2000"))
	c.prints("b\nc\nd\n", "consume", "one", "-o", at("1001"))
	c.prints("b\nc\n", "consume", "one", "-o", "@2000:4000")
	c.prints("b\nc\n", "consume", "one", "-o", "@1970-01-01T00:00:02Z:1970-01-01T00:00:04Z")
	c.prints("d\n", "consume", "one", "-o", "@3500:9000")
	c.prints("", "consume", "one", "-o", at("5000"))
	c.prints("", "consume", "one", "-o", "@-1h")
	c.fails(exitUsage, "the second time lies before the first", "consume", "one", "-o", "@4000:2000")
}

func TestGroupsCommitWhatWasPrinted(t *testing.T) {
	c, _ := newKafka(t, kfake.SeedTopics(1, "one"))
	c.in("a\nb\nc\nd\n").ok("produce", "one")
	c.prints("a\n", "consume", "one", "-g", "readers", "-n", "1")
	c.prints("b\nc\n", "consume", "one", "-g", "readers", "-n", "2")

	var ds []groupDescription
	decode(t, c.ok("group", "describe", "readers", "--json"), &ds)
	if len(ds) != 1 || ds[0].Lag != 1 || ds[0].State != "Empty" || len(ds[0].Partitions) != 1 || ds[0].Partitions[0].Committed != 3 || ds[0].Partitions[0].End != 4 {
		t.Errorf("%+v", ds)
	}
	c.prints("GROUP    STATE  COORDINATOR\nreaders  Empty  0\n", "group", "list")
	c.prints("TOPIC  PARTITION  FROM  TO\none    0          3     1\n", "group", "seek", "readers", "--to", "1", "--dry-run")
	c.prints("d\n", "consume", "one", "-g", "readers", "-n", "1")
	c.prints("TOPIC  PARTITION  FROM  TO\none    0          4     1\n", "group", "seek", "readers", "--to", "1")
	c.prints("b\n", "consume", "one", "-g", "readers", "-n", "1")
	c.prints("TOPIC  PARTITION  FROM  TO\none    0          -     0\n", "group", "seek", "others", "--to", "start", "--topics", "one")
	c.fails(exitError, "name topics with --topics", "group", "seek", "strangers", "--to", "start")
	c.fails(exitUsage, "--to is not set: want start", "group", "seek", "readers")
	c.prints("NAME     STATUS\nreaders  deleted\n", "group", "delete", "readers", "--yes")
	a := c.fails(exitError, "", "group", "describe", "readers", "--json")
	decode(t, a.out, &ds)
	c.fails(exitUsage, "`firn group seek` moves it", "consume", "one", "-g", "x", "-o", "5")
}

func TestTrimDeletesTheOldestRecords(t *testing.T) {
	c, _ := newKafka(t, kfake.SeedTopics(1, "one"))
	c.in("a\nb\nc\nd\n").ok("produce", "one")
	c.prints("TOPIC  PARTITION  LOG-START  NEW-LOG-START\none    0          0          3\n", "topic", "trim", "one", "--before", "-1", "--dry-run")
	c.prints("a\nb\nc\nd\n", "consume", "one")
	c.fails(exitUsage, "Delete the records of one before 2? There is nobody to ask", "topic", "trim", "one", "--before", "2")
	c.prints("TOPIC  PARTITION  LOG-START  NEW-LOG-START\none    0          0          2\n", "topic", "trim", "one", "--before", "2", "--yes")
	c.prints("c\nd\n", "consume", "one")
	c.prints("c\nd\n", "consume", "one", "-o", "0") // what is gone is gone: from the nearest
	for _, args := range [][]string{{"--dry-run"}, {"--yes"}} {
		a := c.fails(exitError, "", append([]string{"topic", "trim", "one", "--before", "40"}, args...)...)
		if !strings.Contains(a.out, "offset 40 lies beyond its end, 4") {
			t.Error(a.out)
		}
	}
	c.prints("c\nd\n", "consume", "one")
}

func TestClusterInfoAndHealth(t *testing.T) {
	c, k := newKafka(t, kfake.SeedTopics(2, "one"), kfake.ClusterID("glacier"))
	var d clusterDescription
	decode(t, c.ok("cluster", "info", "--json"), &d)
	if d.Cluster != "glacier" || len(d.Brokers) != 1 || d.Partitions != 2 {
		t.Errorf("%+v", d)
	}
	c.prints("healthy: 1 broker, 2 partitions\n", "cluster", "health")
	// What moves while it looks is no finding; a leader that does not serve is one, as each
	// is whose bucket is away.
	refused := 0
	k.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if refused++; refused == 2 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = "one"
		p := kmsg.NewListOffsetsResponseTopicPartition()
		p.ErrorCode = 6
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	c.prints("healthy: 1 broker, 2 partitions\n", "cluster", "health")
	if a := c.fails(exitProblem, "", "cluster", "health"); !strings.HasPrefix(a.out, "one partition 0: broker 0 leads it and does not serve it: NOT_LEADER") {
		t.Error(a.out)
	}
	k.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		addr := strings.Split(k.ListenAddrs()[0], ":")
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: addr[0], Port: port(addr[1])}}
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("one")
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Leader, p.ErrorCode = -1, 5
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	a := c.fails(exitProblem, "", "cluster", "health")
	if !strings.Contains(a.out, "one partition 0: LEADER_NOT_AVAILABLE") {
		t.Error(a.out)
	}
}

// While the bucket is away no broker serves anything: a line for each broker says so, and not
// one for each partition, of which there may be ten thousand.
func TestAnOutageIsOneFindingOfEachBroker(t *testing.T) {
	c, k := newKafka(t, kfake.NumBrokers(2), kfake.SeedTopics(40, "one"))
	k.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, asked := range req.(*kmsg.ListOffsetsRequest).Topics {
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = asked.Topic
			for _, a := range asked.Partitions {
				p := kmsg.NewListOffsetsResponseTopicPartition()
				p.Partition, p.ErrorCode = a.Partition, kerr.NotLeaderForPartition.Code
				topic.Partitions = append(topic.Partitions, p)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
	text := c.fails(exitProblem, "", "cluster", "health").out
	if n := strings.Count(text, "\n"); n != 2 || strings.Count(text, "/readyz") != 2 || strings.Count(text, "one partition") > 6 {
		t.Errorf("%d lines for two brokers:\n%s", n, text)
	}
	for _, form := range []string{"wide", "json"} {
		if all := c.fails(exitProblem, "", "cluster", "health", "--format", form).out; strings.Count(all, "one partition") != 40 {
			t.Errorf("--format %s names not all:\n%s", form, all)
		}
	}
}

// A broker that is stopped takes connections and answers nothing. It is found out, and takes
// no time of the others.
func TestASilentBrokerIsNamedAndHidesNoOther(t *testing.T) {
	c, k := newKafka(t, kfake.NumBrokers(3), kfake.SeedTopics(3, "one"))
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	at := strings.Split(mute.Addr().String(), ":")
	k.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: 0, Host: at[0], Port: port(at[1])})
		for i, addr := range k.ListenAddrs()[1:] {
			host, p, _ := strings.Cut(addr, ":")
			resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: int32(i) + 1, Host: host, Port: port(p)})
		}
		return resp, nil, true
	})
	var ms []member
	decode(t, c.ok("cluster", "members", "--json", "--timeout", "2s"), &ms)
	states := map[int32]string{}
	for _, m := range ms {
		states[m.Node] = m.State
	}
	if want := (map[int32]string{0: "silent", 1: "active", 2: "active"}); !maps.Equal(states, want) {
		t.Errorf("%v, want %v", states, want)
	}
	a := c.fails(exitProblem, "", "cluster", "health", "--timeout", "1500ms")
	if !strings.HasPrefix(a.out, "broker 0 at "+mute.Addr().String()+" does not answer: ") || strings.Count(a.out, "\n") != 1 {
		t.Error(a.out)
	}
}

// One of several brokers to begin with is enough, whichever it is.
func TestAStoppedBrokerToBeginWithCostsNothing(t *testing.T) {
	c, k := newKafka(t)
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for range 5 { // a client takes them in any order
		c.prints("[]\n", "topic", "list", "--json", "--timeout", "1m", "--brokers", mute.Addr().String()+",127.0.0.1:1,"+k.ListenAddrs()[0])
	}
}

func TestProduceTellsOfRecordsWithoutAnAnswer(t *testing.T) {
	c, k := newKafka(t, kfake.SeedTopics(1, "one"))
	c.in("a\n").ok("produce", "one")
	k.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		return nil, nil, true // nobody answers
	})
	c.in("b\nc\n").fails(exitError, "0 records acknowledged, and no answer within 1s for 2 more, which may be stored or not; --timeout gives it more time", "produce", "one", "--timeout", "1s")
}

func port(s string) int32 {
	var n int32
	for _, d := range s {
		n = n*10 + d - '0'
	}
	return n
}

func TestNobodyThereIsSaidAtOnceWithWhatToDo(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	began := time.Now()
	for _, args := range [][]string{{"topic", "list"}, {"consume", "x"}, {"consume", "x", "-g", "y"}, {"produce", "x"}, {"group", "list"}, {"cluster", "health"}} {
		c.in("x\n").fails(exitError, "is a broker running? Start one with `firn dev`, or name another with --brokers", append(args, "--brokers", "127.0.0.1:1", "--timeout", "1m")...)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("six refused connections took %v", took)
	}
	c.fails(exitUsage, "--brokers is empty", "topic", "list", "--brokers", " ,")
}

func TestTheAdvertisedAddressTrapIsExplained(t *testing.T) {
	c, k := newKafka(t, kfake.SeedTopics(1, "one"))
	k.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 0, Host: "127.0.0.1", Port: 1}}
		resp.ControllerID = 0
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("one")
		topic.Partitions = append(topic.Partitions, kmsg.NewMetadataResponseTopicPartition())
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	c.fails(exitError, "says that it is to be reached at 127.0.0.1:1, which fails: set its advertised.listeners", "consume", "one")
}

func TestOptionsComeFromFlagThenPairThenEnvironment(t *testing.T) {
	c, k := newKafka(t)
	addr := k.ListenAddrs()[0]
	t.Setenv("FIRN_FORMAT", "json")
	c.prints("[]\n", "topic", "list")
	c.prints("NAME  PARTITIONS  REPLICAS\n", "topic", "list", "-X", "format=text")
	c.prints("[]\n", "topic", "list", "-X", "format=text", "--format", "yaml")
	t.Setenv("FIRN_BROKERS", "127.0.0.1:1")
	c.fails(exitError, "cannot reach", "topic", "list")
	c.prints("[]\n", "topic", "list", "-X", "brokers="+addr)
	c.fails(exitError, "cannot reach", "topic", "list", "-X", "brokers="+addr, "--brokers", "127.0.0.1:1")
	c.fails(exitUsage, `unknown option "broker" of a client command; did you mean "brokers"?`, "topic", "list", "-X", "broker=x")
	t.Setenv("FIRN_TIMEOUT", "soon")
	c.fails(exitUsage, "FIRN_TIMEOUT", "topic", "list")
}

func TestCompletionKnowsTheCluster(t *testing.T) {
	c, _ := newKafka(t, kfake.SeedTopics(3, "orders", "others", "views"))
	for args, want := range map[string][]string{
		"topic describe o":                         {"orders", "others"},
		"topic describe orders o":                  {"others"},
		"consume v":                                {"views"},
		"topic list --format ":                     {"text", "wide", "json", "yaml"},
		"produce orders -z ":                       {"none", "zstd"},
		"topic create x -c reten":                  {"retention.ms="},
		"broker -X seal":                           {"seal.interval.ms="},
		"broker --log-format ":                     {"json", "text"},
		"topic ":                                   {"add-partitions", "trim"},
		"group seek billing --to ":                 {"start", "end"},
		"consume orders -p ":                       {"0", "1", "2"},
		"consume orders -p 0,2,":                   {"0,2,1"},
		"topic trim orders -p 2,":                  {"2,0", "2,1"},
		"produce orders -p ":                       {"0"},
		"group seek billing --topics orders -p 1,": {"1,0"},
		"broker -X log.format=":                    {"log.format=json\tthe default", "log.format=text"},
		"broker -X num.partitions=":                {"num.partitions=1\tthe default"},
		"broker -X http.pprof=":                    {"http.pprof=true"},
		"topic create x -c cleanup.policy=":        {"cleanup.policy=compact"},
		"topic list -X cl":                         {"client.id="},
		"doctor profile h":                         {"heap"},
		"generate ":                                {"alerts", "compose", "config", "grafana", "prometheus"},
		"doctor ":                                  {"config", "connect", "storage"},
	} {
		out := c.ok(append([]string{"__complete"}, strings.Split(args, " ")...)...)
		for _, w := range want {
			if !strings.Contains("\n"+out, "\n"+w) {
				t.Errorf("%s: no %s in\n%s", args, w, out)
			}
		}
	}
	if out := c.ok("__complete", "consume", "orders", "-p", "0,"); strings.Contains("\n"+out, "\n0,0\n") {
		t.Errorf("a partition is offered twice:\n%s", out)
	}
	if out := c.ok("__complete", "topic", "describe", "orders", "o"); strings.Contains("\n"+out, "\norders\n") {
		t.Errorf("what is there already is offered again:\n%s", out)
	}
	t.Setenv("FIRN_BROKERS", "127.0.0.1:1")
	c.ok("__complete", "topic", "describe", "") // a shell is no place for errors
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := c.ok("completion", shell); !strings.Contains(out, "firn") {
			t.Errorf("%s: %.100s", shell, out)
		}
	}
}

// H1: what is not understood is 2, whatever it is.
func TestWhatIsNotUnderstoodIsAUsageError(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	for args, want := range map[string]string{
		"topics":                            `unknown command "topics" of firn; did you mean "topic"?`,
		"help topics":                       `unknown command "topics" of firn; did you mean "topic"?`,
		"help topic lst":                    `unknown command "lst" of firn topic; did you mean "list"?`,
		"topic lst":                         `unknown command "lst" of firn topic; did you mean "list"?`,
		"topic frobnicate":                  "firn topic --help lists them",
		"topic list --brokerz x":            "did you mean --brokers?",
		"broker --data-dri x":               "did you mean --data-dir?",
		"broker --num-partition 3":          "did you mean --num-partitions?",
		"broker":                            "--store is not set",
		"broker --node-id x":                "flag --node-id: ",
		"broker -X nodes.id=1":              `did you mean "node.id"?`,
		"broker -X node.id":                 "want NAME=VALUE",
		"broker --config /no/such/file":     "/no/such/file",
		"broker --store nonsense":           "no scheme",
		"topic create":                      "firn topic create wants the name of at least one topic",
		"topic list x":                      "firn topic list takes no arguments",
		"topic list --format xml":           "want text, wide, json or yaml",
		"topic list --timeout 0s":           "--timeout",
		"topic create x -p many":            `firn: --partitions "many": want a whole number; firn topic create --help`,
		"topic create x -p 99999999999999":  "want a number that is not so large",
		"topic list --timeout 5":            `--timeout "5": want a time, such as`,
		"catalog history --from -1":         "want a whole number, 0 or more",
		"dev --demo=maybe":                  "want true or false",
		"consume x -p a,b":                  "want a whole number",
		"topic create x -c nonsense":        "want NAME=VALUE",
		"topic alter x":                     "nothing to change",
		"topic alter x -c a=1 --reset a":    "both set and reset",
		"topic add-partitions x":            "num",
		"topic add-partitions x -n 0":       "how many partitions to add",
		"topic trim x --before soon --yes":  "want an offset",
		"group seek g --to soon":            "want start, end, an offset",
		"dev --memory --store mem://":       "exclude each other",
		"dev --memory --data-dir x":         "exclude each other",
		"consume x -G (":                    "--grep",
		"consume x -n -1":                   "--num -1: want how many",
		"consume ":                          "firn consume wants the name of at least one topic", // as of a variable that is not set
		"produce ":                          "firn produce wants the name of one topic",
		"topic create x ":                   "firn topic create wants the name of at least one topic",
		"version x":                         "takes no arguments",
		"completion bash extra":             "",
		"dev --store s3://id:secret@bucket": "credentials do not belong into a URL",
	} {
		a := c.fails(exitUsage, want, strings.Split(args, " ")...)
		if a.out != "" {
			t.Errorf("%s: standard output has %q", args, a.out)
		}
		if strings.Contains(a.err, "secret@") {
			t.Errorf("a secret is printed: %s", a.err) // H4
		}
	}
}

func TestVersion(t *testing.T) {
	c := cli{t: t}
	var v struct{ Version, Go string }
	decode(t, c.ok("version", "--json"), &v)
	if v.Version == "" || !strings.HasPrefix(v.Go, "go") {
		t.Errorf("%+v", v)
	}
	if out := c.ok("version"); !strings.HasPrefix(out, "firn ") {
		t.Error(out)
	}
}

// The help of every command, for people to review: go test ./cmd/firn -update.
func TestHelp(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	var b strings.Builder
	var walk func(cmd *cobra.Command, path []string)
	walk = func(cmd *cobra.Command, path []string) {
		if cmd.Name() == "completion" || cmd.Name() == "help" || cmd.Name() == "settings" {
			return
		}
		help := c.ok(append(path, "--help")...)
		b.WriteString("$ firn " + strings.Join(append(path, "--help"), " ") + "\n" + help + "\n")
		for line := range strings.Lines(help) {
			if strings.Contains(line, "\t") {
				t.Errorf("%v: a tab in %q", path, line)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub, append(path[:len(path):len(path)], sub.Name()))
		}
	}
	walk(newRoot(&globals{}), nil)
	golden(t, "help.txt", b.String())
	if out := c.ok("help", "settings"); !strings.Contains(out, "session.rotate.slots") {
		t.Error(out)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s is not what is printed (%v); go test ./cmd/firn -update writes it\n%s", path, err, got)
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(v); err != nil {
		t.Fatalf("not JSON (%v): %s", err, text)
	}
	if d.More() {
		t.Fatalf("more than one value: %s", text)
	}
}

// Every answer is the same in every format: JSON and YAML are valid, alone on standard
// output, and say the same, also when the exit code tells of a problem.
func TestEveryAnswerComesInEveryFormat(t *testing.T) {
	c, _ := newKafka(t, kfake.SeedTopics(2, "orders"))
	page := filepath.Join(t.TempDir(), "metrics")
	if err := os.WriteFile(page, []byte("firn_build_info{version=\"v1\"} 1\nfirn_uptime_seconds 5\nfirn_topic_bytes{topic=\"orders\"} 5e9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"topic list", "topic describe orders", "topic describe nobody", "topic add-partitions orders -n 1 --dry-run", "topic trim orders --before 0 --dry-run",
		"group list", "group describe nobody", "cluster info", "cluster health", "doctor connect", "doctor connect --brokers 127.0.0.1:1",
		"doctor storage mem:// --quick", "doctor config --store mem:// --num-partitions 3", "cost --metrics " + page, "version",
	} {
		args := strings.Split(line, " ")
		var all [2]any
		var codes [4]int
		for i, format := range []string{"json", "yaml", "text", "wide"} {
			a := c.run(append(args, "--format", format)...)
			codes[i] = a.code
			if a.code == exitUsage || a.out == "" && (i < 2 || a.code == exitOK) {
				t.Errorf("firn %s --format %s: exit code %d, %q on standard output, %q on the other", line, format, a.code, a.out, a.err)
			}
			if i < 2 {
				if err := yaml.Unmarshal([]byte(a.out), &all[i]); err != nil {
					t.Errorf("firn %s --format %s: %v\n%s", line, format, err, a.out)
				}
			}
			if i == 0 && !json.Valid([]byte(a.out)) {
				t.Errorf("firn %s: no JSON: %s", line, a.out)
			}
		}
		if codes != [4]int{codes[0], codes[0], codes[0], codes[0]} {
			t.Errorf("firn %s: exit codes %v", line, codes)
		}
		if j, y := shape(all[0]), shape(all[1]); j != y {
			t.Errorf("firn %s: JSON says %s, YAML %s", line, j, y)
		}
	}
}

// shape is the keys of a value, without what changes from one run to the next.
func shape(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var out []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, k+":"+shape(v[k]))
		}
		return "{" + strings.Join(out, " ") + "}"
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return "[" + shape(v[0]) + "]"
	}
	return "."
}

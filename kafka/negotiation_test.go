package kafka

import (
	"encoding/hex"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestSemantic01ApiVersionsDowngrade(t *testing.T) {
	c := serve(t, newFake(), Limits{}).client(t)
	// A version that nobody knows, with a body that nobody can read.
	c.nc.Write([]byte{0, 0, 0, 13, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 1, 2, 3})
	corr, b := c.receive()
	const golden = "0023" + "00000001" + "0012" + "0000" + "0004"
	if corr != 7 || hex.EncodeToString(b) != golden {
		t.Fatalf("answer %d %x, want 7 %s: version 0, UNSUPPORTED_VERSION, our range of ApiVersions", corr, b, golden)
	}
	// The connection stays.
	r := ask[*kmsg.ApiVersionsResponse](c, 3, &kmsg.ApiVersionsRequest{ClientSoftwareName: "firn-test", ClientSoftwareVersion: "1.0"})
	wantCode(t, "after the downgrade", r.ErrorCode, codeNone)
}

func TestSemantic02ApiVersionsHeaderIsVersion0(t *testing.T) {
	c := serve(t, newFake(), Limits{}).client(t)
	for v := int16(0); v <= 4; v++ {
		// parse expects no header tags for ApiVersions, and the body byte for byte.
		r := ask[*kmsg.ApiVersionsResponse](c, v, &kmsg.ApiVersionsRequest{ClientSoftwareName: "firn-test", ClientSoftwareVersion: "1.0"})
		wantCode(t, "ApiVersions", r.ErrorCode, codeNone)
	}
	for _, bad := range []string{"", "-x", "x-", "a b", "ü"} {
		for _, q := range []*kmsg.ApiVersionsRequest{{ClientSoftwareName: bad, ClientSoftwareVersion: "1"}, {ClientSoftwareName: "x", ClientSoftwareVersion: bad}} {
			wantCode(t, "software "+bad, ask[*kmsg.ApiVersionsResponse](c, 3, q).ErrorCode, codeInvalidRequest)
		}
	}
}

func TestSemantic03UnsupportedVersionCloses(t *testing.T) {
	p := serve(t, newFake(), Limits{})
	for name, head := range map[string][]byte{
		"version above": {0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff},
		"version below": {0, 0, 0, 10, 0, 1, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"negative":      {0, 0, 0, 10, 0, 3, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff},
		"unknown key":   {0, 0, 0, 10, 0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"not in table":  {0, 0, 0, 10, 0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"produce v2":    {0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			c := p.client(t)
			c.nc.Write(head) // the server may close before it has read all of it
			c.closed()
		})
	}
}

// behind is a request with bytes behind its end.
type behind struct {
	kmsg.Request
	rest string
}

func (b behind) AppendTo(dst []byte) []byte { return append(b.Request.AppendTo(dst), b.rest...) }

// librdkafka 2.12 leaves three bytes behind each Metadata of v13. Kafka answers.
func TestBytesBehindARequestAreNotLookedAt(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	c := serve(t, f, Limits{}).client(t)
	for version := range int16(14) {
		q := &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("t")}}}
		r := ask[*kmsg.MetadataResponse](c, version, behind{q, "\x00\x00\x00"})
		if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
			t.Fatalf("Metadata v%d: %+v", version, r.Topics)
		}
	}
	e := kmsg.NewPtrApiVersionsRequest()
	wantCode(t, "ApiVersions v0", ask[*kmsg.ApiVersionsResponse](c, 0, behind{e, "hello"}).ErrorCode, codeNone)
}

func TestSemantic04ProduceIsAdvertisedFromZero(t *testing.T) {
	c := serve(t, newFake(), Limits{}).client(t)
	r := ask[*kmsg.ApiVersionsResponse](c, 0, &kmsg.ApiVersionsRequest{})
	if k := r.ApiKeys[0]; k.ApiKey != keyProduce || k.MinVersion != 0 || k.MaxVersion != 11 {
		t.Fatalf("%+v, want Produce 0-11", k)
	}
}

// The table is what is advertised, and what is advertised is served: every version
// is answered by something that kmsg can read.
func TestTableIsWhatIsAdvertised(t *testing.T) {
	f := newFake()
	p := serve(t, f, Limits{})
	r := ask[*kmsg.ApiVersionsResponse](p.client(t), 4, &kmsg.ApiVersionsRequest{ClientSoftwareName: "x", ClientSoftwareVersion: "1"})
	if len(r.SupportedFeatures)+len(r.FinalizedFeatures) > 0 {
		t.Errorf("features are claimed: %+v", r)
	}
	table := newTable()
	if len(r.ApiKeys) != len(table) {
		t.Errorf("%d APIs are advertised, %d are in the table", len(r.ApiKeys), len(table))
	}
	for _, k := range r.ApiKeys {
		a := table[k.ApiKey]
		if a == nil {
			t.Fatalf("key %d is not in the table", k.ApiKey)
		}
		for v := max(a.min, k.MinVersion); v <= k.MaxVersion; v++ {
			q := kmsg.RequestForKey(k.ApiKey)
			if q, ok := q.(*kmsg.ApiVersionsRequest); ok {
				q.ClientSoftwareName, q.ClientSoftwareVersion = "x", "1"
			}
			if q, ok := q.(*kmsg.ProduceRequest); ok {
				q.Acks = 1
			}
			if q, ok := q.(*kmsg.FetchRequest); ok {
				q.ReplicaID, q.ReplicaState.ID = -1, -1
			}
			ask[kmsg.Response](p.client(t), v, q)
		}
	}
}

func TestSemantic05AnswersComeInRequestOrder(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	f.hold = make(chan struct{})
	c := serve(t, f, Limits{}).client(t)
	go func() { // pipelined: a pipe takes a byte only when somebody reads it
		for i := range 4 {
			c.nc.Write(frame(produceOf(9, -1, "t", 0, batch(0, 1, "a")), int32(i)))
		}
		m := kmsg.NewPtrMetadataRequest()
		m.SetVersion(9)
		c.nc.Write(frame(m, 4))
		c.nc.Write(frame(produceOf(9, -1, "t", 0, batch(0, 1, "a")), 5))
	}()
	// All four produces are in the log before the first is answered.
	waitFor(t, func() bool { return f.appended() == 4 })
	close(f.hold)
	for i := range 6 {
		corr, b := c.receive()
		if corr != int32(i) {
			t.Fatalf("answer %d came as number %d", corr, i)
		}
		if i == 4 {
			continue
		}
		q := produceOf(9, -1, "t", 0, nil)
		want := int64(min(i, 4))
		if got := parse[*kmsg.ProduceResponse](t, q, b).Topics[0].Partitions[0].BaseOffset; got != want {
			t.Fatalf("answer %d has offset %d, want %d: requests enter the log in their order", i, got, want)
		}
	}
	if l := f.log(topic, 0); l.hw != 5 {
		t.Fatalf("high watermark %d", l.hw)
	}
}

func TestSemantic07BodiesAreExact(t *testing.T) {
	// parse checks every answer of every test in this package against kmsg's own
	// encoding, tags included. This one adds that nothing above a version leaks into
	// it: ListOffsets below v4 has no leader epoch (KAFKA-10613).
	f := newFake()
	f.topic("t", 1)
	c := serve(t, f, Limits{}).client(t)
	for v := int16(1); v <= 11; v++ {
		r := ask[*kmsg.ListOffsetsResponse](c, v, listOf("t", latest))
		want := int32(-1)
		if v >= 4 {
			want = 0
		}
		if got := r.Topics[0].Partitions[0].LeaderEpoch; got != want {
			t.Errorf("v%d: leader epoch %d, want %d", v, got, want)
		}
	}
}

func TestSemantic08NothingIsThrottled(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	c := serve(t, f, Limits{}).client(t)
	eachVersion(func(a *api, version int16) {
		q := kmsg.RequestForKey(a.key)
		if a.key == keyProduce || a.key == keyFetch || a.key == keyApiVersions {
			return
		}
		r, ok := ask[kmsg.Response](c, version, q).(interface{ Throttle() (int32, bool) })
		if !ok {
			return
		}
		if ms, _ := r.Throttle(); ms != 0 {
			t.Errorf("%s v%d: throttled by %d ms", a.name, version, ms)
		}
	})
}

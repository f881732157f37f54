package kafka

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
)

// swallow is a log that takes everything and keeps nothing.
type swallow struct {
	*fake
	out fakeAppending
}

func (s *swallow) Append(_ context.Context, a Append) (Appending, error) {
	a.Frame.Release()
	s.out.out = s.out.out[:0]
	for range a.Items {
		s.out.out = append(s.out.out, Appended{})
	}
	return &s.out, nil
}

// BenchmarkProduce is a Produce with one batch for each of 16 partitions, from the
// frame to the encoded answer, but for the socket.
func BenchmarkProduce(b *testing.B) {
	for _, x := range []struct {
		name    string
		records int
		codec   record.Codec
	}{{"16x64KiB", 64, record.None}, {"16x1KiB", 1, record.None}, {"16x64KiB-lz4", 64, record.LZ4}} {
		b.Run(x.name, func(b *testing.B) {
			f := newFake()
			f.topic("t", 16)
			values := make([]string, x.records)
			for i := range values {
				values[i] = randomText(1000)[:500] + randomText(600)[:500]
			}
			q := produceOf(9, -1, "t", 0, batch(x.codec, 1, values...))
			for p := int32(1); p < 16; p++ {
				qp := q.Topics[0].Partitions[0]
				qp.Partition = p
				q.Topics[0].Partitions = append(q.Topics[0].Partitions, qp)
			}
			wire := frame(q, 1)[4:]
			back := f.backend()
			back.Log = &swallow{fake: f}
			s := New(Options{Backend: back})
			a := s.node.table[keyProduce]
			ctx := context.Background()
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				buf := s.pool.get(len(wire))
				copy(buf.bytes, wire) // the socket's part
				c := &call{api: a, frame: buf, bytes: len(wire)}
				if err := c.decode(buf.bytes); err != nil {
					b.Fatal(err)
				}
				r := a.start(ctx, &s.node, c)(ctx)
				out = r.response.AppendTo(out[:0])
				buf.Release()
			}
		})
	}
}

// BenchmarkFetchEncode is the answer to a Fetch of 16 MiB in 16 partitions.
func BenchmarkFetchEncode(b *testing.B) {
	payload := make([]byte, 64<<10)
	f := &fetched{topics: []fetchedTopic{{name: "t", partitions: make([]fetchedPartition, 16)}}}
	for i := range f.topics[0].partitions {
		p := &f.topics[0].partitions[i]
		p.reset(int32(i), false)
		for range 16 {
			p.found.Bytes = append(p.found.Bytes, payload)
		}
	}
	b.SetBytes(16 << 20)
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out, _ = f.encode(out[:0], 12)
	}
}

// BenchmarkRoundTrip is a Produce over loopback TCP, answered at once.
func BenchmarkRoundTrip(b *testing.B) {
	f := newFake()
	f.topic("t", 1)
	back := f.backend()
	back.Log = &swallow{fake: f}
	s := New(Options{Backend: back})
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln, "") }()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	wire := frame(produceOf(9, -1, "t", 0, batch(record.None, 1, randomText(900))), 1)
	answer := make([]byte, len(kmsgAnswer()))
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nc.Write(wire); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(nc, answer); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	nc.Close()
	<-ended
}

// kmsgAnswer is the answer to one batch for one partition, with size and header.
func kmsgAnswer() []byte {
	r := kmsg.NewPtrProduceResponse()
	r.Version = 9
	rt := kmsg.NewProduceResponseTopic()
	rt.Topic = "t"
	rt.Partitions = append(rt.Partitions, kmsg.NewProduceResponseTopicPartition())
	r.Topics = append(r.Topics, rt)
	return r.AppendTo(make([]byte, 9))
}

// A Produce allocates for each request and each batch, never for each record.
func TestProduceAllocatesPerBatch(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f := newFake()
	f.topic("t", 1)
	back := f.backend()
	back.Log = &swallow{fake: f}
	s := New(Options{Backend: back})
	a := s.node.table[keyProduce]
	ctx := context.Background()
	measure := func(records int) float64 {
		values := make([]string, records)
		for i := range values {
			values[i] = "value"
		}
		wire := frame(produceOf(9, -1, "t", 0, batch(record.None, 1, values...)), 1)[4:]
		return testing.AllocsPerRun(50, func() {
			buf := s.pool.get(len(wire))
			copy(buf.bytes, wire)
			c := &call{api: a, frame: buf, bytes: len(wire)}
			if err := c.decode(buf.bytes); err != nil {
				t.Fatal(err)
			}
			a.start(ctx, &s.node, c)(ctx)
			buf.Release()
		})
	}
	one, many := measure(1), measure(10_000)
	t.Logf("%.0f allocations for 1 record, %.0f for 10,000", one, many)
	if many > one+2 {
		t.Errorf("%.0f allocations for 1 record, %.0f for 10,000", one, many)
	}
}

package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// words are what strings are filled with: names that mean something to the fake.
var words = []string{"", "t", "u", "g", "1", "none", "a b", "range", "cleanup.policy", "compact", "\x00", "retention.ms", "consumer", "-7"}

// fill gives every field of a request a random value.
func fill(r *rand.Rand, v reflect.Value, tags bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if r.IntN(3) == 0 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem(), tags)
	case reflect.Struct:
		if t, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			if tags && r.IntN(4) == 0 {
				for range 1 + r.IntN(3) {
					t.Set(100+uint32(r.IntN(1<<20)), make([]byte, r.IntN(5)))
				}
			}
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Version" {
				fill(r, v.Field(i), tags)
			}
		}
	case reflect.Slice:
		n := r.IntN(4)
		if n == 0 && r.IntN(2) == 0 {
			return // null where there is null
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), tags)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), tags)
		}
	case reflect.String:
		v.SetString(words[r.IntN(len(words))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(r.Float64())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.IntN(100)) - 50)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(r.IntN(100)))
	default:
		panic(v.Type().String())
	}
}

func randomRequest(r *rand.Rand, key, version int16, tags bool) kmsg.Request {
	q := kmsg.RequestForKey(key)
	fill(r, reflect.ValueOf(q).Elem(), tags)
	q.SetVersion(version)
	return q
}

// eachVersion calls fn for every row of the table and every version.
func eachVersion(fn func(a *api, version int16)) {
	t := newTable()
	var keys []int16
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		for v := t[k].min; v <= t[k].max; v++ {
			fn(t[k], v)
		}
	}
}

func TestShapesAgreeWithKmsg(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	eachVersion(func(a *api, version int16) {
		q := kmsg.RequestForKey(a.key)
		q.SetVersion(version)
		if q.IsFlexible() != a.flexible(version) {
			t.Errorf("%s v%d: flexible is %v", a.name, version, a.flexible(version))
		}
		if name := kmsg.NameForKey(a.key); !strings.EqualFold(name, a.name) && a.key != 45 { // kmsg says Assignments where Kafka says Reassignments
			t.Errorf("key %d is %s, the table says %s", a.key, name, a.name)
		}
		for range 60 {
			q := randomRequest(r, a.key, version, true)
			b := q.AppendTo(nil)
			if err := a.shape.check(b, version); err != nil {
				t.Fatalf("%s v%d: refused % x of %+v: %v", a.name, version, b, q, err)
			}
			again := kmsg.RequestForKey(a.key)
			again.SetVersion(version)
			if err := again.ReadFrom(b); err != nil || !bytes.Equal(again.AppendTo(nil), b) {
				t.Fatalf("%s v%d: kmsg reads its own bytes differently: %v", a.name, version, err)
			}
			for n := range b {
				if err := a.shape.check(b[:n], version); !errors.Is(err, ErrMalformed) {
					t.Fatalf("%s v%d: took %d of %d bytes: %v", a.name, version, n, len(b), err)
				}
			}
			for _, rest := range []string{"\x00", "\xff\xff\xff", "behind the end"} {
				if err := a.shape.check(append(b, rest...), version); err != nil {
					t.Fatalf("%s v%d: refused %q behind the end, which Kafka does not look at: %v", a.name, version, rest, err)
				}
			}
		}
	})
}

// bounds checks what a body costs to check and decode: at most 16 times its size
// plus 1 MiB of memory, and a second per MiB.
func bounds(t testing.TB, a *api, version int16, b []byte) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	c := &call{api: a}
	frame := make([]byte, 10, 11+len(b))
	binary.BigEndian.PutUint16(frame, uint16(a.key))
	binary.BigEndian.PutUint16(frame[2:], uint16(version))
	binary.BigEndian.PutUint16(frame[8:], 0xffff)
	if a.flexible(version) {
		frame = append(frame, 0)
	}
	frame = append(frame, b...)
	err := c.decode(frame)
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if limit, alloc := uint64(16*len(b)+1<<20), after.TotalAlloc-before.TotalAlloc; alloc > limit && !raceEnabled {
		t.Fatalf("%s v%d: %d bytes took %d bytes of memory, more than %d (%v)", a.name, version, len(b), alloc, limit, err)
	}
	if limit := time.Second + time.Duration(len(b))*time.Second/(1<<20); took > limit {
		t.Fatalf("%s v%d: %d bytes took %v (%v)", a.name, version, len(b), took, err)
	}
	if err != nil {
		if !errors.Is(err, ErrMalformed) {
			t.Fatalf("%s v%d: %v", a.name, version, err)
		}
		return
	}
	// What was taken is encoded and decoded again to the same.
	again := kmsg.RequestForKey(a.key)
	again.SetVersion(version)
	first := c.request.AppendTo(nil)
	if err := again.ReadFrom(first); err != nil || !bytes.Equal(again.AppendTo(nil), first) {
		t.Fatalf("%s v%d: does not survive encoding: %v", a.name, version, err)
	}
}

func TestHostileBodiesAreCheap(t *testing.T) {
	uvarint := func(v uint64) []byte { return binary.AppendUvarint(nil, v) }
	table := newTable()
	// Seven bytes that claim 2³²-1 tags.
	bounds(t, table[keyApiVersions], 3, append([]byte{1, 1}, uvarint(1<<32-1)...))
	// The same inside the one tagged struct that kmsg decodes.
	eachVersion(func(a *api, version int16) {
		for _, fill := range []byte{0, 1, 2, 0x7f, 0x80, 0xff} {
			bounds(t, a, version, bytes.Repeat([]byte{fill}, 4096))
			// Arrays and tags that claim everything, with little behind them.
			bounds(t, a, version, append(bytes.Repeat([]byte{fill}, 3), 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 1))
			bounds(t, a, version, append(bytes.Repeat([]byte{fill}, 4), 0x7f, 0xff, 0xff, 0xff, 1, 1, 1))
		}
	})
	// Largest true arrays of the smallest elements, with a tag each.
	body := uvarint(maxElements + 1)
	body = append(body, bytes.Repeat([]byte{1, 0}, maxElements)...)
	bounds(t, table[3], 9, append(body, 1, 0, 0, 0)) // Metadata: names ""
	body = append([]byte{0, 0, 1, 0, 0, 0, 0}, uvarint(maxElements+1)...)
	body = append(body, bytes.Repeat([]byte{1, 1, 0}, maxElements)...)
	bounds(t, table[keyProduce], 9, append(body, 0))
	body = append([]byte{0}, uvarint(requestTags+1)...)
	for range requestTags {
		body = append(body, 1, 1, 100, 0)
	}
	bounds(t, table[3], 9, append(body[1:], 1, 0, 0, 0))
}

// Clients and tools that ask for all partitions of a large broker at once get an answer.
func TestARequestMayNameEveryPartitionOfALargeBroker(t *testing.T) {
	const many = 100_000
	list, fetch, commit, committed := kmsg.NewPtrListOffsetsRequest(), kmsg.NewPtrFetchRequest(), kmsg.NewPtrOffsetCommitRequest(), kmsg.NewPtrOffsetFetchRequest()
	list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: make([]kmsg.ListOffsetsRequestTopicPartition, many)}}
	fetch.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: make([]kmsg.FetchRequestTopicPartition, many)}}
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: make([]kmsg.OffsetCommitRequestTopicPartition, many)}}
	committed.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "g", Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: make([]int32, many)}}}}
	for i := range fetch.Topics[0].Partitions {
		fetch.Topics[0].Partitions[i].Default()
	}
	table := newTable()
	for _, q := range []kmsg.Request{list, fetch, commit, committed} {
		a := table[q.Key()]
		for v := a.min; v <= a.max; v++ {
			if q.Key() == committed.Key() && v < 8 {
				continue // one group
			}
			q.SetVersion(v)
			if body := q.AppendTo(nil); len(body) > 8<<20 {
				t.Errorf("%s v%d: %d bytes are more than a frame may have", a.name, v, len(body))
			} else {
				bounds(t, a, v, body)
				if err := a.shape.check(body, v); err != nil {
					t.Errorf("%s v%d: %v", a.name, v, err)
				}
			}
		}
	}
}

func FuzzRequest(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	eachVersion(func(a *api, version int16) {
		for _, tags := range []bool{false, true} {
			f.Add(a.key, version, randomRequest(r, a.key, version, tags).AppendTo(nil))
		}
	})
	f.Add(int16(keyApiVersions), int16(3), []byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	table := newTable()
	f.Fuzz(func(t *testing.T, key, version int16, b []byte) {
		a := table[key]
		if a == nil || !a.serves(version) {
			return
		}
		bounds(t, a, version, b)
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{0, 3, 0, 9, 0, 0, 0, 1, 0, 1, 'a', 0}, true)
	f.Add([]byte{0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 1, 0, 1, 9}, true)
	f.Add([]byte{0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff}, false)
	f.Fuzz(func(t *testing.T, b []byte, flexible bool) {
		h, body, err := parseHeader(b, flexible)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if len(h.client) > clientMax || len(body) > len(b) {
			t.Fatalf("%+v, body of %d bytes out of %d", h, len(body), len(b))
		}
	})
}

func TestShapeBounds(t *testing.T) {
	table := newTable()
	metadata := func(topics int, tags ...int) error {
		body := binary.AppendUvarint(nil, uint64(topics+1))
		for i := range topics {
			body = append(body, 1)
			n := 0
			if i < len(tags) {
				n = tags[i]
			}
			body = binary.AppendUvarint(body, uint64(n))
			for tag := range n {
				body = append(binary.AppendUvarint(body, uint64(tag)), 0)
			}
		}
		return table[3].shape.check(append(body, 1, 0, 0, 0), 9)
	}
	many := slices.Repeat([]int{maxTags}, requestTags/maxTags)
	for name, x := range map[string]struct {
		err error
		ok  bool
	}{
		"elements":          {metadata(maxElements), true},
		"one element more":  {metadata(maxElements + 1), false},
		"tags":              {metadata(1, maxTags), true},
		"one tag more":      {metadata(1, maxTags+1), false},
		"tags in all":       {metadata(20, many...), true},
		"more tags in all":  {metadata(20, append(many, maxTags)...), false},
		"tags out of order": {table[3].shape.check([]byte{1, 1, 0, 0, 2, 5, 0, 4, 0}, 9), false},
		"tag twice":         {table[3].shape.check([]byte{1, 1, 0, 0, 2, 5, 0, 5, 0}, 9), false},
		"null array":        {table[3].shape.check([]byte{0, 1, 0, 0, 0}, 9), true},
		"null where none":   {table[19].shape.check([]byte{0, 0, 0, 0, 0, 0, 0}, 5), false},
		"long varint":       {table[3].shape.check([]byte{0x81, 0x80, 0x80, 0x80, 0x80, 0x00, 0, 0, 0}, 9), false},
	} {
		if (x.err == nil) != x.ok {
			t.Errorf("%s: %v", name, x.err)
		}
	}
}

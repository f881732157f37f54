package object

import (
	"testing"

	"github.com/firnlog/firn/record"
)

// manyRuns is a WAL object of n partitions with one small batch each.
func manyRuns(t testing.TB, n int) []byte {
	x := batches(t, 0, 1, 1, 20)[0]
	h, _ := record.ParseHeader(x)
	e := NewEncoder(Header{Kind: WAL}, 1, nil)
	for p := range n {
		e.Begin(record.Partition{Index: int32(p)}, 3, 0)
		e.Append(h, x)
		e.Producers([]Producer{{ID: 4, TxnStart: -1, Batches: []Produced{{0, 0, 0, 0}}}})
	}
	if _, err := e.Finish(); err != nil {
		t.Fatal(err)
	}
	return join(e.Segments())
}

func TestOneRunOfTenThousandCostsOne(t *testing.T) {
	b := manyRuns(t, 10_000)
	n := testing.AllocsPerRun(10, func() {
		_, f, err := Open(b)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := f.Whole(f.Find(record.Partition{Index: 7777}, 0)); err != nil || r.Partition.Index != 7777 || len(r.Producers) != 1 {
			t.Fatal(r, err)
		}
	})
	if n > 5 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkOpenAndFindOfTenThousand(b *testing.B) {
	data := manyRuns(b, 10_000)
	size, tail := int64(len(data)), data
	b.ReportAllocs()
	for b.Loop() {
		f, _, err := OpenFooter(tail, size)
		if err != nil {
			b.Fatal(err)
		}
		if f.Find(record.Partition{Index: 7777}, 0) != 7777 {
			b.Fatal("not found")
		}
	}
}

// BenchmarkEncode is a large flush: 1,000 batches of 16 KiB of 16 partitions.
func BenchmarkEncode(b *testing.B) {
	type item struct {
		h record.Header
		x []byte
	}
	var in [16][]item
	size := 0
	for p := range in {
		for _, x := range batches(b, 0, 1000/16+1, 31, 500) {
			h, _ := record.ParseHeader(x)
			in[p] = append(in[p], item{h, x})
			size += len(x)
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		e := NewEncoder(Header{Kind: WAL}, 1, nil)
		for p, xs := range in {
			e.Begin(record.Partition{Index: int32(p)}, 3, 0)
			for _, x := range xs {
				e.Append(x.h, x.x)
			}
		}
		if _, err := e.Finish(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	e := NewEncoder(Header{Kind: Segment}, 1, nil)
	e.Begin(record.Partition{}, 3, 0)
	for _, x := range batches(b, 0, 500, 31, 500) {
		h, _ := record.ParseHeader(x)
		e.Append(h, x)
	}
	if _, err := e.Finish(); err != nil {
		b.Fatal(err)
	}
	data := join(e.Segments())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, bad := Verify(data); bad != nil {
			b.Fatal(bad)
		}
	}
}

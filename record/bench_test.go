package record

import (
	"testing"
)

func TestReadingAllocatesNothing(t *testing.T) { // R2
	for c := None; c <= Zstd; c++ {
		b := batch(t, c, 500)
		h, _ := ParseHeader(b)
		dec := new(Decoder)
		read := func() {
			if _, err := Check(b, Limits{MaxBytes: 1 << 20}); err != nil {
				t.Fatal(err)
			}
			it := Iterate(h, b, dec)
			for it.Next() {
				for k := range it.Record.HeaderViews {
					_ = k
				}
			}
			if it.Err() != nil {
				t.Fatal(it.Err())
			}
		}
		read() // fills the decoder
		most := 0.0
		if c != None {
			most = 8 // the codecs' own pools may be empty; none is for a record
		}
		if n := testing.AllocsPerRun(20, read); n > most {
			t.Errorf("%s: %v allocations for 500 records", c, n)
		}
	}
}

func mebibyte(b *testing.B, c Codec) ([]byte, Header) {
	data := batch(b, c, 24000) // about 1 MiB before compression
	h, err := ParseHeader(data)
	if err != nil {
		b.Fatal(err)
	}
	return data, h
}

func BenchmarkCheck(b *testing.B) {
	data, _ := mebibyte(b, None)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Check(data, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIterate(b *testing.B) {
	for c := None; c <= Zstd; c++ {
		b.Run(c.String(), func(b *testing.B) {
			data, h := mebibyte(b, c)
			dec := new(Decoder)
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				it := Iterate(h, data, dec)
				for it.Next() {
				}
				if it.Err() != nil {
					b.Fatal(it.Err())
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/24000, "ns/record")
		})
	}
}

func BenchmarkRecompress(b *testing.B) {
	for c := Gzip; c <= Zstd; c++ {
		b.Run(c.String(), func(b *testing.B) {
			data, h := mebibyte(b, None)
			z, dec := new(Compressor), new(Decoder)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := z.Recompress(h, data, dec, c, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

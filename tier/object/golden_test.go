package object

import (
	"encoding/hex"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firnlog/firn/record"
)

var update = flag.Bool("update", false, "write golden files anew, then look at them")

// golden holds text against testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("%s:\n%s\nwant\n%s", name, got, want)
	}
}

// transcript is an object for people: what it says, then its bytes.
func transcript(t *testing.T, b []byte) string {
	t.Helper()
	var s strings.Builder
	h, runs, bad := Verify(b)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	_, f, _ := Open(b)
	fmt.Fprintf(&s, "%s, session %d, slot %d, nonce %x, fencer %x\n", h.Kind, h.Session, h.Slot, h.Nonce[:4], h.Fencer[:4])
	for i, r := range runs {
		fmt.Fprintf(&s, "run %d: %s, epoch %d, offsets [%d, %d), bytes [%d, %d), CRC %08x, %d records up to %d ms, written at %d ms\n",
			i, r.Partition, r.Epoch, r.Base, r.Next, r.Pos, r.Pos+r.Len, r.CRC, r.Records, r.MaxTimestamp, r.WrittenMs)
		for _, x := range r.Index {
			fmt.Fprintf(&s, "  offset %d at byte %d, after %d ms\n", x.Base, x.Pos, x.MaxTimestamp)
		}
		for _, p := range r.Producers {
			fmt.Fprintf(&s, "  producer %d, epoch %d, last at %d ms, transaction %d, batches %v\n", p.ID, p.Epoch, p.TimestampMs, p.TxnStart, p.Batches)
		}
		for _, a := range r.Aborted {
			fmt.Fprintf(&s, "  aborted: producer %d, offsets [%d, %d]\n", a.Producer, a.First, a.Last)
		}
	}
	fmt.Fprintf(&s, "footer of %d bytes at %d, identity %08x\n\n%s", f.Trailer.FooterLen, f.Trailer.FooterPos, f.Trailer.Identity, hex.Dump(b))
	return s.String()
}

// TestTheFormatDoesNotChange pins the bytes of every kind: a change of the format
// needs a new version, a reader for the old one, and new golden files.
func TestTheFormatDoesNotChange(t *testing.T) {
	one := func(base int64, value string) ([]byte, record.Header) {
		var b record.Builder
		b.Add(9+base, []byte("key"), []byte(value))
		x, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		record.Rebase(x, base, 7)
		h, _ := record.ParseHeader(x)
		return x, h
	}
	runs := func(k Kind, partitions ...int32) []byte {
		e := NewEncoder(Header{Kind: k, Session: 1, Slot: 2, Nonce: [16]byte{3}}, 4, nil)
		for _, p := range partitions {
			e.Begin(record.Partition{Topic: record.TopicID{5}, Index: p}, 7, 8)
			for i, value := range []string{"snow", "firn"} {
				x, h := one(8+int64(i), value)
				e.Append(h, x)
			}
			if k != Segment {
				e.Producers([]Producer{{ID: 10, Epoch: 11, TimestampMs: 12, TxnStart: -1, Batches: []Produced{{13, 13, 8, 8}, {14, 14, 9, 9}}}})
			} else {
				e.Aborted([]Aborted{{Producer: 10, First: 8, Last: 9}})
			}
		}
		if _, err := e.Finish(); err != nil {
			t.Fatal(err)
		}
		return join(e.Segments())
	}
	for name, b := range map[string][]byte{
		"wal":     runs(WAL, 6, 9),
		"sealed":  runs(Sealed, 6),
		"segment": runs(Segment, 6),
		"fence":   EncodeFence(1, 2, [16]byte{3}, [16]byte{4}, 5),
		"index":   EncodeIndex(1, 2, [16]byte{3}, 4, []byte("extents")),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name+".txt", transcript(t, b)) })
	}
}

// TestVerifySaysWhatIsWrong shows what an operator reads of damaged objects.
func TestVerifySaysWhatIsWrong(t *testing.T) {
	e, runs := build(t, nil)
	good := join(e.Segments())
	var s strings.Builder
	r := runs[2]
	second := r.Pos + r.Len/int64(3)
	for _, damage := range []struct {
		what string
		do   func(b []byte) []byte
	}{
		{"nothing", func(b []byte) []byte { return b }},
		{"a bit of the header", func(b []byte) []byte { b[20] ^= 1; return b }},
		{"a newer version", func(b []byte) []byte {
			h := Header{Kind: WAL}.Encode()
			h[4] = 2
			return append(resummed(h), b[HeaderLen:]...)
		}},
		{"another session's header", func(b []byte) []byte { return append(Header{Kind: WAL, Session: 8}.Encode(), b[HeaderLen:]...) }},
		{"a bit of a record", func(b []byte) []byte { b[second+80] ^= 1; return b }},
		{"the offset of a batch", func(b []byte) []byte { record.Rebase(b[second:], 999, 3); return b }},
		{"the epoch of a batch", func(b []byte) []byte { record.Rebase(b[second:], r.Base+10, 4); return b }},
		{"the length of a batch", func(b []byte) []byte { b[second+8] = 0x7f; return b }},
		{"two runs", func(b []byte) []byte { b[runs[0].Pos+70] ^= 1; b[runs[3].Pos+70] ^= 1; return b }},
		{"a bit of the footer", func(b []byte) []byte { b[e.trailer.FooterPos+3] ^= 1; return b }},
		{"the number of runs", func(b []byte) []byte { b[len(b)-20] = 2; return b }},
		{"its end", func(b []byte) []byte { return b[:len(b)-1] }},
		{"its middle", func(b []byte) []byte { return append(b[:1000], b[1100:]...) }},
		{"lies: more records", forge(func(r []Run) { r[2].Records = 29 })},
		{"lies: a later timestamp", forge(func(r []Run) { r[2].MaxTimestamp++ })},
		{"lies: more offsets", forge(func(r []Run) { r[2].Next++ })},
		{"lies: an earlier run", forge(func(r []Run) { r[2].Pos -= 10; r[2].Len += 10 })},
		{"lies: a position that overflows", forge(func(r []Run) { r[2].Pos = 1<<63 - 10 })},
		{"lies: a run's CRC", forge(func(r []Run) { r[2].CRC++ })},
		{"lies: index, offset", forge(func(r []Run) { r[2].Index = []IndexEntry{{301, 0, -1}} })},
		{"lies: index, timestamp", forge(func(r []Run) { r[2].Index = []IndexEntry{{300, 0, 5}} })},
		{"lies: index, no batch there", forge(func(r []Run) { r[2].Index = append(r[2].Index[:1:1], IndexEntry{305, 77, 9}) })},
		{"lies: index, backwards", forge(func(r []Run) { r[2].Index = []IndexEntry{{310, 341, 9}, {300, 0, -1}} })},
		{"lies: two runs swapped", forge(func(r []Run) { r[1], r[2] = r[2], r[1] })},
		{"lies: the last run is missing", func(b []byte) []byte {
			return reseal(b, func(r []Run) []Run { return r[:3] }, nil)
		}},
		{"lies: bytes behind the details", func(b []byte) []byte {
			return reseal(b, nil, func(f []byte) []byte { return append(f, 0) })
		}},
		{"lies: a fence with runs", func(b []byte) []byte {
			b[5] = byte(Fence)
			resummed(b[:HeaderLen])
			return reseal(b, nil, nil)
		}},
		{"lies: a segment of four partitions", func(b []byte) []byte {
			b[5] = byte(Segment)
			resummed(b[:HeaderLen])
			return reseal(b, nil, nil)
		}},
		{"lies: an index object of four payloads", func(b []byte) []byte {
			b[5] = byte(Index)
			resummed(b[:HeaderLen])
			return reseal(b, nil, nil)
		}},
		{"lies: a payload that ends early", func([]byte) []byte {
			x := EncodeIndex(1, 2, [16]byte{}, 3, []byte("payload"))
			return reseal(x, func(r []Run) []Run {
				r[0].Len, r[0].CRC = 3, crc32.Checksum([]byte("pay"), castagnoli)
				return r
			}, nil)
		}},
		{"lies: a payload's CRC", func([]byte) []byte {
			x := EncodeIndex(1, 2, [16]byte{}, 3, []byte("payload"))
			return reseal(x, func(r []Run) []Run { r[0].CRC++; return r }, nil)
		}},
		{"everything", func([]byte) []byte { return []byte("<Error><Code>SlowDown</Code></Error>") }},
	} {
		fmt.Fprintf(&s, "%s\n", damage.what)
		_, _, bad := Verify(damage.do(append([]byte(nil), good...)))
		for _, err := range bad {
			fmt.Fprintf(&s, "    %v\n", err)
		}
	}
	golden(t, "verify.txt", s.String())
}

// reseal gives an object another footer, with checksums that are right: what a
// broken writer would leave.
func reseal(b []byte, change func([]Run) []Run, garble func(footer []byte) []byte) []byte {
	_, f, err := Open(b)
	if f == nil {
		panic(err)
	}
	runs, err := f.Runs()
	if err != nil {
		panic(err)
	}
	if change != nil {
		runs = change(runs)
	}
	var footer, details []byte
	for i := range runs {
		details = appendDetails(details, runs[i])
		footer = appendRun(footer, &runs[i], len(details))
	}
	footer = append(footer, details...)
	if garble != nil {
		footer = garble(footer)
	}
	t := Trailer{FooterPos: f.Trailer.FooterPos, FooterLen: int64(len(footer)), Runs: len(runs)}
	out := append(append([]byte(nil), b[:t.FooterPos]...), footer...)
	return append(out, t.encode(b[:HeaderLen], footer)...)
}

func forge(change func([]Run)) func([]byte) []byte {
	return func(b []byte) []byte {
		return reseal(b, func(r []Run) []Run { change(r); return r }, nil)
	}
}

package bubble

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// object is one of the bucket's, or nil.
func (c *cluster) object(name string) []byte {
	c.t.Helper()
	b, err := c.bucket.Get(c.t.Context(), name, cold.Whole, nil)
	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	return b
}

// place puts an object in the place of what is there.
func (c *cluster) place(name string, b []byte) {
	c.t.Helper()
	if err := c.bucket.Delete(c.t.Context(), name); err != nil {
		c.t.Fatal(err)
	}
	if err := c.bucket.PutIfAbsent(c.t.Context(), name, cold.Bytes(b)); err != nil {
		c.t.Fatal(err)
	}
}

// agreed is the catalog as the bucket has it.
func (c *cluster) agreed() *catalog.State {
	c.t.Helper()
	r := journal.NewReader(c.bucket)
	if err := r.Catchup(c.t.Context(), nil); err != nil {
		c.t.Fatal(err)
	}
	return r.State()
}

// framed makes a frame of the journal out of an entry's: of a kind, number and payload,
// with the version byte of the frame.
func framed(entry []byte, version, kind byte, number uint64, payload []byte) []byte {
	b := append([]byte(nil), entry[:40]...)
	b[4], b[5] = version, kind
	binary.LittleEndian.PutUint64(b[8:], number)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// newer is what a program of the next version might have left in the bucket.
var newer = []struct {
	name string
	make func(c *cluster) (name string, object []byte)
	live bool // a broker that runs meets it, too
}{
	{"an entry of the journal in another frame", func(c *cluster) (string, []byte) {
		n := c.agreed().Number()
		e := c.object(journal.Name(n))
		return journal.Name(n + 1), framed(e, 2, 'E', n+1, e[44:len(e)-4])
	}, true},
	{"an entry of the journal with other commands", func(c *cluster) (string, []byte) {
		n := c.agreed().Number()
		e := c.object(journal.Name(n))
		payload := append([]byte(nil), e[44:len(e)-4]...)
		payload[1]++
		return journal.Name(n + 1), framed(e, 1, 'E', n+1, payload)
	}, true},
	{"an entry of the journal with a command more", func(c *cluster) (string, []byte) {
		n := c.agreed().Number()
		e := c.object(journal.Name(n))
		payload := catalog.EncodeCommands([]catalog.Command{&catalog.GiveUp{}})
		payload[2]++ // the kind, of which this one is the last
		return journal.Name(n + 1), framed(e, 1, 'E', n+1, append([]byte{0}, payload...))
	}, true},
	{"a snapshot in another frame", func(c *cluster) (string, []byte) {
		s := c.agreed()
		return snapshot(s), framed(c.object(journal.Name(s.Number())), 2, 'S', s.Number(), s.Encode())
	}, false},
	{"a snapshot of another state", func(c *cluster) (string, []byte) {
		s := c.agreed()
		payload := s.Encode()
		payload[0]++
		return snapshot(s), framed(c.object(journal.Name(s.Number())), 1, 'S', s.Number(), payload)
	}, false},
	{"a WAL object of a broker that died", func(c *cluster) (string, []byte) {
		s := c.agreed()
		all := s.Sessions()
		v := all[len(all)-1]
		name := catalog.WAL(v.ID, v.Covered).Name()
		b := append([]byte(nil), c.object(name)...)
		b[4] = 2
		binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
		return name, b
	}, false},
}

func snapshot(s *catalog.State) string {
	return fmt.Sprintf("%s%020d", journal.PrefixSnapshots, s.Number())
}

// What a newer program has written stops a broker, at its start or while it runs, with an
// error that names the version that is there and the one that it knows. It skips nothing
// and changes nothing: the newer program finds everything as it was, and so does an older
// one when the newer object was not needed after all.
func TestWhatANewerProgramWroteStopsABroker(t *testing.T) {
	for _, x := range newer {
		t.Run(x.name, func(t *testing.T) {
			inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
				n := c.brokers[0]
				c.fill(20)
				says := func(err error) {
					t.Helper()
					if err == nil || !strings.Contains(err.Error(), "this program knows ") || !strings.Contains(err.Error(), "version ") {
						t.Errorf("the broker ended with %v", err)
					}
				}
				var name string
				var theirs []byte
				if x.live {
					name, theirs = x.make(c)
					c.place(name, theirs)
					select {
					case err := <-n.ended:
						says(err)
						n.cancel()
						n.cancel = nil
						n.proc.Kill()
					case <-time.After(time.Minute):
						t.Fatal("the broker goes on beside what it cannot read")
					}
				} else {
					n.crash()
					name, theirs = x.make(c)
				}
				ours, err := c.bucket.Get(t.Context(), name, cold.Whole, nil)
				if !x.live {
					c.place(name, theirs)
				}
				objects := c.count("")
				select {
				case <-n.launch():
					t.Fatal("a broker serves a bucket that it cannot read")
				case err := <-n.ended:
					says(err)
				case <-time.After(time.Minute):
					t.Fatal("the broker tries for ever")
				}
				n.cancel()
				n.cancel = nil
				n.proc.Kill()
				if now := c.count(""); now != objects {
					t.Errorf("the bucket had %d objects and has %d", objects, now)
				}
				if string(c.object(name)) != string(theirs) {
					t.Errorf("%s was changed", name)
				}
				if err == nil && !x.live {
					c.place(name, ours)
				} else if err := c.bucket.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
				n.start()
				reader := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
				defer reader.Close()
				if got := len(poll(reader, 20)); got != 20 {
					t.Errorf("%d of 20 records are there", got)
				}
			})
		})
	}
}

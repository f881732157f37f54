package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// connections are negotiated, and end when they are abused.
func connections() []scenario {
	return []scenario{
		{"connection/versions", func(s *side) {
			q := kmsg.NewPtrApiVersionsRequest()
			q.ClientSoftwareName, q.ClientSoftwareVersion = "differential", "1"
			every[*kmsg.ApiVersionsResponse](s, "versions", q)
			for _, bad := range [][2]string{{"", "1"}, {"x", ""}, {"-x", "1"}, {"x-", "1"}, {"x", "1-"}, {"a b", "1"}, {"ü", "1"}, {"x_y", "1"}, {"a.b-c", "1.2-3"}} {
				q.ClientSoftwareName, q.ClientSoftwareVersion = bad[0], bad[1]
				every[*kmsg.ApiVersionsResponse](s, fmt.Sprintf("software %q %q", bad[0], bad[1]), q)
			}
		}},
		{"connection/bytes", func(s *side) {
			frame := func(size int, rest ...any) []byte {
				var b []byte
				for _, r := range rest {
					switch r := r.(type) {
					case int16:
						b = binary.BigEndian.AppendUint16(b, uint16(r))
					case int32:
						b = binary.BigEndian.AppendUint32(b, uint32(r))
					case string:
						b = append(b, r...)
					}
				}
				if size < -1 || size > 1<<20 {
					return append(binary.BigEndian.AppendUint32(nil, uint32(size)), b...)
				}
				return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
			}
			const corr, null = int32(7), int16(-1)
			for _, c := range []struct {
				step  string
				bytes []byte
			}{
				{"ApiVersions v99", frame(0, int16(18), int16(99), corr, null, "\x00\x01\x02\x03")},
				{"ApiVersions v5", frame(0, int16(18), int16(5), corr, null, "\x00\x02a\x02a\x00")},
				{"ApiVersions v-1", frame(0, int16(18), int16(-1), corr, null)},
				{"ApiVersions v0", frame(0, int16(18), int16(0), corr, null)},
				{"ApiVersions v3 with a header tag", frame(0, int16(18), int16(3), corr, null, "\x01\x63\x01x\x02a\x02a\x00")},
				{"ApiVersions v3 with a body tag", frame(0, int16(18), int16(3), corr, null, "\x00\x02a\x02a\x01\x63\x01x")},
				{"ApiVersions v3, cut", frame(0, int16(18), int16(3), corr, null, "\x00\x02a")},
				{"ApiVersions v3, nothing", frame(0, int16(18), int16(3), corr, null)},
				{"a client id of length -2", frame(0, int16(18), int16(0), corr, int16(-2))},
				{"a client id that is too long", frame(0, int16(18), int16(0), corr, int16(9), "abc")},
				{"an empty client id", frame(0, int16(18), int16(0), corr, int16(0))},
				{"bytes behind the body", frame(0, int16(3), int16(1), corr, null, int32(0), "rest")},
				{"Metadata v99", frame(0, int16(3), int16(99), corr, null, int32(0))},
				{"Metadata v-1", frame(0, int16(3), int16(-1), corr, null, int32(0))},
				{"Fetch v3", frame(0, int16(1), int16(3), corr, null, int32(0))},
				{"Produce v2", frame(0, int16(0), int16(2), corr, null, int32(0))},
				{"LeaderAndIsr", frame(0, int16(4), int16(0), corr, null, int32(0))},
				{"key 32000", frame(0, int16(32000), int16(0), corr, null)},
				{"key -1", frame(0, int16(-1), int16(0), corr, null)},
				{"Metadata, cut", frame(0, int16(3), int16(1), corr, null, int16(0))},
				{"Metadata of a lying array", frame(0, int16(3), int16(1), corr, null, int32(1<<30))},
				{"Metadata of a negative array", frame(0, int16(3), int16(1), corr, null, int32(-2))},
				{"Metadata of a lying string", frame(0, int16(3), int16(1), corr, null, int32(1), int16(999), "a")},
				{"only a key", frame(0, int16(3))},
				{"an empty frame", frame(0)},
				{"a frame of -1", frame(-2)},
				{"a frame of 2 GiB", frame(1<<31-1, int16(3), int16(1))},
				{"a frame above socket.request.max.bytes", frame(104857601, int16(3), int16(1))},
				{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
				{"TLS", []byte("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\x00\x00\x00\x00")},
				{"SaslHandshake", frame(0, int16(17), int16(1), corr, null, int16(5), "PLAIN")},
			} {
				s.redial()
				_, _ = s.conn.nc.Write(c.bytes)
				s.say(c.step, s.outcome())
			}
			s.redial()
		}},
	}
}

// outcome says what a broker does with bytes: answers, closes, or waits for more.
func (s *side) outcome() string {
	_ = s.conn.nc.SetReadDeadline(time.Now().Add(time.Second))
	var head [10]byte
	n, err := io.ReadFull(s.conn.nc, head[:])
	switch {
	case err == nil:
		after := "and stays"
		_, _ = io.CopyN(io.Discard, s.conn.nc, int64(binary.BigEndian.Uint32(head[:]))-6)
		_ = s.conn.nc.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := s.conn.nc.Read(head[9:]); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			after = "and closes"
		}
		return fmt.Sprintf("answers % x %s", head[4:9], after)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("waits after %d bytes", n)
	}
	return "closes"
}

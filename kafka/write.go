package kafka

import (
	"encoding/binary"
	"net"
	"time"
)

// keepOut is the largest buffer for answers that a connection keeps.
const keepOut = 64 << 10

// writeChunk is how much is written under one deadline: a client that takes this
// much in Limits.Stall is slow, not stalled.
const writeChunk = 1 << 20

// write writes the answer to a request and returns its bytes.
func (c *conn) write(q *call, a answer) (int, error) {
	if a.fetch != nil {
		defer a.fetch.release()
	}
	if a.response == nil && a.fetch == nil {
		return 0, nil
	}
	out := appendResponseHeader(c.out[:0], q)
	var parts net.Buffers
	if a.fetch != nil {
		out, parts = a.fetch.encode(out, q.version)
	} else {
		out = a.response.AppendTo(out)
		parts = net.Buffers{out}
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	binary.BigEndian.PutUint32(out, uint32(n-4))
	if cap(out) <= keepOut {
		c.out = out
	}
	return n, c.send(parts)
}

// appendResponseHeader appends room for the size of the answer and its header:
//
//	4  size of all that follows
//	4  correlation id
//	1  no tagged fields               (header v1: flexible versions)
//
// ApiVersions always has header v0: its client may not know ours (kafka.md 2).
func appendResponseHeader(dst []byte, q *call) []byte {
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(q.correlation))
	if q.api.key != keyApiVersions && q.api.flexible(q.version) {
		dst = append(dst, 0)
	}
	return dst
}

// send writes the parts, some at a time, each time under a new deadline.
func (c *conn) send(parts net.Buffers) error {
	for len(parts) > 0 {
		n, size := 0, 0
		for n < len(parts) && size < writeChunk && n < 512 {
			if size += len(parts[n]); size > writeChunk && n > 0 {
				break
			}
			n++
		}
		some := parts[:n:n]
		parts = parts[n:]
		if n == 1 && len(some[0]) > writeChunk {
			if err := c.sendLarge(some[0]); err != nil {
				return err
			}
			continue
		}
		c.nc.SetWriteDeadline(time.Now().Add(c.s.limits.Stall))
		if _, err := some.WriteTo(unwrap(c.nc)); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) sendLarge(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), writeChunk)
		c.nc.SetWriteDeadline(time.Now().Add(c.s.limits.Stall))
		if _, err := c.nc.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// unwrap gives net.Buffers the connection itself, on which it is one writev.
func unwrap(nc net.Conn) net.Conn {
	if c, ok := nc.(*counted); ok {
		return c.Conn
	}
	return nc
}

package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrMember says that a member's metadata cannot be read or is too long.
var ErrMember = errors.New("not a member's metadata")

// Member is what a broker says of itself.
type Member struct {
	// Session is its session in the catalog; 0 before it has one.
	Session uint64
	// Node is its node id.
	Node int32
	// Kafka is HOST:PORT where other brokers reach its Kafka listener.
	Kafka string
	// Rack is its zone, or empty.
	Rack string
	// Draining says that it is leaving: it takes nothing new.
	Draining bool
	// Starting says that it serves nobody yet. It has a session all the same once Session
	// is set.
	Starting bool
	// Adrift says that it has not reached the bucket for so long that it serves nobody.
	Adrift bool
	// Starved says that nothing of it has got into the bucket for long, though something
	// waits: it keeps what it has, and is given nothing new.
	Starved bool
}

// Takes reports whether it may be given partitions, and is to be counted on for what one
// of all brokers has to do.
func (m Member) Takes() bool {
	return m.Session != 0 && !m.Draining && !m.Starting && !m.Adrift && !m.Starved
}

// What the bits of the metadata's second byte say.
const (
	draining = 1 << iota
	starting
	adrift
	starved
)

// metadataMost is memberlist's limit for a node's metadata.
const metadataMost = 512

// version of the metadata.
const version = 1

// encode writes the metadata:
//
//	version  1 byte, 1
//	flags    1 byte, bit 0: draining, bit 1: starting, bit 2: adrift, bit 3: starved
//	session  uvarint
//	node     uvarint
//	kafka    uvarint length, bytes
//	rack     uvarint length, bytes
//	load     uvarint, bytes per second; 0 when it is left out
func (m Member) encode(load uint64) ([]byte, error) {
	b := []byte{version, 0}
	for _, f := range []struct {
		set bool
		bit byte
	}{{m.Draining, draining}, {m.Starting, starting}, {m.Adrift, adrift}, {m.Starved, starved}} {
		if f.set {
			b[1] |= f.bit
		}
	}
	b = binary.AppendUvarint(b, m.Session)
	b = binary.AppendUvarint(b, uint64(max(m.Node, 0)))
	for _, s := range []string{m.Kafka, m.Rack} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, load)
	if len(b) > metadataMost-binary.MaxVarintLen64 { // whatever the load becomes
		return nil, fmt.Errorf("%w: address %q and rack %q make %d bytes, at most %d fit", ErrMember, m.Kafka, m.Rack, len(b), metadataMost-binary.MaxVarintLen64)
	}
	return b, nil
}

// decode reads metadata of any version that it knows. It holds nothing of b.
func decode(b []byte) (m Member, load uint64, err error) {
	if len(b) < 2 || b[0] != version {
		return m, 0, fmt.Errorf("%w: %d bytes that do not begin with version %d", ErrMember, len(b), version)
	}
	m.Draining, m.Starting, m.Adrift, m.Starved = b[1]&draining != 0, b[1]&starting != 0, b[1]&adrift != 0, b[1]&starved != 0
	b = b[2:]
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			b = nil
			return math.MaxUint64
		}
		b = b[n:]
		return v
	}
	text := func() (string, bool) {
		n := number()
		if n > uint64(len(b)) {
			return "", false
		}
		s := string(b[:n])
		b = b[n:]
		return s, true
	}
	m.Session = number()
	node := number()
	if m.Session == math.MaxUint64 || node > math.MaxInt32 {
		return m, 0, fmt.Errorf("%w: session %d, node %d", ErrMember, m.Session, node)
	}
	m.Node = int32(node)
	var ok, ok2 bool
	m.Kafka, ok = text()
	m.Rack, ok2 = text()
	if !ok || !ok2 {
		return m, 0, fmt.Errorf("%w: cut off", ErrMember)
	}
	if len(b) > 0 { // earlier programs leave it out
		if load = number(); load == math.MaxUint64 {
			return m, 0, fmt.Errorf("%w: load", ErrMember)
		}
	}
	return m, load, nil
}

package record

import (
	"encoding/binary"
	"fmt"
)

// Marker is what a control record says of a transaction (KIP-98).
type Marker int16

// The markers that end a transaction.
const (
	Abort  Marker = 0
	Commit Marker = 1
)

// String is the marker's name in logs.
func (m Marker) String() string {
	switch m {
	case Abort:
		return "abort"
	case Commit:
		return "commit"
	}
	return fmt.Sprintf("marker %d", int16(m))
}

// EndTxn is the record that ends a transaction in a partition.
//
//	key    0 2 version, 0        value  0 2 version, 0
//	       2 2 marker                   2 4 epoch of the coordinator
type EndTxn struct {
	Marker           Marker
	CoordinatorEpoch int32
}

// NewEndTxn returns the control batch, at offset 0, that ends a producer's
// transaction. timestamp is in milliseconds.
func NewEndTxn(e EndTxn, producer int64, epoch int16, timestamp int64) []byte {
	b := Builder{HasProducer: true, Template: Header{
		Attributes: attrControl | attrTransactional, ProducerID: producer, ProducerEpoch: epoch, BaseSequence: -1,
	}}
	key := binary.BigEndian.AppendUint16(make([]byte, 2, 4), uint16(e.Marker))
	value := binary.BigEndian.AppendUint32(make([]byte, 2, 6), uint32(e.CoordinatorEpoch))
	b.Add(timestamp, key, value)
	out, err := b.Build()
	if err != nil {
		panic("record: " + err.Error()) // nothing is compressed and nothing is large
	}
	return out
}

// ParseEndTxn reads a control batch. ok is false when it is no control batch, is
// empty, or says something else than the end of a transaction (Kafka has more
// kinds of control records; consumers pass over those they do not know).
func ParseEndTxn(h Header, batch []byte, dec *Decoder) (e EndTxn, ok bool, err error) {
	if !h.Control() {
		return e, false, nil
	}
	it := Iterate(h, batch, dec)
	if !it.Next() {
		return e, false, it.Err()
	}
	k, v := it.Record.Key, it.Record.Value
	if len(k) < 4 {
		return e, false, fmt.Errorf("%w: a control record with a key of %d bytes", ErrInvalidRecord, len(k))
	}
	e.Marker = Marker(binary.BigEndian.Uint16(k[2:]))
	if e.Marker != Abort && e.Marker != Commit {
		return EndTxn{}, false, nil
	}
	if len(v) < 6 {
		return EndTxn{}, false, fmt.Errorf("%w: an %s marker of %d bytes", ErrInvalidRecord, e.Marker, len(v))
	}
	e.CoordinatorEpoch = int32(binary.BigEndian.Uint32(v[2:]))
	return e, true, nil
}

package record

import (
	"encoding/binary"
	"fmt"
)

// DeleteHorizon is until when the batch's tombstones stay, in milliseconds; false when no
// compaction has kept them yet (KIP-534). It is the base timestamp, so that who knows
// nothing of it reads the same timestamps. Producers may claim one: only what compaction
// wrote is to be believed.
func (h Header) DeleteHorizon() (ms int64, ok bool) {
	return h.BaseTimestamp, h.Attributes&attrDeleteHorizon != 0
}

// SetDeleteHorizon returns the batch with a delete horizon, in a slice of its own. Everything
// else stays, the timestamps of its records, too.
func (z *Compressor) SetDeleteHorizon(h Header, batch []byte, dec *Decoder, ms int64) ([]byte, error) {
	if h.Size() < HeaderLen || h.Size() > len(batch) {
		return nil, fmt.Errorf("%w: a header of %d bytes over %d bytes", ErrCorrupt, h.Size(), len(batch))
	}
	body := batch[HeaderLen:h.Size()]
	var err error
	if h.Codec() != None {
		if body, err = dec.Decompress(h.Codec(), body); err != nil {
			return nil, err
		}
	}
	if z.body, err = shift(z.body[:0], body, h.BaseTimestamp-ms); err != nil {
		return nil, err
	}
	h.Attributes, h.BaseTimestamp = h.Attributes|attrDeleteHorizon, ms
	return z.seal(h, h.Codec(), 0, z.body)
}

// shift appends records whose timestamps are by ms later beyond their base.
func shift(dst, records []byte, by int64) ([]byte, error) {
	var delta [binary.MaxVarintLen64]byte
	for d := (fields{b: records}); len(d.b) > 0; {
		n := d.varint()
		if d.bad || n < minRecord-1 || n > int64(len(d.b)) {
			return dst, fmt.Errorf("%w: a record is cut short", ErrInvalidRecord)
		}
		attributes, r := d.b[0], fields{b: d.b[1:n]}
		ts := binary.AppendVarint(delta[:0], r.varint()+by)
		if r.bad {
			return dst, fmt.Errorf("%w: a record is malformed", ErrInvalidRecord)
		}
		dst = binary.AppendVarint(dst, int64(1+len(ts)+len(r.b)))
		dst = append(append(append(dst, attributes), ts...), r.b...)
		d.b = d.b[n:]
	}
	return dst, nil
}

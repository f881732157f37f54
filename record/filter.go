package record

import "fmt"

// Recompress returns the batch with its records compressed by another codec at
// its default level, in a slice of its own. Everything else stays.
func Recompress(h Header, batch []byte, dec *Decoder, c Codec) ([]byte, error) {
	z := BorrowCompressor()
	defer z.Return()
	return z.Recompress(h, batch, dec, c, 0)
}

// Recompress is the function of that name, at a level (KIP-390; 0 is the codec's
// default).
func (z *Compressor) Recompress(h Header, batch []byte, dec *Decoder, c Codec, level int) ([]byte, error) {
	if h.Size() < HeaderLen || h.Size() > len(batch) {
		return nil, fmt.Errorf("%w: a header of %d bytes over %d bytes", ErrCorrupt, h.Size(), len(batch))
	}
	body := batch[HeaderLen:h.Size()]
	if h.Codec() != None {
		var err error
		if body, err = dec.Decompress(h.Codec(), body); err != nil {
			return nil, err
		}
	}
	return z.seal(h, c, level, body)
}

// Filter returns the batch without the records that keep refuses, for
// compaction: base offset, last offset delta, base timestamp and producer stay,
// so that consumers reach its end and sequences do not break, even when no record
// is left (kafka.md 52). The largest timestamp becomes that of the records that
// stay, as in Kafka, unless none does or it is LogAppendTime. Filter returns the
// batch itself when every record is kept.
func (z *Compressor) Filter(h Header, batch []byte, dec *Decoder, keep func(Record) bool) ([]byte, error) {
	it := Iterate(h, batch, dec)
	z.body = z.body[:0]
	n, newest := int32(0), int64(0)
	for it.Next() {
		if !keep(it.Record) {
			continue
		}
		z.body = append(z.body, it.Record.raw...)
		if ts := it.Timestamp(); n == 0 || ts > newest {
			newest = ts
		}
		n++
	}
	if it.Err() != nil {
		return nil, it.Err()
	}
	if n == h.NumRecords {
		return batch, nil
	}
	h.NumRecords = n
	c := h.Codec()
	if n == 0 {
		c = None
	} else {
		h.MaxTimestamp = newest
	}
	return z.seal(h, c, 0, z.body)
}

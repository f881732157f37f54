package record

// dense reports whether no offset of the batch lacks its record.
func (h Header) dense() bool {
	return h.NumRecords > 0 && int64(h.NumRecords) == int64(h.LastOffsetDelta)+1
}

// MaxAt finds the first record that has the largest timestamp of the batch
// (ListOffsets -3, KIP-734). found is false when the batch has no records.
func MaxAt(h Header, batch []byte, dec *Decoder) (offset, timestamp int64, found bool, err error) {
	if h.LogAppendTime() && h.dense() {
		return h.BaseOffset, h.MaxTimestamp, true, nil
	}
	it := Iterate(h, batch, dec)
	for it.Next() {
		if ts := it.Timestamp(); !found || ts > timestamp {
			offset, timestamp, found = it.Offset(), ts, true
		}
	}
	if it.Err() != nil {
		return 0, 0, false, it.Err()
	}
	return offset, timestamp, found, nil
}

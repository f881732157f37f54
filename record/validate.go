package record

import "fmt"

// BadRecord is an error in one record of a batch (KIP-467).
type BadRecord struct {
	Index int32 // of the record in its batch, from 0
	Why   string
}

func (e *BadRecord) Error() string { return fmt.Sprintf("record %d of the batch: %s", e.Index, e.Why) }

// Unwrap makes it an ErrInvalidRecord.
func (e *BadRecord) Unwrap() error { return ErrInvalidRecord }

// CheckRecords reads all records of a batch that a client sends: their number,
// lengths and dense offsets, and with needKey that none has a null key, as
// compacted topics demand. It decompresses into dec.
func CheckRecords(h Header, batch []byte, dec *Decoder, needKey bool) error {
	it := Iterate(h, batch, dec)
	i := int32(0)
	for ; it.Next(); i++ {
		if it.Record.OffsetDelta != i {
			return &BadRecord{i, fmt.Sprintf("its offset delta is %d", it.Record.OffsetDelta)}
		}
		if needKey && it.Record.Key == nil {
			return &BadRecord{i, "compacted topics take no record without a key"}
		}
	}
	return it.Err()
}

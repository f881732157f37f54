package record

import "fmt"

// maxBadRecords bounds how many records of a batch are told of. A small compressed
// batch can hold millions.
const maxBadRecords = 4096

// BadRecord is what is wrong with one record of a batch (KIP-467).
type BadRecord struct {
	Index int32 // of the record in its batch, from 0
	Why   string
}

// BadRecords is an error in records of a batch: all of them up to a bound, in their
// order and at least one, since clients give up those and send the others again. It
// is an ErrInvalidRecord.
type BadRecords []BadRecord

func (e BadRecords) Error() string {
	s := fmt.Sprintf("record %d of the batch: %s", e[0].Index, e[0].Why)
	if n := len(e) - 1; n > 0 {
		s += fmt.Sprintf("; and %d more", n)
	}
	return s
}

// Unwrap makes it an ErrInvalidRecord.
func (e BadRecords) Unwrap() error { return ErrInvalidRecord }

// CheckRecords reads all records of a batch that a client sends: their number,
// lengths and dense offsets, and with needKey that none has a null key, as
// compacted topics demand. It decompresses into dec. The error is BadRecords where
// the batch itself is sound.
func CheckRecords(h Header, batch []byte, dec *Decoder, needKey bool) error {
	var bad BadRecords
	it := Iterate(h, batch, dec)
	i := int32(0)
	for ; it.Next(); i++ {
		why := ""
		switch {
		case it.Record.OffsetDelta != i:
			why = fmt.Sprintf("its offset delta is %d", it.Record.OffsetDelta)
		case needKey && it.Record.Key == nil:
			why = "compacted topics take no record without a key"
		default:
			continue
		}
		if len(bad) < maxBadRecords {
			bad = append(bad, BadRecord{i, why})
		}
	}
	if err := it.Err(); err != nil || len(bad) == 0 {
		return err
	}
	return bad
}

// untimely is an ErrInvalidTimestamp that has BadRecords.
type untimely struct{ bad BadRecords }

func (e *untimely) Error() string { return fmt.Sprintf("%v: %v", ErrInvalidTimestamp, e.bad) }
func (e *untimely) Unwrap() error { return ErrInvalidTimestamp }

// As finds the records; they are no ErrInvalidRecord.
func (e *untimely) As(target any) bool {
	bad, ok := target.(*BadRecords)
	if ok {
		*bad = e.bad
	}
	return ok
}

// NameUntimely finds the records of a batch that Check refused with
// ErrInvalidTimestamp, and returns an error that has them as BadRecords; or err, when
// it cannot read them.
func NameUntimely(h Header, batch []byte, dec *Decoder, l Limits, err error) error {
	var bad BadRecords
	it := Iterate(h, batch, dec)
	for i := int32(0); it.Next() && len(bad) < maxBadRecords; i++ {
		one := h
		one.BaseTimestamp += it.Record.TimestampDelta
		one.MaxTimestamp = one.BaseTimestamp
		why := checkTimestamps(one, l)
		if h.LogAppendTime() {
			why = err
		}
		if why != nil {
			bad = append(bad, BadRecord{i, why.Error()})
		}
	}
	if it.Err() != nil || len(bad) == 0 {
		return err
	}
	return &untimely{bad}
}

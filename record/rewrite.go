package record

import (
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC is the CRC-32C that the batch's header should have.
func CRC(batch []byte) uint32 { return crc32.Checksum(batch[21:], castagnoli) }

// Rebase writes the base offset and the leader epoch in place. Neither is
// covered by the CRC.
func Rebase(batch []byte, base int64, epoch int32) {
	binary.BigEndian.PutUint64(batch, uint64(base))
	binary.BigEndian.PutUint32(batch[12:], uint32(epoch))
}

// StampLogAppendTime makes now, in milliseconds, the timestamp of all records of
// the batch, in place, with a new CRC.
func StampLogAppendTime(batch []byte, now int64) {
	attrs := binary.BigEndian.Uint16(batch[21:])
	binary.BigEndian.PutUint16(batch[21:], attrs|attrLogAppendTime)
	StampMaxTimestamp(batch, now)
}

// StampMaxTimestamp makes t, in milliseconds, the batch's largest timestamp, in place,
// with a new CRC.
func StampMaxTimestamp(batch []byte, t int64) {
	binary.BigEndian.PutUint64(batch[35:], uint64(t))
	binary.BigEndian.PutUint32(batch[17:], CRC(batch))
}

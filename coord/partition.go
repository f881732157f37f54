package coord

import (
	"crypto/rand"
	"encoding/hex"
	"unicode/utf16"
)

// Partition is the partition of a topic with n partitions that coordinates a
// group: Java's String.hashCode, made positive, modulo n, as Kafka's tools expect.
func Partition(groupID string, n int32) int32 {
	var h int32
	for _, r := range groupID {
		if hi, lo := utf16.EncodeRune(r); r > 0xffff {
			h = 31*(31*h+hi) + lo
		} else {
			h = 31*h + r
		}
	}
	return h & 0x7fffffff % n
}

// memberID is a member id as Kafka makes them: the prefix and a random UUID.
func memberID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return prefix + "-" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

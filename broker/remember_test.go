package broker

import (
	"strings"
	"testing"
)

// A data folder is a cache: whatever bit of meta.properties is wrong, and wherever it is cut
// off, a broker starts as on an empty folder. It refuses no bucket for it, and is no other node.
func TestDamageToWhatABrokerRemembersIsAnEmptyFolder(t *testing.T) {
	m := memory{cluster: "TXkgY2x1c3RlciBpcyBp", node: 12, entry: 3456}
	text := m.String()
	if got, ok := recall(text); !ok || got != m {
		t.Fatalf("%q is %+v (%v)", text, got, ok)
	}
	older := text[:strings.Index(text, "crc32c")]
	if got, ok := recall(older); !ok || got != m {
		t.Errorf("that of an older version, %q, is %+v (%v)", older, got, ok)
	}
	for n := range len(text) {
		if got, ok := recall(text[:n]); got != nothing && got != m || ok != (got == m) {
			t.Errorf("cut off after %d bytes it is %+v (%v)", n, got, ok)
		}
		for bit := range 8 {
			b := []byte(text)
			b[n] ^= 1 << bit
			if got, ok := recall(string(b)); got != nothing && got != m || ok != (got == m) {
				t.Errorf("with bit %d of byte %d flipped, %q is %+v (%v)", bit, n, b, got, ok)
			}
		}
	}
}

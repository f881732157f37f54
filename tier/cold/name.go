package cold

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// NameLimit is the longest name in bytes. S3 allows keys of 1,024 bytes; the
// rest is for the store's prefix.
const NameLimit = 768

// segmentLimit is the longest part between two slashes: what file systems allow.
const segmentLimit = 255

// CheckName refuses, with ErrName, names that not every store can hold: empty or
// overlong ones, invalid UTF-8, control characters and backslashes, parts that
// are empty or start with a dot. Parts that start with a dot belong to drivers.
// A name is never also the folder of another name; that is for callers to keep,
// since only a file store notices.
func CheckName(name string) error {
	bad := func(why string) error { return fmt.Errorf("%w: %q %s", ErrName, name, why) }
	switch {
	case name == "":
		return bad("is empty")
	case len(name) > NameLimit:
		return fmt.Errorf("%w: %q... is longer than %d bytes", ErrName, name[:64], NameLimit)
	case !utf8.ValidString(name):
		return bad("is not UTF-8")
	}
	for i := range len(name) {
		if c := name[i]; c < 0x20 || c == 0x7f || c == '\\' {
			return bad("has a control character or a backslash")
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return bad("has an empty part")
		case part[0] == '.':
			return bad("has a part that starts with a dot")
		case len(part) > segmentLimit:
			return bad("has a part of more than 255 bytes")
		}
	}
	return nil
}

//go:build !linux

package hot

import "os"

// writeEntries writes the values of entries.
func writeEntries(f *os.File, pos int64, entries []Entry) (done int64, err error) {
	for i := range entries {
		n, err := f.WriteAt(entries[i].Value, pos+done)
		if err != nil {
			return done, err
		}
		done += int64(n)
	}
	return done, nil
}

func datasync(f *os.File) error { return f.Sync() }

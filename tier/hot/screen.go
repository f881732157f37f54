package hot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Badger trusts its files. Some damage makes it allocate gigabytes, end the
// process, or panic in a goroutine that nobody can recover. So nothing is opened
// that was not looked at first.

// screen makes a directory safe to open, or says why it is not.
func screen(path string) error {
	if err := checkTables(path); err != nil {
		return err
	}
	logs, err := filepath.Glob(filepath.Join(path, "*.mem"))
	if err != nil {
		return err
	}
	for _, log := range logs {
		if err := cutLog(log); err != nil {
			return err
		}
	}
	return shield(path)
}

// tablesFile lists the checksums of a directory's tables, one "name crc32c" a
// line. Tables are written once, when a memtable is flushed, and never changed.
const tablesFile = "tables.crc32c"

// noteTables writes the list after a directory was closed.
func noteTables(path string) error {
	names, err := filepath.Glob(filepath.Join(path, "*.sst"))
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, name := range names {
		sum, err := checksumFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %08x\n", filepath.Base(name), sum)
	}
	return os.WriteFile(filepath.Join(path, tablesFile), []byte(b.String()), 0o644)
}

// checkTables compares the tables with the list. Tables that are not in it were
// flushed in a life that ended without closing: attempt guards against those.
func checkTables(path string) error {
	b, err := os.ReadFile(filepath.Join(path, tablesFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for l := range strings.Lines(string(b)) {
		name, want, _ := strings.Cut(strings.TrimSpace(l), " ")
		sum, err := checksumFile(filepath.Join(path, filepath.Base(name)))
		if err != nil || fmt.Sprintf("%08x", sum) != want {
			return fmt.Errorf("%w: table %q does not match its checksum", ErrDamaged, name)
		}
	}
	return nil
}

func checksumFile(name string) (uint32, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	h := crc32.New(castagnoli)
	_, err = io.Copy(h, f)
	return h.Sum32(), err
}

// cutLog cuts a memtable's log off behind its last sound entry. An entry is
//
//	meta u8, user meta u8, key length, value length, expiry (uvarints), key, value, crc32c of it all
//
// behind a head of 20 bytes.
func cutLog(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(vlogHead, io.SeekStart); err != nil {
		return err
	}
	r := bufio.NewReaderSize(f, 256<<10)
	end := int64(vlogHead)
	var buf []byte
	for {
		n, ok := nextEntry(r, &buf)
		if !ok {
			break
		}
		end += n
	}
	info, err := f.Stat()
	if err != nil || info.Size() <= end {
		return err
	}
	return f.Truncate(end)
}

// nextEntry reads one entry of a log and reports whether it is sound.
func nextEntry(r *bufio.Reader, buf *[]byte) (size int64, ok bool) {
	head, _ := r.Peek(2 + 3*binary.MaxVarintLen64)
	if len(head) < 5 {
		return 0, false
	}
	n, lengths := 2, [3]uint64{}
	for i := range lengths {
		v, k := binary.Uvarint(head[n:])
		if k <= 0 {
			return 0, false
		}
		lengths[i], n = v, n+k
	}
	key, value := lengths[0], lengths[1]
	if key == 0 || key > 1<<16 || value > memTable {
		return 0, false
	}
	total := n + int(key+value)
	*buf = slices.Grow((*buf)[:0], total+4)[:total+4]
	if _, err := io.ReadFull(r, *buf); err != nil {
		return 0, false
	}
	return int64(total + 4), crc32.Checksum((*buf)[:total], castagnoli) == be.Uint32((*buf)[total:])
}

// shield puts an empty value log behind the last one. Badger reads the last one
// whole when it opens a directory, and cuts it off at the first byte that is
// wrong, with everything behind; our own checksums lose that one batch alone.
func shield(path string) error {
	names, err := filepath.Glob(filepath.Join(path, "*.vlog"))
	if err != nil || len(names) == 0 {
		return err
	}
	last := slices.Max(names)
	if info, err := os.Stat(last); err != nil || info.Size() == vlogHead {
		return err
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(last), ".vlog"), 10, 32)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(path, fmt.Sprintf("%06d.vlog", n+1)), make([]byte, vlogHead), 0o644)
}

// vlogHead is the size of the head of Badger's logs: no key, no vector.
const vlogHead = 20

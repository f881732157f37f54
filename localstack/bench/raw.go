package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/file"
)

// raw measures puts and gets of the file store by themselves.
func (b *bench) raw(ctx context.Context) error {
	s, err := file.Open(filepath.Join(b.dir, "raw"))
	if err != nil {
		return err
	}
	defer s.Close()
	for _, c := range []struct {
		name    string
		size, n int
	}{{"1 KiB", 1 << 10, 500}, {"64 KiB", 64 << 10, 200}, {"1 MiB", 1 << 20, 60}, {"8 MiB", 8 << 20, 12}} {
		data := bytes.Repeat([]byte("firn"), c.size/4)
		var puts, gets []time.Duration
		for i := range c.n {
			name := fmt.Sprintf("raw/%d-%d", c.size, i)
			began := time.Now()
			if err := s.PutIfAbsent(ctx, name, cold.Bytes(data)); err != nil {
				return err
			}
			puts = append(puts, time.Since(began))
			began = time.Now()
			if _, err := s.Get(ctx, name, cold.Whole, nil); err != nil {
				return err
			}
			gets = append(gets, time.Since(began))
		}
		b.noteTimes("raw put of "+c.name, puts)
		b.noteTimes("raw get of "+c.name, gets)
	}
	return nil
}

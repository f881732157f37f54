//go:build unix

package file_test

import (
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/file"
)

func open(t *testing.T, dir string) *file.Store {
	t.Helper()
	s, err := file.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFileIsAStore(t *testing.T) {
	coldtest.Acceptance(t, func(t *testing.T) func() cold.Store {
		dir := t.TempDir()
		return func() cold.Store { return open(t, dir) }
	})
}

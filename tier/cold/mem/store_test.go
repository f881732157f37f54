package mem_test

import (
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/mem"
)

func TestMemIsAStore(t *testing.T) {
	coldtest.Acceptance(t, func(t *testing.T) func() cold.Store {
		s := mem.New()
		return func() cold.Store { return s }
	})
}

package localstack

import (
	"context"
	"fmt"
	"os"
)

// Scratch is a temporary folder of this process. One that is killed leaves it behind
// for the next Scratch, or store, of the same user to remove.
type Scratch struct{ folder *folder }

// NewScratch makes one.
func NewScratch(ctx context.Context) (*Scratch, error) {
	f, err := openFolder(ctx, "", os.TempDir())
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	return &Scratch{f}, nil
}

// Path is where it is.
func (s *Scratch) Path() string { return s.folder.path }

// Close removes it.
func (s *Scratch) Close() error { return s.folder.close() }

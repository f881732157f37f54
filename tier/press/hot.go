package press

import "github.com/firnlog/firn/tier/hot"

// Generations is the hot tier as this package sees it. OnHot makes one.
type Generations interface {
	Generations() []hot.Info
	Shares(id uint64) ([]hot.Share, error)
	Hold(id uint64) (Held, error)
	Retired() <-chan struct{}
	Rotate()
	MarkSealed(id uint64) error
	Drop(id uint64) error
}

// Held is a generation whose bytes stay valid until Release.
type Held interface {
	// Scan gives fn the batches in the order of partitions, then of offsets.
	Scan(fn func(hot.Entry) error) error
	Release()
}

// OnHot makes Generations of a hot tier; nil of none.
func OnHot(t *hot.Tier) Generations {
	if t == nil {
		return nil
	}
	return onHot{t}
}

type onHot struct{ *hot.Tier }

// Hold implements Generations.
func (t onHot) Hold(id uint64) (Held, error) {
	p, err := t.Pin(id)
	if err != nil {
		return nil, err
	}
	return p, nil
}

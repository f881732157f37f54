package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/object"
	"github.com/firnlog/firn/tier/press"
)

// writer is press.Writer on the pump.
type writer struct{ *pump.Pump }

// Producers implements press.Writer.
func (w writer) Producers(ctx context.Context, p record.Partition) ([]object.Producer, error) {
	ps, err := w.Pump.Producers(ctx, p)
	if errors.Is(err, ingest.ErrNotLeader) {
		return nil, fmt.Errorf("%w: %w", press.ErrNotLed, err)
	}
	if err != nil {
		return nil, err
	}
	return pump.ProducersOut(ps), nil
}

// press makes what seals, presses, retains and collects.
func (b *Broker) press() *press.Press {
	return press.New(press.Options{
		Store: b.opts.Store, Settler: b.session.settler, Journal: b.journal, Writer: writer{b.pump}, Hot: press.OnHot(b.hot),
		Nonce: b.session.me.Nonce, Logger: b.log,
		SealEvery: b.values.Duration("seal.interval.ms"), RetainEvery: b.values.Duration("log.retention.check.interval.ms"),
		Grace: b.values.Duration("gc.grace.ms"), Setting: b.config.Setting,
		Wall: b.clock.now,
	})
}

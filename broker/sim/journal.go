package sim

import (
	"context"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
)

// book is a broker's end of the journal: a Scribe, and the loop that Journal has.
type book struct {
	n      *node
	scribe *journal.Scribe
	inbox  []*proposal
	grew   bool // somebody said so
	poll   time.Time
	met    time.Time // the journal was current
}

type proposal struct {
	cmds    []catalog.Command
	results []catalog.Result
	err     error
	done    bool
}

// State implements pump.Catalog.
func (b *book) State() *catalog.State { return b.scribe.State() }

// Commit implements pump.Catalog.
func (b *book) Commit(ctx context.Context, cmds ...catalog.Command) ([]catalog.Result, error) {
	p := &proposal{cmds: cmds}
	b.inbox = append(b.inbox, p)
	if err := b.n.process.Wait(ctx, func() bool { return p.done }); err != nil {
		return nil, err
	}
	return p.results, p.err
}

const pollEvery = time.Second

// run commits what is proposed and follows the entries of others.
func (b *book) run(ctx context.Context) {
	p := b.n.process
	b.tick()
	for {
		_ = p.Wait(ctx, func() bool { return len(b.inbox) > 0 || b.grew || !p.clock.now.Before(b.poll) })
		if len(b.inbox) == 0 {
			b.grew = false
			_ = b.scribe.Catchup(ctx)
			b.tick()
			continue
		}
		batch, cmds := b.gather()
		before := b.State().Number()
		results, err := b.scribe.Commit(ctx, cmds...)
		for _, q := range batch {
			q.err, q.done = err, true
			if err == nil {
				q.results, results = results[:len(q.cmds):len(q.cmds)], results[len(q.cmds):]
			}
		}
		b.n.w.trace("%s committed %T at entry %d of %d", b.n, cmds[0], b.State().Number(), before)
		b.n.w.grew(b.n)
		b.scribe.Housekeep(ctx)
	}
}

// tick sees to it that the loop looks by itself.
func (b *book) tick() {
	p := b.n.process
	b.poll = p.clock.now.Add(pollEvery)
	p.clock.at(b.poll, p, func() {})
}

// gather takes what waits, with one registration at most (S1).
func (b *book) gather() (batch []*proposal, cmds []catalog.Command) {
	registers := false
	for len(b.inbox) > 0 {
		q := b.inbox[0]
		if _, ok := q.cmds[0].(*catalog.RegisterSession); ok {
			if registers {
				break
			}
			registers = true
		}
		b.inbox = b.inbox[1:]
		batch, cmds = append(batch, q), append(cmds, q.cmds...)
	}
	return batch, cmds
}

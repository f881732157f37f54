package broker

import (
	"context"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// topicNamed is group.Topics. The state is at least as new as the entry that made this
// broker a leader, and so knows what those before it have taken commits for.
func (b *Broker) topicNamed(name string) (record.TopicID, bool) {
	t, ok := b.journal.State().TopicNamed(name)
	if !ok {
		return record.TopicID{}, false
	}
	return t.ID, true
}

// forget lets groups forget the offsets of topics as they are deleted. What is deleted
// while a coordinator loads, it finds out by itself.
func (b *Broker) forget(ctx context.Context) error {
	seen := b.journal.State()
	for {
		changed := b.journal.Changed()
		state := b.journal.State()
		var err error
		if deleted(state, seen) {
			err = b.groups.Prune(ctx)
			b.tell("forget the offsets of deleted topics", err)
		}
		if err == nil {
			seen = state
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// deleted reports whether a topic of an older state is gone.
func deleted(state, since *catalog.State) bool {
	if state == since {
		return false
	}
	for c := range state.Since(since) {
		if c.New == nil {
			return true
		}
	}
	return false
}

package cold

import (
	"context"
	"strings"
)

// Bucket is a store that knows about its bucket as a whole. Drivers of S3 are
// one; wrappers, folders and memory are not. Both methods are one or two requests,
// for people who set up a bucket: nothing that serves records calls them.
type Bucket interface {
	// CreateBucket creates the bucket. One that is there already, whoever owns it,
	// is no error.
	CreateBucket(ctx context.Context) error
	// BucketRules are what the bucket does by itself to the objects under the
	// store's prefix. ErrDenied when the credentials may not ask, ErrUnsupported when
	// the store has no such rules.
	BucketRules(ctx context.Context) (Rules, error)
}

// Rules are what a bucket does to objects by itself.
type Rules struct {
	// Versioned: a deleted object leaves its bytes behind, as an old version.
	Versioned bool
	// OldExpire: a rule deletes old versions some day.
	OldExpire bool
	// Expire and Move are the ids of rules that delete objects, or move them to
	// another storage class.
	Expire, Move []string
}

// Rule is one lifecycle rule, as far as drivers read it.
type Rule struct {
	ID      string
	Enabled bool
	Prefix  string // of the whole bucket
	Tagged  bool   // only for objects with a tag, which ours have not

	Expires, Moves, OldExpire bool
}

// Add adds a lifecycle rule that concerns objects under the prefix.
func (r *Rules) Add(rule Rule, prefix string) {
	if !rule.Enabled || rule.Tagged || !strings.HasPrefix(rule.Prefix, prefix) && !strings.HasPrefix(prefix, rule.Prefix) {
		return
	}
	if rule.ID == "" {
		rule.ID = "without a name"
	}
	if rule.Expires {
		r.Expire = append(r.Expire, rule.ID)
	}
	if rule.Moves {
		r.Move = append(r.Move, rule.ID)
	}
	// One for a part of the prefix leaves the rest.
	r.OldExpire = r.OldExpire || rule.OldExpire && strings.HasPrefix(prefix, rule.Prefix)
}

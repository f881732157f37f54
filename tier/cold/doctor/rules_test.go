package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/doctor"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
)

// ruled is a store whose bucket has rules.
type ruled struct {
	cold.Store
	rules cold.Rules
	err   error
}

func (r ruled) CreateBucket(context.Context) error              { return nil }
func (r ruled) BucketRules(context.Context) (cold.Rules, error) { return r.rules, r.err }

func TestDoctorLooksAtTheBucketsOwnRules(t *testing.T) {
	for what, c := range map[string]struct {
		store   ruled
		verdict doctor.Verdict
		ok      bool
		says    string
	}{
		"none":                {ruled{}, doctor.Approved, true, "behind Firn's back"},
		"expiry":              {ruled{rules: cold.Rules{Expire: []string{"tidy", "old"}}}, doctor.Refused, false, "delete objects here: tidy, old"},
		"glacier":             {ruled{rules: cold.Rules{Move: []string{"freeze"}}}, doctor.Approved, false, "another storage class: freeze"},
		"versions for ever":   {ruled{rules: cold.Rules{Versioned: true}}, doctor.Approved, false, "keeps old versions for ever"},
		"versions for a week": {ruled{rules: cold.Rules{Versioned: true, OldExpire: true}}, doctor.Approved, true, "old versions expire"},
		"may not ask":         {ruled{err: fmt.Errorf("lifecycle: %w", cold.ErrDenied)}, doctor.Approved, true, "may not ask"},
		"no such thing":       {ruled{err: cold.ErrUnsupported}, doctor.Approved, true, "this store has none"},
		"no sensible answer":  {ruled{err: errors.New("a list of objects")}, doctor.Approved, true, "not known: a list"},
	} {
		c.store.Store = mem.New()
		r := doctor.Examine(t.Context(), c.store, doctor.Options{Quick: true})
		at := slices.IndexFunc(r.Checks, func(c doctor.Check) bool { return c.Name == "the bucket's own rules" })
		if at < 0 || r.Verdict != c.verdict || r.Checks[at].OK != c.ok || !strings.Contains(r.Checks[at].Detail, c.says) {
			t.Errorf("%s: want %s with %q:\n%s", what, c.verdict, c.says, r)
		}
	}
}

// D3, also of checks that pass: a reader learns what each is for.
func TestEveryCheckSaysWhatALogNeedsItFor(t *testing.T) {
	full := doctor.Examine(t.Context(), ruled{Store: mem.New()}, doctor.Options{Quick: true})
	broken := doctor.Examine(t.Context(), ruled{Store: fault.Break(mem.New(), fault.DeniesDelete)}, doctor.Options{Quick: true})
	for _, c := range append(full.Checks, broken.Checks...) {
		if len(c.Promise) < 20 || !strings.HasSuffix(c.Promise, ".") {
			t.Errorf("%s: promise %q", c.Name, c.Promise)
		}
	}
	if len(full.Checks) < 14 {
		t.Errorf("%d checks only", len(full.Checks))
	}
}

func TestRulesThatConcernThePrefixCount(t *testing.T) {
	for _, c := range []struct {
		rule   cold.Rule
		prefix string
		want   string
	}{
		{cold.Rule{ID: "a", Enabled: true, Expires: true}, "firn/", "[a] [] false"},
		{cold.Rule{ID: "a", Enabled: true, Expires: true, Prefix: "firn/wal/"}, "firn/", "[a] [] false"},
		{cold.Rule{ID: "a", Enabled: true, Expires: true, Prefix: "logs/"}, "firn/", "[] [] false"},
		{cold.Rule{ID: "a", Enabled: true, Expires: true, Prefix: "logs/"}, "", "[a] [] false"},
		{cold.Rule{ID: "a", Enabled: true, Expires: true, Tagged: true}, "", "[] [] false"},
		{cold.Rule{ID: "a", Expires: true}, "", "[] [] false"},
		{cold.Rule{Enabled: true, Moves: true, OldExpire: true}, "firn/", "[] [without a name] true"},
		{cold.Rule{Enabled: true, OldExpire: true, Prefix: "firn/wal/"}, "firn/", "[] [] false"},
	} {
		var r cold.Rules
		r.Add(c.rule, c.prefix)
		if got := fmt.Sprint(r.Expire, r.Move, r.OldExpire); got != c.want {
			t.Errorf("%+v under %q: %s, want %s", c.rule, c.prefix, got, c.want)
		}
	}
}

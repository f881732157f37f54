package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firnlog/firn/tier/cold"
)

// createsAfterDelete deletes an object and creates another of its name.
func (p *patient) createsAfterDelete(ctx context.Context) {
	const check = "deletes"
	for i := range p.times(2, 5) {
		name, before, after := p.name("delete/%d", i), p.noise[:200], p.noise[200:500]
		if err := p.put(ctx, name, before); err != nil {
			p.badPut(check, err)
			return
		}
		if err := p.delete(ctx, name); err != nil {
			if errors.Is(err, cold.ErrDenied) {
				return // said already
			}
			p.unreached(check, err)
			return
		}
		_, err := p.get(ctx, name, cold.Whole)
		switch {
		case err == nil:
			p.fail(check, Fatal, "a deleted object can still be read", "Deletes do nothing, or reads come from a cache that does not notice changes; then puts are not noticed either. An object lock or retention rule on the bucket has to go, and a cache between Firn and the store too.")
			return
		case !errors.Is(err, cold.ErrNotFound):
			p.unreached(check, err)
			return
		}
		err = p.put(ctx, name, after)
		if errors.Is(err, cold.ErrExists) {
			p.fail(check, Warning, "a deleted name cannot be created again", "Firn never uses a name twice, so this does no harm; it is not what S3 does.")
			return
		}
		if err != nil {
			p.unreached(check, err)
			return
		}
		got, err := p.get(ctx, name, cold.Whole)
		if err == nil && !equal(got, [][]byte{after}) || errors.Is(err, cold.ErrNotFound) {
			p.fail(check, Fatal, fmt.Sprintf("the second object of a name reads as the first, or as nothing (error: %v)", err), adviceStale)
			return
		}
		if err != nil {
			p.unreached(check, err)
			return
		}
	}
	p.pass(check, "and creates again")
}

// keepsEverything looks again at all that the store said it had created: puts
// that were acknowledged and forgotten, and losers of races that overwrote late.
func (p *patient) keepsEverything(ctx context.Context) {
	const check = "keeps what it took"
	p.mu.Lock()
	names := make([]string, 0, len(p.puts))
	for name := range p.puts {
		names = append(names, name)
	}
	p.mu.Unlock()
	wrong := make([]string, len(names))
	unknown := make([]error, len(names))
	each(len(names), func(i int) {
		p.mu.Lock()
		want := p.puts[names[i]]
		p.mu.Unlock()
		got, err := p.get(ctx, names[i], cold.Whole)
		switch {
		case errors.Is(err, cold.ErrNotFound):
			wrong[i] = "is gone"
		case err != nil:
			unknown[i] = err
		case int64(len(got)) != want.size || checksum(got) != want.sum:
			wrong[i] = "has other bytes"
		}
	})
	lost, example := 0, ""
	for i, w := range wrong {
		if w != "" {
			lost++
			example = fmt.Sprintf("%s %s", names[i], w)
		}
	}
	if lost > 0 {
		p.fail(check, Fatal, fmt.Sprintf("of %d objects that were acknowledged %d are not as they were put: %s", len(names), lost, example),
			"Acknowledged records would be lost. A lifecycle rule that expires objects, a failing disk, or a store that answers before it has written may be why. Do not use it before the cause is found.")
		return
	}
	if err := errors.Join(unknown...); err != nil {
		p.unreached(check, err)
		return
	}
	p.pass(check, fmt.Sprintf("%d objects", len(names)))
}

// cleanUp deletes every object of the probe (D1), also those whose puts had no
// definite answer. It goes on when the examination was cut short.
func (p *patient) cleanUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptLimit)
	defer cancel()
	left := make(map[string]bool)
	p.mu.Lock()
	for name := range p.puts {
		left[name] = true
	}
	p.mu.Unlock()
	found, listErr := p.list(ctx, p.name(""))
	for name := range found {
		left[name] = true
	}
	names := make([]string, 0, len(left))
	for name := range left {
		names = append(names, name)
	}
	failed := make([]error, len(names))
	each(len(names), func(i int) { failed[i] = p.delete(ctx, names[i]) })
	n := 0
	for _, err := range failed {
		if err != nil {
			n++
		}
	}
	if n > 0 || listErr != nil && len(names) > 0 {
		p.fail("cleans up", Warning, fmt.Sprintf("%d objects of this probe may be left under %s", n, p.name("")), "They do no harm. Delete them by hand.")
	}
}

// clock compares the store's clock with this machine's.
func (p *patient) clock(ctx context.Context) {
	const check = "clock"
	name := p.name("clock")
	before := time.Now()
	if err := p.put(ctx, name, nil); err != nil {
		p.badPut(check, err)
		return
	}
	after := time.Now()
	var info cold.Info
	err := persist(ctx, func(ctx context.Context, _ error) (err error) {
		info, err = p.store.Stat(ctx, name)
		return err
	})
	if err != nil {
		p.unreached(check, err)
		return
	}
	var off time.Duration // zero when the store's time lies between the two
	switch {
	case info.Modified.Before(before.Truncate(time.Second)):
		off = info.Modified.Sub(before)
	case info.Modified.After(after):
		off = info.Modified.Sub(after)
	}
	f := Figure{"store's clock ahead by", off.Seconds(), "s"}
	if off.Abs() > time.Minute {
		p.fail(check, Warning, fmt.Sprintf("the store's clock and this machine's are %v apart", off.Round(time.Second)),
			"Nothing becomes wrong by it, but at 15 minutes S3 refuses every request, and retention by time is as wrong as the clock. Set this machine's clock, by NTP.")
		return
	}
	p.pass(check, "agrees within a minute", f)
}

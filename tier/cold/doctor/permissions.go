package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/firnlog/firn/tier/cold"
)

// permissions tries each method once. It reports whether the rest is worth trying.
func (p *patient) permissions(ctx context.Context) (usable bool) {
	name, body := p.name("permissions"), p.noise[:100]
	usable = p.may("put", "s3:PutObject", Fatal, p.put(ctx, name, body))
	if !usable {
		return false
	}
	_, err := p.get(ctx, name, cold.Whole)
	if errors.Is(err, cold.ErrNotFound) {
		err = nil // allowed, and wrong: readsAfterWrite says so
	}
	usable = p.may("get", "s3:GetObject", Fatal, err) && usable
	_, err = p.list(ctx, p.name(""))
	usable = p.may("list", "s3:ListBucket", Fatal, err) && usable
	p.may("delete", "s3:DeleteObject", Warning, p.delete(ctx, name))
	return usable
}

// may records whether a method is allowed at all.
func (p *patient) may(verb, action string, worst Severity, err error) bool {
	check := "may " + verb
	advice := map[bool]string{
		true:  "Without it Firn cannot work.",
		false: "Firn works, but nothing is ever cleaned up: what retention drops and what compaction replaces stays in the bucket and on the bill.",
	}[worst == Fatal]
	switch {
	case err == nil:
		p.pass(check, "allowed")
		return true
	case errors.Is(err, cold.ErrClockSkew):
		p.fail(check, Fatal, err.Error(), "The store refuses every request of this machine. Set its clock, by NTP.")
	case errors.Is(err, cold.ErrDenied):
		p.fail(check, worst, err.Error(), fmt.Sprintf("%s Allow %s on the bucket and its objects to these credentials, or use others.", advice, action))
	case errors.Is(err, cold.ErrNoBucket):
		p.fail(check, Fatal, err.Error(), "Create the bucket (firn doctor storage --create does), or correct its name or the endpoint.")
	case errors.Is(err, cold.ErrUnsupported) && verb == "put":
		p.fail(check, Fatal, err.Error(), "This store has no conditional puts (If-None-Match: *), which is what keeps two brokers from owning one partition. Use another store, or a newer version of it.")
	case errors.Is(err, cold.ErrFull):
		p.fail(check, Fatal, err.Error(), "Make room: nothing can be stored.")
	case errors.Is(err, cold.ErrExists):
		p.fail(check, Fatal, "a new name was answered with: "+err.Error(), "The store refuses to create an object that is not there (MinIO RELEASE.2025-09-06 does), or a probe with the same nonce is running. Use another version of the store.")
	case !cold.Definite(err):
		p.unreached(check, err)
	default:
		p.fail(check, worst, err.Error(), advice)
	}
	return false
}

package doctor

import (
	"context"
	"errors"
	"strings"

	"github.com/firnlog/firn/tier/cold"
)

// rules looks at what the bucket does to objects by itself.
func (p *patient) rules(ctx context.Context) {
	const check = "the bucket's own rules"
	b, ok := p.store.(cold.Bucket)
	if !ok {
		return // a folder and memory have none
	}
	r, err := b.BucketRules(ctx)
	switch {
	case errors.Is(err, cold.ErrUnsupported):
		p.pass(check, "this store has none")
		return
	case errors.Is(err, cold.ErrDenied):
		p.pass(check, "not known: these credentials may not ask (s3:GetLifecycleConfiguration, s3:GetBucketVersioning)")
		return
	case err != nil: // there are stores that answer such a question with something else
		p.pass(check, "not known: "+err.Error())
		return
	case len(r.Expire) > 0:
		p.fail(check, Fatal, "lifecycle rules delete objects here: "+strings.Join(r.Expire, ", "),
			"Acknowledged records, and the journal that knows where they are, vanish when they are old enough. Remove these rules from the prefix; retention.ms and retention.bytes of topics delete what is not wanted any more.")
		return
	case len(r.Move) > 0:
		p.fail(check, Warning, "lifecycle rules move objects to another storage class: "+strings.Join(r.Move, ", "),
			"Classes that answer a GET at once cost more for each read; those that must be restored first (Glacier, Deep Archive) make history unreadable. Limit the rules to objects that no topic of Firn needs, or remove them.")
		return
	case r.Versioned && !r.OldExpire:
		p.fail(check, Warning, "the bucket keeps old versions for ever",
			"What Firn deletes stays, and stays on the bill. Turn versioning off, or add a rule that expires noncurrent versions under the prefix.")
		return
	}
	detail := "nothing is deleted or moved behind Firn's back"
	if r.Versioned {
		detail += "; old versions expire"
	}
	p.pass(check, detail)
}

package web

import "sync/atomic"

// Readiness is whether clients should be sent to this broker, and why not. The
// zero value is not ready: starting.
type Readiness struct {
	why  atomic.Pointer[string]
	also func() string
}

// Unless adds a reason that comes and goes: why says it, or nothing, at every probe.
// It is called once, before the first Ready.
func (r *Readiness) Unless(why func() string) { r.also = why }

// Ready says that the broker serves.
func (r *Readiness) Ready() { r.why.Store(new(string)) }

// Not says that it does not, and why, in a few words.
func (r *Readiness) Not(why string) { r.why.Store(&why) }

// Why is empty when the broker is ready.
func (r *Readiness) Why() string {
	if w := r.why.Load(); w != nil {
		if *w == "" && r.also != nil {
			return r.also()
		}
		return *w
	}
	return "starting"
}

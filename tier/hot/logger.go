package hot

import (
	"fmt"
	"log/slog"
	"strings"
)

// badgerLog is Badger's logger. What Badger calls errors are misses to us, found
// by our own checks: they are shown when somebody looks for them.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.print("error", f, a) }
func (l badgerLog) Warningf(f string, a ...any) { l.print("warning", f, a) }
func (badgerLog) Infof(string, ...any)          {}
func (badgerLog) Debugf(string, ...any)         {}

func (l badgerLog) print(level, f string, a []any) {
	l.log.Debug("badger "+level, "message", strings.TrimSpace(fmt.Sprintf(f, a...)))
}

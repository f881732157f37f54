package hot

import "errors"

// Why the tier does not take or give something. None of them endangers a record
// that is committed; the broker goes on without the tier.
var (
	// ErrLocked says that another process uses the folder.
	ErrLocked = errors.New("hot tier folder is in use by another process")
	// ErrFull says that the disk, or the quota, has no room that could be made
	// by dropping sealed generations. It passes when generations are sealed or
	// the disk is given room.
	ErrFull = errors.New("hot tier is full")
	// ErrUnavailable says that the disk failed a short while ago and that the
	// tier waits before it tries again.
	ErrUnavailable = errors.New("hot tier is unavailable")
	// ErrTooLarge refuses a slot that does not fit one generation.
	ErrTooLarge = errors.New("slot is too large for the hot tier")
	// ErrOrder refuses a slot that is not above the last one of its session, or
	// of a session that was not started.
	ErrOrder = errors.New("slot out of order")
	// ErrNotHeld answers for a slot or generation that the tier does not hold,
	// or holds no longer.
	ErrNotHeld = errors.New("not held by the hot tier")
	// ErrDamaged says that bytes on disk are not those that were written.
	ErrDamaged = errors.New("hot tier bytes are damaged")
	// ErrClosed answers everything after Close.
	ErrClosed = errors.New("hot tier is closed")
)

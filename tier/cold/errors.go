package cold

import "errors"

// The answers of a store. They are definite, that is, they tell what became of
// this attempt, but for ErrGarbled. Every other error means "unknown": the request
// may have been applied, may be applied later, or never (S3).
var (
	// ErrExists answers PutIfAbsent when the name is taken (HTTP 412). The
	// object that is there may be the caller's own, from an earlier attempt.
	ErrExists = errors.New("object exists")
	// ErrConflict answers PutIfAbsent when nothing was decided (HTTP 409): send
	// the same bytes again.
	ErrConflict = errors.New("conflicting operation in progress")
	// ErrNotFound answers Get and Stat for a name that is not there. After a
	// put with an unknown outcome it proves nothing.
	ErrNotFound = errors.New("object not found")
	// ErrDenied says that the store refused the credentials or the permission
	// (HTTP 401, 403). Nothing was applied by this attempt.
	ErrDenied = errors.New("access denied by the store")
	// ErrClockSkew accompanies ErrDenied when the store refused the signature
	// because this machine's clock is more than 15 minutes off.
	ErrClockSkew = errors.New("this machine's clock is too far from the store's")
	// ErrRange answers Get for a range that begins at or past the end of the object.
	ErrRange = errors.New("range outside the object")
	// ErrNoBucket says that the bucket, or the folder of a file store, is not there.
	ErrNoBucket = errors.New("no such bucket")
	// ErrUnsupported says that the store does not implement the request (HTTP 501),
	// which for a put means that it knows no conditions. Nothing was applied.
	ErrUnsupported = errors.New("not implemented by the store")
	// ErrGarbled says that the answer contradicts the request: another range than was
	// asked for, or fewer bytes than were announced. Asking again may help.
	ErrGarbled = errors.New("garbled answer")
	// ErrFull says that the disk of a file store, or its quota, is full.
	ErrFull = errors.New("disk full")
	// ErrName refuses a name that not every store can hold. Nothing was sent.
	ErrName = errors.New("illegal object name")
	// ErrBody says that the body could not be read. The caller's side failed, not the store.
	ErrBody = errors.New("body unreadable")
)

// Definite reports whether err, from a store's method, is a definite answer. Nil is.
func Definite(err error) bool {
	if err == nil {
		return true
	}
	for _, d := range [...]error{
		ErrExists, ErrConflict, ErrNotFound, ErrDenied, ErrRange, ErrNoBucket, ErrUnsupported, ErrFull, ErrName, ErrBody,
	} {
		if errors.Is(err, d) {
			return true
		}
	}
	return false
}

package object

import "errors"

// What can be wrong with an object.
var (
	// ErrCorrupt says that bytes are not what was written.
	ErrCorrupt = errors.New("corrupt object")
	// ErrVersion says that the object was written by a newer Firn.
	ErrVersion = errors.New("unknown object format")
)

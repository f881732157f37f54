package record

import "errors"

// What can be wrong with a batch. kafka maps them to error codes.
var (
	ErrCorrupt          = errors.New("corrupt batch")
	ErrTooLarge         = errors.New("batch too large")
	ErrInvalidRecord    = errors.New("invalid record")
	ErrInvalidTimestamp = errors.New("invalid timestamp")
	ErrUnsupportedMagic = errors.New("unsupported message format")
	ErrUnsupportedCodec = errors.New("unsupported compression codec")
)

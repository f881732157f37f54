package record

import "errors"

// What can be wrong with a batch. kafka maps them to error codes.
var (
	// ErrCorrupt says that the bytes are not what was sent or stored: lengths or
	// the CRC do not fit. Sending them again may help.
	ErrCorrupt = errors.New("corrupt batch")
	// ErrTooLarge says that the batch is larger than the topic allows, or would
	// become larger than Decoder allows.
	ErrTooLarge = errors.New("batch too large")
	// ErrInvalidRecord says that the bytes are whole and mean nothing.
	ErrInvalidRecord = errors.New("invalid record")
	// ErrInvalidTimestamp says that timestamps lie too far from now, or are said
	// to be the broker's.
	ErrInvalidTimestamp = errors.New("invalid timestamp")
	// ErrUnsupportedMagic says that the format is that of Kafka before 0.11.
	ErrUnsupportedMagic = errors.New("unsupported message format")
	// ErrUnsupportedCodec says that nobody has defined the codec yet.
	ErrUnsupportedCodec = errors.New("unsupported compression codec")
)

package tier

import "errors"

// Why bytes cannot be had.
var (
	// ErrNowhere says that the locator knows no place for the offset: it is below
	// the log's start, or not recorded yet.
	ErrNowhere = errors.New("offset is nowhere")
	// ErrDamaged says that the bucket gave bytes that are not what was written,
	// twice. They are not served.
	ErrDamaged = errors.New("damaged bytes in the bucket")
	// ErrGone says that an object that the catalog refers to is not in the bucket,
	// also after the catalog was asked again.
	ErrGone = errors.New("object is gone")
)

// Package s3wire is what the two S3 drivers share, whichever library speaks for
// them: the HTTP transport, a body on loan, the meaning of an answer, and the
// reading of a range.
package s3wire

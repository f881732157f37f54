package s3wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/firnlog/firn/tier/cold"
)

// Op is what was asked.
type Op string

// The five methods of a store.
const (
	Put    Op = "put"
	Get    Op = "get"
	Stat   Op = "stat"
	List   Op = "list"
	Delete Op = "delete"
)

// Refusal is an answer of the store that is not success.
type Refusal struct {
	Status  int    // of HTTP; 0 when there was no answer
	Code    string // S3's, such as SlowDown; may be empty
	Message string // for people
	Region  string // where the bucket is, if the store said so
}

// Explain turns a failed request into the driver's answer: one of the sentinels
// when the store was definite, and otherwise the error as it is (C2). The
// context's own error comes first, since libraries wrap or drop it.
func Explain(ctx context.Context, op Op, r Refusal, err error) error {
	if sentinel := meaning(op, r); sentinel != nil {
		return fmt.Errorf("%w (%s)", sentinel, r)
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, brief(err))
	}
	return brief(err)
}

// unanswered is the error of a request that had no answer, told without what libraries put
// before it: a log is full of these lines while the store is away.
type unanswered struct {
	host string
	why  error
	err  error // as the library told it
}

func (u *unanswered) Error() string { return fmt.Sprintf("no answer from %s: %v", u.host, u.why) }

func (u *unanswered) Unwrap() error { return u.err }

func brief(err error) error {
	var sent *url.Error
	if !errors.As(err, &sent) {
		return err
	}
	at, bad := url.Parse(sent.URL)
	if bad != nil {
		return err
	}
	return &unanswered{at.Host, sent.Err, err}
}

// String is the answer in one line.
func (r Refusal) String() string {
	s := fmt.Sprintf("HTTP %d", r.Status)
	if r.Code != "" {
		s += " " + r.Code
	}
	if r.Message != "" {
		s += ": " + r.Message
	}
	return s
}

func meaning(op Op, r Refusal) error {
	switch r.Code {
	case "NoSuchBucket":
		return cold.ErrNoBucket
	case "RequestTimeTooSkewed":
		return fmt.Errorf("%w: %w: set this machine's clock", cold.ErrDenied, cold.ErrClockSkew)
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return fmt.Errorf("%w: the credentials have expired", cold.ErrDenied)
	case "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect":
		if r.Region != "" {
			return fmt.Errorf("%w: the bucket is in region %s: set region=%s", cold.ErrDenied, r.Region, r.Region)
		}
		return fmt.Errorf("%w: the bucket is in another region: set region=", cold.ErrDenied)
	case "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "AllAccessDisabled", "AccountProblem":
		return cold.ErrDenied // some stores send them with 400
	case "XMinioStorageFull":
		return cold.ErrFull
	case "NotImplemented":
		return cold.ErrUnsupported
	}
	switch {
	case r.Status == http.StatusUnauthorized, r.Status == http.StatusForbidden:
		return cold.ErrDenied
	case r.Status == http.StatusNotImplemented:
		return cold.ErrUnsupported
	case r.Status == http.StatusInsufficientStorage:
		return cold.ErrFull
	case op == Put && r.Status == http.StatusPreconditionFailed:
		return cold.ErrExists
	case op == Put && r.Status == http.StatusConflict:
		return cold.ErrConflict
	case (op == Get || op == Stat) && r.Status == http.StatusNotFound:
		return cold.ErrNotFound
	case op == Get && r.Status == http.StatusRequestedRangeNotSatisfiable:
		return cold.ErrRange
	case op == Delete && r.Status == http.StatusNotFound:
		return errAbsent
	}
	return nil
}

// errAbsent is the 404 of a delete: S3 says 204, others this.
var errAbsent = errors.New("nothing to delete")

// Absent reports that a delete found nothing, which is no error.
func Absent(err error) bool { return errors.Is(err, errAbsent) }

// Package s3 is a bucket behind the AWS SDK: Amazon S3 with its credential
// chains, and any store that speaks its language.
//
// A method is one request. The SDK's retries are off (S3), it sends no
// Expect header (a loser would see a broken connection instead of its 412), and
// it does not sign the payload: that is a SHA-256 of every byte. The store gets a
// CRC-32C in a plain header, no trailer (which many stores refuse), and verifies it.
package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/internal/s3wire"
)

// Options say where the bucket is. Credentials come from the standard AWS chain:
// environment, shared files, SSO, web identity, container and instance roles.
type Options struct {
	Bucket    string
	Prefix    string // without a slash at either end; may be empty
	Region    string // default: the AWS chain's; us-east-1 for an endpoint of one's own
	Endpoint  string // URL of an endpoint of one's own; empty for Amazon
	PathStyle bool   // the bucket in the path instead of the host name

	// Transport, when not nil, performs the requests instead of the default one.
	Transport http.RoundTripper
}

// Store is a bucket, or a prefix of one, behind the AWS SDK.
type Store struct {
	client *s3.Client
	http   *http.Client
	bucket string
	prefix string // empty or with a slash at the end
	amazon bool
	// flat: a directory bucket (S3 Express One Zone), whose listings are unordered,
	// know no start, and take only prefixes that end in a slash.
	flat bool
}

// Open finds credentials and returns the store. It does not talk to the bucket,
// but it may talk to the services that credentials come from. No credentials at
// all is ErrDenied.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open s3 bucket %s: %w", o.Bucket, err)
	}
	return s, nil
}

func open(ctx context.Context, o Options) (*Store, error) {
	var set []func(*config.LoadOptions) error
	if o.Region != "" {
		set = append(set, config.WithRegion(o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, set...)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	custom := o.Endpoint != "" || cfg.BaseEndpoint != nil
	switch {
	case cfg.Region != "":
	case custom:
		cfg.Region = "us-east-1" // what stores other than Amazon's sign with
	default:
		return nil, errors.New("no region: set region= in the URL or AWS_REGION")
	}
	if cfg.Credentials == nil {
		return nil, noCredentials(errors.New("no provider is configured"))
	}
	if c, err := cfg.Credentials.Retrieve(ctx); err != nil || !c.HasKeys() {
		return nil, noCredentials(err)
	}
	s := &Store{bucket: o.Bucket, amazon: !custom, flat: strings.HasSuffix(o.Bucket, "--x-s3")}
	if o.Prefix != "" {
		s.prefix = o.Prefix + "/"
	}
	s.http = s3wire.Client(transport(o, cfg))
	s.client = s3.NewFromConfig(cfg, func(c *s3.Options) {
		c.HTTPClient = s.http
		c.Retryer = aws.NopRetryer{}
		c.UsePathStyle = o.PathStyle
		if o.Endpoint != "" {
			c.BaseEndpoint = aws.String(o.Endpoint)
		}
		c.ContinueHeaderThresholdBytes = -1
		c.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		c.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		c.DisableLogOutputChecksumValidationSkipped = true
	})
	return s, nil
}

func noCredentials(err error) error {
	const hint = "found no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role"
	if err == nil {
		return fmt.Errorf("%w: %s", cold.ErrDenied, hint)
	}
	return fmt.Errorf("%w: %s: %w", cold.ErrDenied, hint, err)
}

// transport keeps the certificates that AWS_CA_BUNDLE asks for.
func transport(o Options, cfg aws.Config) http.RoundTripper {
	if o.Transport != nil {
		return o.Transport
	}
	t := s3wire.NewTransport(nil)
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		if theirs := b.GetTransport().TLSClientConfig; theirs != nil {
			t.TLSClientConfig.RootCAs = theirs.RootCAs
		}
	}
	return t
}

// Close lets idle connections go.
func (s *Store) Close() error {
	s.http.CloseIdleConnections()
	return nil
}

func (s *Store) key(name string) *string { return aws.String(s.prefix + name) }

// fail turns an error of the SDK into the driver's answer.
func fail(ctx context.Context, op s3wire.Op, name string, err error) error {
	var r s3wire.Refusal
	var status *awshttp.ResponseError
	if errors.As(err, &status) {
		r.Status = status.HTTPStatusCode()
		if status.Response != nil {
			r.Region = status.Response.Header.Get("X-Amz-Bucket-Region")
			r.Code = status.Response.Header.Get("X-Minio-Error-Code") // a HEAD has no body to tell
		}
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if r.Code == "" {
			r.Code = api.ErrorCode()
		}
		r.Message = api.ErrorMessage()
	}
	return fmt.Errorf("%s %s: %w", op, name, s3wire.Explain(ctx, op, r, err))
}

// PutIfAbsent implements cold.Store.
func (s *Store) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	if err := begin(ctx, name); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	loan, err := s3wire.Lend(body)
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	sum, err := loan.Checksum()
	if err != nil {
		return fmt.Errorf("put %s: %w", name, errors.Join(err, loan.Back()))
	}
	in := &s3.PutObjectInput{
		Bucket:         &s.bucket,
		Key:            s.key(name),
		IfNoneMatch:    aws.String("*"),
		Body:           loan,
		ContentLength:  aws.Int64(body.Size()),
		ContentType:    aws.String("application/octet-stream"),
		ChecksumCRC32C: &sum,
	}
	out, err := s.client.PutObject(ctx, in, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
	if bad := loan.Back(); bad != nil && err != nil {
		return fmt.Errorf("put %s: %w", name, bad)
	}
	if err != nil {
		return fail(ctx, s3wire.Put, name, err)
	}
	if out.ETag == nil {
		return fmt.Errorf("put %s: an answer without an ETag, which no store gives: something in between answered", name)
	}
	return nil
}

// Get implements cold.Store.
func (s *Store) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	if err := begin(ctx, name); err != nil {
		return buf, fmt.Errorf("get %s: %w", name, err)
	}
	return s3wire.Tail(r, buf, func(r cold.Range) ([]byte, error) { return s.get(ctx, name, r, buf) })
}

func (s *Store) get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	header, err := r.Header()
	if err != nil {
		return buf, fmt.Errorf("get %s: %w", name, err)
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(name)}
	if header != "" {
		in.Range = &header
	}
	out, err := s.client.GetObject(ctx, in)
	if err != nil {
		return buf, fail(ctx, s3wire.Get, name, err)
	}
	defer out.Body.Close()
	a := s3wire.Answer{Body: out.Body, Length: -1, Range: aws.ToString(out.ContentRange)}
	if out.ContentLength != nil {
		a.Length = *out.ContentLength
	}
	got, err := s3wire.Read(ctx, buf, r, a)
	if err != nil {
		return buf, fmt.Errorf("get %s: %w", name, err)
	}
	return got, nil
}

// Stat implements cold.Store.
func (s *Store) Stat(ctx context.Context, name string) (cold.Info, error) {
	if err := begin(ctx, name); err != nil {
		return cold.Info{}, fmt.Errorf("stat %s: %w", name, err)
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.key(name)})
	if err != nil {
		return cold.Info{}, fail(ctx, s3wire.Stat, name, err)
	}
	return cold.Info{Name: name, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified)}, nil
}

// List implements cold.Store, a page of up to 1,000 names a request.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.key(prefix)}
		if s.flat {
			in.Prefix = aws.String((*in.Prefix)[:strings.LastIndexByte(*in.Prefix, '/')+1])
		} else if after != "" {
			in.StartAfter = s.key(after)
		}
		for {
			out, err := s.client.ListObjectsV2(ctx, in)
			if err != nil {
				yield(cold.Info{}, fail(ctx, s3wire.List, prefix, err))
				return
			}
			for _, o := range out.Contents {
				name, ok := strings.CutPrefix(aws.ToString(o.Key), s.prefix)
				if !ok || !strings.HasPrefix(name, prefix) || name <= after || cold.CheckName(name) != nil {
					continue // folder markers of consoles, and what the store did not filter
				}
				if !yield(cold.Info{Name: name, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) {
				return
			}
			next := aws.ToString(out.NextContinuationToken)
			if next == "" || next == aws.ToString(in.ContinuationToken) {
				yield(cold.Info{}, fmt.Errorf("list %s: the store says that there is more but not where", prefix))
				return
			}
			in.ContinuationToken = &next
		}
	}
}

// Delete implements cold.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := begin(ctx, name); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(name)})
	if err != nil {
		if err = fail(ctx, s3wire.Delete, name, err); s3wire.Absent(err) {
			return nil
		}
	}
	return err
}

// begin is what comes before every request.
func begin(ctx context.Context, name string) error {
	if err := cold.CheckName(name); err != nil {
		return err
	}
	return ctx.Err()
}

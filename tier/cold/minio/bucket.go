package minio

import (
	"context"
	"slices"

	"github.com/minio/minio-go/v7"

	"github.com/firnlog/firn/tier/cold"
)

var _ cold.Bucket = (*Store)(nil)

// CreateBucket implements cold.Bucket.
func (s *Store) CreateBucket(ctx context.Context) error {
	err := s.core.MakeBucket(ctx, s.bucket, minio.MakeBucketOptions{Region: s.region})
	if err == nil || slices.Contains([]string{"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}, minio.ToErrorResponse(err).Code) {
		return nil
	}
	return fail(ctx, "create bucket", s.bucket, err)
}

// BucketRules implements cold.Bucket.
func (s *Store) BucketRules(ctx context.Context) (cold.Rules, error) {
	var r cold.Rules
	v, err := s.core.GetBucketVersioning(ctx, s.bucket)
	if err != nil {
		return r, fail(ctx, "versioning of bucket", s.bucket, err)
	}
	r.Versioned = v.Status != ""
	l, err := s.core.GetBucketLifecycle(ctx, s.bucket)
	if err != nil {
		if minio.ToErrorResponse(err).Code == "NoSuchLifecycleConfiguration" {
			return r, nil
		}
		return r, fail(ctx, "lifecycle of bucket", s.bucket, err)
	}
	for _, x := range l.Rules {
		f := x.RuleFilter
		r.Add(cold.Rule{
			ID: x.ID, Enabled: x.Status == "Enabled",
			Prefix:  x.Prefix + f.Prefix + f.And.Prefix, // one of them at most is set
			Tagged:  !f.Tag.IsEmpty() || len(f.And.Tags) > 0,
			Expires: !x.Expiration.IsDaysNull() || !x.Expiration.IsDateNull() || x.AllVersionsExpiration.Days > 0,
			Moves:   !x.Transition.IsNull(), OldExpire: x.NoncurrentVersionExpiration.NoncurrentDays > 0,
		}, s.prefix)
	}
	return r, nil
}

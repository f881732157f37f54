package s3

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/firnlog/firn/tier/cold"
)

var _ cold.Bucket = (*Store)(nil)

// CreateBucket implements cold.Bucket.
func (s *Store) CreateBucket(ctx context.Context) error {
	in := &s3.CreateBucketInput{Bucket: &s.bucket}
	if region := s.client.Options().Region; s.amazon && region != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	_, err := s.client.CreateBucket(ctx, in)
	if err == nil || slices.Contains([]string{"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}, answerCode(err)) {
		return nil
	}
	return fail(ctx, "create bucket", s.bucket, err)
}

// BucketRules implements cold.Bucket.
func (s *Store) BucketRules(ctx context.Context) (cold.Rules, error) {
	var r cold.Rules
	v, err := s.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.bucket})
	if err != nil {
		return r, fail(ctx, "versioning of bucket", s.bucket, err)
	}
	r.Versioned = v.Status != ""
	l, err := s.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &s.bucket})
	if err != nil {
		if answerCode(err) == "NoSuchLifecycleConfiguration" {
			return r, nil
		}
		return r, fail(ctx, "lifecycle of bucket", s.bucket, err)
	}
	for _, x := range l.Rules {
		//lint:ignore SA1019 rules that old clients have made have their prefix there
		rule := cold.Rule{ID: aws.ToString(x.ID), Enabled: x.Status == types.ExpirationStatusEnabled, Prefix: aws.ToString(x.Prefix)}
		if f := x.Filter; f != nil {
			rule.Prefix += aws.ToString(f.Prefix)
			rule.Tagged = f.Tag != nil
			if a := f.And; a != nil {
				rule.Prefix += aws.ToString(a.Prefix)
				rule.Tagged = len(a.Tags) > 0
			}
		}
		rule.Expires = x.Expiration != nil && (aws.ToInt32(x.Expiration.Days) > 0 || x.Expiration.Date != nil)
		rule.Moves = len(x.Transitions) > 0
		rule.OldExpire = x.NoncurrentVersionExpiration != nil && aws.ToInt32(x.NoncurrentVersionExpiration.NoncurrentDays) > 0
		r.Add(rule, s.prefix)
	}
	return r, nil
}

// answerCode is S3's code of a refusal, or empty.
func answerCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

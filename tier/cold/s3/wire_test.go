package s3_test

import (
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
	"github.com/firnlog/firn/tier/cold/s3"
)

func TestS3OnTheWire(t *testing.T) {
	coldtest.Wire(t, func(t *testing.T, server s3server.Server) cold.Store { return open(t, server) })
}

func TestS3RefusesToBeAnonymous(t *testing.T) {
	server := s3server.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	coldtest.WantNoCredentials(t, func() error {
		_, err := s3.Open(t.Context(), s3.Options{Bucket: server.Bucket, Endpoint: server.URL, PathStyle: true})
		return err
	})
}

func TestS3AsksForARegion(t *testing.T) {
	s3server.Start(t)
	if _, err := s3.Open(t.Context(), s3.Options{Bucket: "b"}); err == nil {
		t.Error("opened a bucket of Amazon's without a region")
	}
}

func BenchmarkS3(b *testing.B) {
	server := s3server.Sink(b)
	coldtest.Benchmark(b, open(b, server))
}

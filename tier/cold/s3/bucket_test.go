package s3_test

import (
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
	"github.com/firnlog/firn/tier/cold/s3"
)

func TestS3KnowsItsBucket(t *testing.T) {
	coldtest.Bucket(t, func(t *testing.T, server s3server.Server) cold.Store {
		s, err := s3.Open(t.Context(), s3.Options{Bucket: server.Bucket, Prefix: "firn", Endpoint: server.URL, PathStyle: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

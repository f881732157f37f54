package minio_test

import (
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
	"github.com/firnlog/firn/tier/cold/minio"
)

func TestMinioKnowsItsBucket(t *testing.T) {
	coldtest.Bucket(t, func(t *testing.T, server s3server.Server) cold.Store {
		s, err := minio.Open(t.Context(), minio.Options{Bucket: server.Bucket, Prefix: "firn", Endpoint: server.Host})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

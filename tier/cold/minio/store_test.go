package minio_test

import (
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
	"github.com/firnlog/firn/tier/cold/minio"
)

func open(t testing.TB, server s3server.Server) *minio.Store {
	t.Helper()
	s, err := minio.Open(t.Context(), minio.Options{Bucket: server.Bucket, Prefix: "some/prefix", Endpoint: server.Host})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMinioIsAStore(t *testing.T) {
	coldtest.Acceptance(t, func(t *testing.T) func() cold.Store {
		server := s3server.Start(t)
		return func() cold.Store { return open(t, server) }
	})
}

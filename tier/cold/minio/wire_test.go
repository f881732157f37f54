package minio_test

import (
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
	"github.com/firnlog/firn/tier/cold/minio"
)

func TestMinioOnTheWire(t *testing.T) {
	coldtest.Wire(t, func(t *testing.T, server s3server.Server) cold.Store { return open(t, server) })
}

func TestMinioRefusesToBeAnonymous(t *testing.T) {
	server := s3server.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	coldtest.WantNoCredentials(t, func() error {
		_, err := minio.Open(t.Context(), minio.Options{Bucket: server.Bucket, Endpoint: server.Host})
		return err
	})
}

func BenchmarkMinio(b *testing.B) {
	server := s3server.Sink(b)
	coldtest.Benchmark(b, open(b, server))
}

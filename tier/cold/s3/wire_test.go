package s3_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
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

// A store that is away is told of in a line that a log can be full of.
func TestS3TellsOfAStoreThatIsAwayInALine(t *testing.T) {
	server := s3server.Start(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	s, err := s3.Open(t.Context(), s3.Options{Bucket: server.Bucket, Endpoint: "http://" + gone.Addr().String(), PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Stat(t.Context(), "wal/1")
	if want := "stat wal/1: no answer from " + gone.Addr().String() + ": dial tcp "; !strings.HasPrefix(fmt.Sprint(err), want) {
		t.Errorf("%v, want %s…", err, want)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v is no connection refused any more", err)
	}
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

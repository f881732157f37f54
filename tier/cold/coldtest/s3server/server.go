// Package s3server is an S3 in this process, on a loopback port of its own, for
// tests of the drivers and of everything above them.
package s3server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Server is a running S3 with one bucket.
type Server struct {
	URL    string // http://127.0.0.1:port
	Host   string // 127.0.0.1:port
	Bucket string
}

// Start runs a server until the test ends and puts credentials for it into the
// environment. Each wrap may answer requests in its place.
func Start(t testing.TB, wrap ...func(http.Handler) http.Handler) Server {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "firn")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	const bucket = "glacier"
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(backend, gofakes3.WithoutVersioning()).Server()
	for _, w := range wrap {
		handler = w(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return Server{URL: server.URL, Host: strings.TrimPrefix(server.URL, "http://"), Bucket: bucket}
}

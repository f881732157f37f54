package s3_test

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
	"github.com/firnlog/firn/tier/cold/s3"
)

// amazon answers puts as Amazon would, without a network.
type amazon struct {
	request *http.Request
	body    []byte
}

func (a *amazon) RoundTrip(r *http.Request) (*http.Response, error) {
	a.request = r
	a.body, _ = io.ReadAll(r.Body)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Etag": {`"1"`}}, Body: http.NoBody, Request: r,
	}, nil
}

// Amazon verifies a checksum that comes in a plain header. In a trailer it would
// cost a second framing of the body, and SHA-256 a slow pass over it.
func TestAmazonGetsAChecksumInAPlainHeader(t *testing.T) {
	s3server.Start(t)
	var seen amazon
	s, err := s3.Open(t.Context(), s3.Options{Bucket: "glacier", Prefix: "p", Region: "eu-central-1", Transport: &seen})
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(strings.Repeat("firn", 1000))
	if err := s.PutIfAbsent(t.Context(), "wal/1/0", cold.Bytes(body[:7], body[7:])); err != nil {
		t.Fatal(err)
	}
	r := seen.request
	if got := r.URL.String(); !strings.HasPrefix(got, "https://glacier.s3.eu-central-1.amazonaws.com/p/wal/1/0") {
		t.Errorf("sent to %s", got)
	}
	sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	want := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
	if got := r.Header.Get("X-Amz-Checksum-Crc32c"); got != want {
		t.Errorf("checksum %q, want %q", got, want)
	}
	for header, want := range map[string]string{
		"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
		"If-None-Match":        "*",
		"Content-Encoding":     "",
		"X-Amz-Trailer":        "",
		"Expect":               "",
	} {
		if got := r.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if string(seen.body) != string(body) || r.ContentLength != int64(len(body)) {
		t.Errorf("%d bytes arrived, %d announced", len(seen.body), r.ContentLength)
	}
}

package s3server

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Sink is a server that takes every put and keeps nothing, and answers every get
// with zeros: the cheapest there is, for benchmarks of the drivers.
func Sink(t testing.TB) Server {
	zeros := make([]byte, 1<<20)
	return Start(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("ETag", `"0"`)
				return
			}
			var from, to int
			if _, err := fmt.Sscanf(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "%d-%d", &from, &to); err != nil || to < from {
				http.Error(w, "ranges only", http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, 1<<40))
			w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
			w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
			w.Header().Set("ETag", `"0"`)
			w.WriteHeader(http.StatusPartialContent)
			for left := to - from + 1; left > 0; {
				n, err := w.Write(zeros[:min(left, len(zeros))])
				if err != nil {
					return
				}
				left -= n
			}
		})
	})
}

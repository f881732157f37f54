package coldtest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
)

// Wire is what the S3 drivers have in common beyond the interface: what they send,
// how often, and what they make of each answer.
func Wire(t *testing.T, open func(t *testing.T, server s3server.Server) cold.Store) {
	for promise, test := range map[string]func(t *testing.T, open func(t *testing.T, server s3server.Server) cold.Store){
		"AnswersAreMappedExactly":         answers,
		"PutIsOneConditionalRequest":      oneRequest,
		"DamagedAnswersAreErrors":         damaged,
		"AStalledAnswerEndsWithTheCall":   stalled,
		"ALostConnectionIsUnknown":        lostConnection,
		"ListsThatNeverEndAreErrors":      endlessList,
		"AMissingBucketIsNamed":           missingBucket,
		"ConnectionsAreUsedAgain":         reuse,
		"ASecondClientSeesTheSameBucket":  prefixes,
		"EarlyRefusalOfALargeBodyIsTold":  earlyRefusal,
		"ABodyIsReleasedWhenAServerHangs": releasedWhileHanging,
		"AnEarlyAnswerWaitsForTheBody":    refusedWhileReading,
	} {
		t.Run(promise, func(t *testing.T) {
			test(t, func(t *testing.T, server s3server.Server) cold.Store {
				s := open(t, server)
				t.Cleanup(func() { cold.Close(s) })
				return s
			})
		})
	}
}

type opener = func(t *testing.T, server s3server.Server) cold.Store

// instead answers every request in the server's place.
func instead(h http.HandlerFunc) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler { return h }
}

func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead && code != "" {
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>as planned</Message><RequestId>1</RequestId></Error>`, code)
	}
}

func call(s cold.Store, op string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	switch op {
	case "put":
		return s.PutIfAbsent(ctx, "a/b", cold.Bytes([]byte("hello")))
	case "get":
		_, err := s.Get(ctx, "a/b", cold.Range{Offset: 1, Length: 3}, nil)
		return err
	case "stat":
		_, err := s.Stat(ctx, "a/b")
		return err
	case "list":
		for _, err := range s.List(ctx, "a/", "") {
			if err != nil {
				return err
			}
		}
		return nil
	}
	return s.Delete(ctx, "a/b")
}

// answers goes through the table of S3. Nothing is asked twice: what the answer
// means is for the caller to decide.
func answers(t *testing.T, open opener) {
	var status int
	var code string
	var requests atomic.Int32
	server := s3server.Start(t, instead(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		refuse(w, r, status, code)
	}))
	s := open(t, server)
	unknown := errors.New("unknown")
	for _, c := range []struct {
		op     string
		status int
		code   string
		want   error
	}{
		{"put", 412, "PreconditionFailed", cold.ErrExists},
		{"put", 412, "", cold.ErrExists},
		{"put", 409, "ConditionalRequestConflict", cold.ErrConflict},
		{"put", 409, "OperationAborted", cold.ErrConflict},
		{"put", 403, "AccessDenied", cold.ErrDenied},
		{"put", 403, "InvalidAccessKeyId", cold.ErrDenied},
		{"put", 403, "", cold.ErrDenied},
		{"put", 401, "", cold.ErrDenied},
		{"put", 403, "RequestTimeTooSkewed", cold.ErrClockSkew},
		{"put", 403, "RequestTimeTooSkewed", cold.ErrDenied},
		{"put", 400, "ExpiredToken", cold.ErrDenied},
		{"put", 404, "NoSuchBucket", cold.ErrNoBucket},
		{"put", 404, "NoSuchKey", unknown},
		{"put", 501, "NotImplemented", cold.ErrUnsupported},
		{"put", 507, "XMinioStorageFull", cold.ErrFull},
		{"put", 400, "InvalidArgument", unknown},
		{"put", 400, "RequestTimeout", unknown},
		{"put", 408, "", unknown},
		{"put", 429, "TooManyRequests", unknown},
		{"put", 500, "InternalError", unknown},
		{"put", 502, "", unknown},
		{"put", 503, "SlowDown", unknown},
		{"put", 503, "", unknown},
		{"put", 504, "", unknown},
		{"put", 307, "TemporaryRedirect", unknown},
		{"put", 200, "", unknown}, // without an ETag: not a store's answer
		{"put", 204, "", unknown},
		{"get", 404, "NoSuchKey", cold.ErrNotFound},
		{"get", 404, "NoSuchBucket", cold.ErrNoBucket},
		{"get", 416, "InvalidRange", cold.ErrRange},
		{"get", 403, "AccessDenied", cold.ErrDenied},
		{"get", 412, "PreconditionFailed", unknown},
		{"get", 503, "SlowDown", unknown},
		{"get", 500, "InternalError", unknown},
		{"stat", 404, "", cold.ErrNotFound},
		{"stat", 403, "", cold.ErrDenied},
		{"stat", 503, "", unknown},
		{"list", 404, "NoSuchBucket", cold.ErrNoBucket},
		{"list", 403, "AccessDenied", cold.ErrDenied},
		{"list", 503, "SlowDown", unknown},
		{"delete", 404, "NoSuchKey", nil},
		{"delete", 404, "NoSuchBucket", cold.ErrNoBucket},
		{"delete", 403, "AccessDenied", cold.ErrDenied},
		{"delete", 503, "SlowDown", unknown},
	} {
		status, code = c.status, c.code
		requests.Store(0)
		err := call(s, c.op)
		what := fmt.Sprintf("%s %d %s", c.op, c.status, c.code)
		switch {
		case c.want == unknown:
			if err == nil || cold.Definite(err) {
				t.Errorf("%s: %v, want an unknown answer", what, err)
			}
		case !errors.Is(err, c.want) || (c.want == nil) != (err == nil):
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		if n := requests.Load(); n != 1 {
			t.Errorf("%s: %d requests", what, n)
		}
	}
}

func oneRequest(t *testing.T, open opener) {
	var mu sync.Mutex
	var seen []*http.Request
	var lengths []int64
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	server := s3server.Start(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen = append(seen, r.Clone(context.Background()))
			lengths = append(lengths, r.ContentLength)
			sum.Reset()
			r.Body = io.NopCloser(io.TeeReader(r.Body, sum))
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	})
	s := open(t, server)
	for _, size := range []int{0, 100, 64 << 10, 9 << 20} { // the largest would be multipart by default
		seen, lengths = nil, nil
		put(t, s, fmt.Sprintf("wal/1/%d", size), noise(1, size))
		if len(seen) != 1 {
			t.Fatalf("%d requests for a put of %d bytes", len(seen), size)
		}
		h := seen[0].Header
		if seen[0].Method != http.MethodPut || !slices.Equal(h.Values("If-None-Match"), []string{"*"}) {
			t.Errorf("%s with If-None-Match %q", seen[0].Method, h.Values("If-None-Match"))
		}
		if v := h.Get("Expect"); v != "" {
			t.Errorf("Expect: %s, which hides refusals", v)
		}
		if lengths[0] != int64(size) || strings.Contains(h.Get("Content-Encoding"), "aws-chunked") || len(seen[0].TransferEncoding) > 0 {
			t.Errorf("a body of %d bytes was sent as %d, %q, %q", size, lengths[0], h.Get("Content-Encoding"), seen[0].TransferEncoding)
		}
		if got, want := h.Get("X-Amz-Checksum-Crc32c"), base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
			t.Errorf("X-Amz-Checksum-Crc32c: %q for a body of %q: a store takes the half of one for the whole", got, want)
		}
		if v := h.Get("X-Amz-Content-Sha256"); v != "UNSIGNED-PAYLOAD" {
			t.Errorf("X-Amz-Content-Sha256: %s, a pass over every byte", v)
		}
		if !strings.Contains(h.Get("Authorization"), "SignedHeaders=") || !strings.Contains(h.Get("Authorization"), "if-none-match") {
			t.Errorf("the condition is not signed: %s", h.Get("Authorization"))
		}
	}
}

// damaged has a server, or something before it, that answers gets wrongly.
func damaged(t *testing.T, open opener) {
	var answer func(w http.ResponseWriter)
	server := s3server.Start(t, instead(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		answer(w)
	}))
	s := open(t, server)
	reply := func(status int, contentRange string, length int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if contentRange != "" {
				w.Header().Set("Content-Range", contentRange)
			}
			w.Header().Set("Content-Length", fmt.Sprint(length))
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for what, c := range map[string]struct {
		answer func(http.ResponseWriter)
		r      cold.Range
	}{
		"the whole object for a range": {reply(200, "", 10, "0123456789"), cold.Range{Offset: 2, Length: 3}},
		"another range":                {reply(206, "bytes 3-5/10", 3, "345"), cold.Range{Offset: 2, Length: 3}},
		"a shorter range":              {reply(206, "bytes 2-3/10", 2, "23"), cold.Range{Offset: 2, Length: 3}},
		"less than announced":          {reply(206, "bytes 2-4/10", 3, "2"), cold.Range{Offset: 2, Length: 3}},
		"half an object":               {reply(200, "", 10, "01234"), cold.Whole},
		"a lying range":                {reply(206, "bytes 2-4/10", 5, "23456"), cold.Range{Offset: 2, Length: 3}},
		"nonsense for a range":         {reply(206, "bytes two-four", 3, "234"), cold.Range{Offset: 2, Length: 3}},
		"a range past its own end":     {reply(206, "bytes 2-40/10", 39, "2"), cold.Range{Offset: 2, Length: 39}},
		"the head for the tail":        {reply(206, "bytes 0-2/10", 3, "012"), cold.Tail(3)},
	} {
		answer = c.answer
		if got, err := s.Get(t.Context(), "a/b", c.r, []byte("kept")); err == nil || cold.Definite(err) || string(got) != "kept" {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	answer = reply(206, "bytes 2-4/10", 3, "234")
	want(t, s, "a/b", cold.Range{Offset: 2, Length: 3}, []byte("234"))
	for _, of := range []string{"", "bytes 0--1/0"} { // versitygw, MinIO
		answer = reply(200, of, 0, "")
		want(t, s, "a/b", cold.Tail(3), nil)
	}
}

// stalled has servers that stop in the middle of everything.
func stalled(t *testing.T, open opener) {
	release := make(chan struct{})
	server := s3server.Start(t, instead(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "" {
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}
		<-release
	}))
	defer close(release)
	s := open(t, server)
	for _, op := range []func(ctx context.Context) error{
		func(ctx context.Context) error { return s.PutIfAbsent(ctx, "a", cold.Bytes(noise(1, 100))) },
		func(ctx context.Context) error { _, err := s.Get(ctx, "a", cold.Whole, nil); return err },
		func(ctx context.Context) error { _, err := s.Stat(ctx, "a"); return err },
		func(ctx context.Context) error {
			for _, err := range s.List(ctx, "a", "") {
				return err
			}
			return nil
		},
		func(ctx context.Context) error { return s.Delete(ctx, "a") },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if err := op(ctx); !errors.Is(err, context.DeadlineExceeded) || cold.Definite(err) {
			t.Errorf("%v", err)
		}
		cancel()
	}
}

func lostConnection(t *testing.T, open opener) {
	var applied atomic.Bool
	server := s3server.Start(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && applied.CompareAndSwap(false, true) {
				next.ServeHTTP(discard{http.Header{}}, r) // applied, and the answer never leaves
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	})
	s := open(t, server)
	body := noise(1, 1000)
	if err := s.PutIfAbsent(t.Context(), "a", cold.Bytes(body)); err == nil || cold.Definite(err) {
		t.Fatalf("the answer was lost, and the driver says %v", err)
	}
	wantError(t, "second attempt", s.PutIfAbsent(t.Context(), "a", cold.Bytes(body)), cold.ErrExists)
	err := cold.Settle(t.Context(), s, "a", cold.Bytes(body), func(b []byte) bool { return string(b) == string(body) })
	if err != nil {
		t.Errorf("settled with %v", err)
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func endlessList(t *testing.T, open opener) {
	requests := 0
	server := s3server.Start(t, instead(func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests > 50 {
			http.Error(w, "enough", http.StatusTeapot)
			return
		}
		io.WriteString(w, `<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>`)
	}))
	s := open(t, server)
	var last error
	for _, err := range s.List(t.Context(), "a", "") {
		if last = err; err != nil {
			break
		}
	}
	if last == nil || requests > 50 {
		t.Errorf("%v after %d requests", last, requests)
	}
}

func missingBucket(t *testing.T, open opener) {
	server := s3server.Start(t)
	server.Bucket = "elsewhere"
	s := open(t, server)
	for _, op := range []string{"put", "get", "list", "delete"} {
		err := call(s, op)
		if !errors.Is(err, cold.ErrNoBucket) || errors.Is(err, cold.ErrNotFound) {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func reuse(t *testing.T, open opener) {
	var mu sync.Mutex
	peers := map[string]bool{}
	server := s3server.Start(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			peers[r.RemoteAddr] = true
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	})
	s := open(t, server)
	for i := range 20 {
		name := fmt.Sprintf("a/%d", i)
		put(t, s, name, noise(1, 3000))
		wantError(t, "second put", s.PutIfAbsent(t.Context(), name, cold.Bytes(noise(2, 3000))), cold.ErrExists)
		want(t, s, name, cold.Tail(100), noise(1, 3000)[2900:])
		if _, err := s.Stat(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if len(peers) != 1 {
		t.Errorf("80 requests one after the other took %d connections", len(peers))
	}
}

func prefixes(t *testing.T, open opener) {
	server := s3server.Start(t)
	one, other := open(t, server), open(t, server)
	put(t, one, "a", []byte("x"))
	want(t, other, "a", cold.Whole, []byte("x"))
}

// earlyRefusal has a server that answers before it has read the body and closes,
// as gateways do. The driver may lose that answer, but must not invent one.
func earlyRefusal(t *testing.T, open opener) {
	server := s3server.Start(t, instead(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusPreconditionFailed)
	}))
	s := open(t, server)
	told := 0
	for range 10 {
		err := s.PutIfAbsent(t.Context(), "a", cold.Bytes(noise(1, 4<<20)))
		switch {
		case errors.Is(err, cold.ErrExists):
			told++
		case err == nil || cold.Definite(err):
			t.Fatalf("%v", err)
		}
	}
	t.Logf("told of %d refusals in 10", told)
}

// releasedWhileHanging has a server that reads nothing: the client's goroutine
// hangs in a write when the call is cancelled.
func releasedWhileHanging(t *testing.T, open opener) {
	release := make(chan struct{})
	server := s3server.Start(t, instead(func(w http.ResponseWriter, r *http.Request) { <-release }))
	defer close(release)
	s := open(t, server)
	data := make([]byte, 32<<20) // more than the kernel's buffers take
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := s.PutIfAbsent(ctx, "a", cold.Bytes(data))
	for i := range data {
		data[i] = 1 // the race detector sees who still reads
	}
	wantError(t, "put", err, context.DeadlineExceeded)
}

// refusedWhileReading has a server that answers while the client's goroutine is in
// the middle of a read of the body: net/http then hands out the answer at once.
func refusedWhileReading(t *testing.T, open opener) {
	answered := make(chan struct{})
	server := s3server.Start(t, instead(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusPreconditionFailed)
		w.(http.Flusher).Flush()
		close(answered)
	}))
	s := open(t, server)
	returned := make(chan struct{})
	var once sync.Once
	var early atomic.Bool
	body := summed{&watched{Body: cold.Bytes(noise(1, 8<<20)), at: 300 << 10, then: func() {
		once.Do(func() {
			<-answered
			select {
			case <-returned:
				early.Store(true)
			case <-time.After(100 * time.Millisecond):
			}
		})
	}}}
	err := s.PutIfAbsent(t.Context(), "wal/1/0", body)
	close(returned)
	if err == nil {
		t.Error("a refusal was taken for success")
	}
	if once.Do(func() {}); early.Load() { // Do waits for the read that is under way
		t.Error("the put returned, and its body was still being read")
	}
}

// WantNoCredentials opens a store where there are none.
func WantNoCredentials(t *testing.T, open func() error) {
	t.Helper()
	err := open()
	wantError(t, "open without credentials", err, cold.ErrDenied)
	if !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("does not say what to set: %v", err)
	}
}

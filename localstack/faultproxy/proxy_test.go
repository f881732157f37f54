package faultproxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestEachFaultIsWhatItsNameSays: whether the store carried a put out, and what
// its sender learned.
func TestEachFaultIsWhatItsNameSays(t *testing.T) {
	for _, c := range []struct {
		fault  Fault
		lands  string // what the store gets of the body
		status int    // 0: the connection is cut
	}{
		{Pass, "bytes", 200},
		{Unavailable, "", 503},
		{LoseRequest, "", 0},
		{LoseAnswer, "bytes", 0},
		{DelayAnswer, "bytes", 200},
		{LateRequest, "bytes", 0},
		{CutRequest, "by", 0},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			landed := make(chan string, 2)
			var host string
			store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				host = r.Host
				landed <- r.Method + " " + r.URL.Path + " " + string(b)
				w.Header().Set("ETag", "x")
			}))
			defer store.Close()
			p, err := Start(store.Listener.Addr().String(), 20*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			p.Decide(func(*http.Request) Fault { return c.fault })
			req, err := http.NewRequest(http.MethodPut, "http://"+p.Addr()+"/bucket/wal/1", strings.NewReader("bytes"))
			if err != nil {
				t.Fatal(err)
			}
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			resp, err := tr.RoundTrip(req)
			status := 0
			if err == nil {
				status = resp.StatusCode
				resp.Body.Close()
			}
			if status != c.status {
				t.Errorf("the sender got %d, %v; want %d", status, err, c.status)
			}
			if c.lands != "" {
				select {
				case got := <-landed:
					if got != "PUT /bucket/wal/1 "+c.lands {
						t.Errorf("the store got %q", got)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("the put never landed")
				}
				if host != p.Addr() {
					t.Errorf("Host %q, which the signature covers, was %q", host, p.Addr())
				}
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if len(landed) != 0 {
				t.Errorf("the store got %q", <-landed)
			}
			if p.Count(c.fault) != 1 {
				t.Errorf("counted %d", p.Count(c.fault))
			}
		})
	}
}

package s3wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// dripping answers with one byte after each pause, as long as the request is wanted.
type dripping []time.Duration

func (d dripping) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: &drops{r.Context(), d}, Request: r}, nil
}

type drops struct {
	ctx  context.Context
	left []time.Duration
}

func (d *drops) Read(p []byte) (int, error) {
	if len(d.left) == 0 {
		return 0, io.EOF
	}
	t := time.NewTimer(d.left[0])
	defer t.Stop()
	select {
	case <-t.C:
		d.left = d.left[1:]
		return copy(p, "x"), nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func (d *drops) Close() error { return nil }

// TestAnAnswerThatStandsStillEnds: a slow one comes to its end, however long it takes, also
// when its reader takes long; one that stands still does not wait for ever, and what ended
// it is not taken for the caller's wish.
func TestAnAnswerThatStandsStillEnds(t *testing.T) {
	for _, c := range []struct {
		what  string
		pause []time.Duration
		got   string
		err   error
	}{
		{"slow", []time.Duration{silenceLimit - 1, silenceLimit - 1, silenceLimit - 1}, "xxx", nil},
		{"still", []time.Duration{time.Second, 24 * time.Hour}, "x", errStill},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := Client(dripping(c.pause))
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://store/a", nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				time.Sleep(time.Hour) // the reader's time, not the answer's
				got, err := io.ReadAll(resp.Body)
				if string(got) != c.got || !errors.Is(err, c.err) || (c.err == nil) != (err == nil) || errors.Is(err, context.Canceled) {
					t.Errorf("%q, %v; want %q, %v", got, err, c.got, c.err)
				}
			})
		})
	}
}

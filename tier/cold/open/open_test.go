package open_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
	"github.com/firnlog/firn/tier/cold/open"
	"github.com/firnlog/firn/tier/cold/trace"
)

func TestURLs(t *testing.T) {
	for raw, want := range map[string]open.Location{
		"s3://glacier":                       {Scheme: "s3", Bucket: "glacier"},
		"s3://glacier/":                      {Scheme: "s3", Bucket: "glacier"},
		"s3://glacier/a/b/":                  {Scheme: "s3", Bucket: "glacier", Prefix: "a/b"},
		"s3://glacier/a%20b":                 {Scheme: "s3", Bucket: "glacier", Prefix: "a b"},
		"s3://glacier/p?region=eu-central-1": {Scheme: "s3", Bucket: "glacier", Prefix: "p", Region: "eu-central-1"},
		"s3://gla/p?endpoint=http://127.0.0.1:9000&path_style=true":      {Scheme: "s3", Bucket: "gla", Prefix: "p", Endpoint: "http://127.0.0.1:9000", PathStyle: true},
		"s3://gla?endpoint=https%3A%2F%2Fstore%2F&path_style=0&region=r": {Scheme: "s3", Bucket: "gla", Endpoint: "https://store", Region: "r"},
		"minio://host:9000/glacier":                                      {Scheme: "minio", Endpoint: "host:9000", Bucket: "glacier"},
		"minio://[::1]:9000/glacier/a/b/?secure=true":                    {Scheme: "minio", Endpoint: "[::1]:9000", Bucket: "glacier", Prefix: "a/b", Secure: true},
		"file:///var/lib/firn":                                           {Scheme: "file", Path: "/var/lib/firn"},
		"file:///var//lib/../firn%20x/":                                  {Scheme: "file", Path: "/var/firn x"},
		"file://localhost/data":                                          {Scheme: "file", Path: "/data"},
		"mem://":                                                         {Scheme: "mem"},
		"mem://shared":                                                   {Scheme: "mem", Name: "shared"},
	} {
		l, err := open.Parse(raw)
		if err != nil || l != want {
			t.Errorf("%s: %+v, %v, want %+v", raw, l, err, want)
			continue
		}
		if again, err := open.Parse(l.String()); err != nil || again != l {
			t.Errorf("%s prints as %s, which is %+v, %v", raw, l, again, err)
		}
	}
}

func TestBadURLsSayWhatWouldBeRight(t *testing.T) {
	for raw, says := range map[string]string{
		"":                                   "s3://bucket/prefix",
		"glacier":                            "s3://bucket/prefix",
		"/var/lib/firn":                      "file:///folder",
		"./data":                             "file:///folder",
		"s4://glacier":                       "did you mean s3?",
		"S3://glacier":                       "did you mean s3?",
		"https://s3.amazonaws.com/glacier":   "s3://bucket/prefix",
		"s3://":                              "s3://bucket/prefix",
		"s3:///prefix":                       "s3://bucket/prefix",
		"s3://my":                            "3 to 63 letters, digits, dots and hyphens",
		"minio://host:9000/my/p":             "3 to 63 letters, digits, dots and hyphens",
		"minio://host:9000/my,bucket":        "3 to 63 letters, digits, dots and hyphens",
		"s3://host:9000/bucket":              "endpoint=https://host:port",
		"s3://gla/a//b":                      "empty part",
		"s3://gla/../b":                      "dot part",
		"s3://gla?regoin=x":                  "did you mean region?",
		"s3://gla?pathstyle=true":            "did you mean path_style?",
		"s3://gla?secure=true":               "known: endpoint, path_style, region",
		"s3://gla?path_style=true":           "add endpoint=",
		"s3://gla?endpoint=host:9000":        "endpoint=https://host:port",
		"s3://gla?endpoint=ftp://host":       "endpoint=https://host:port",
		"s3://gla?endpoint=http://host/path": "without path",
		"s3://gla?endpoint=http://h&path_style=maybe": "true or false",
		"s3://gla?region=a&region=b":                  "2 times",
		"s3://gla?region=":                            "no value",
		"s3://g#part":                                 "%23",
		"minio://host:9000":                           "minio://host:port/bucket",
		"minio://host:9000/":                          "minio://host:port/bucket",
		"minio:///bucket":                             "minio://host:port/bucket",
		"minio://host:/bucket":                        "without a port",
		"minio://h/b?endpoint=http://x":               "known: region, secure",
		"file://data":                                 "file:///data",
		"file://relative/path":                        "file:///relative/path",
		"file://":                                     "file:///folder",
		"file:///data?x=1":                            "known: none",
		"mem://a/b":                                   "mem://name",
		"s3://%zz":                                    "not readable",
	} {
		_, err := open.Parse(raw)
		if !errors.Is(err, open.ErrURL) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want something with %q", raw, err, says)
		}
	}
}

// A secret in a URL is refused, and nothing that is said about it repeats it.
func TestSecretsAreRefusedAndNeverPrinted(t *testing.T) {
	const secret = "wJalrXUtnFEMI"
	for _, form := range []string{
		"s3://AKIA:%s@glacier/p",
		"s3://%s@glacier/p",
		"minio://user:%s@host:9000/bucket",
		"minio://user:%s@host:9000/bucket?bogus=1",
		"file://user:%s@host/x",
		"mem://user:%s@x",
		"s3://glacier?access_key=AKIA&secret_key=%s",
		"s3://glacier?AWS_SECRET_ACCESS_KEY=%s",
		"s3://glacier?password=%s",
		"s3://glacier?X-Amz-Signature=%s",
		"s3://glacier?session-token=%s",
		"s3://glacier?endpoint=https://user:%s@host",
		"s3://user:%s@bad host/",
		"s3://AKIA:%s@glacier:port/p",
		"s3://glacier?endpoint=https://user:%s@[bad",
		"http://user:%s@host/bucket",
		"nonsense:%s@",
	} {
		raw := fmt.Sprintf(form, secret)
		l, err := open.Parse(raw)
		if err == nil {
			t.Errorf("%s: taken", form)
		}
		if strings.Contains(fmt.Sprint(err), secret) || strings.Contains(fmt.Sprintf("%v %+v %s", l, l, l), secret) {
			t.Errorf("%s: printed: %v", form, err)
		}
		if strings.Contains(form, "@glacier") && !strings.Contains(fmt.Sprint(err), "AWS_ACCESS_KEY_ID") && !strings.Contains(form, ":port") {
			t.Errorf("%s: does not say what to do: %v", form, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"s3://b/p?endpoint=http://h:1&path_style=1&region=r", "minio://h:1/b/p?secure=1", "file:///x/%2e%2e", "mem://n", "s3://a:b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		l, err := open.Parse(raw)
		if err != nil {
			return
		}
		again, err := open.Parse(l.String())
		if err != nil || again != l {
			t.Fatalf("%q is %+v, prints as %q, which is %+v, %v", raw, l, l.String(), again, err)
		}
	})
}

func roundTrip(t *testing.T, s cold.Store) {
	t.Helper()
	if err := s.PutIfAbsent(t.Context(), "wal/1/0", cold.Bytes([]byte("firn"))); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "wal/1/0", cold.Whole, nil); err != nil || string(got) != "firn" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := cold.Close(s); err != nil {
		t.Error(err)
	}
}

func TestOpenFindsEveryDriver(t *testing.T) {
	server := s3server.Start(t)
	dir := filepath.Join(t.TempDir(), "bucket")
	var seen trace.Counts
	var requests int
	o := open.Options{Observer: &seen, Transport: counting{&requests}}
	for _, url := range []string{
		"mem://",
		"file://" + dir,
		"s3://" + server.Bucket + "/one?path_style=true&endpoint=" + server.URL,
		"minio://" + server.Host + "/" + server.Bucket + "/two",
	} {
		s, l, err := open.Open(t.Context(), url, o)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if l.Amazon() || l.Remote() != strings.Contains(url, "127.0.0.1") {
			t.Errorf("%+v", l)
		}
		roundTrip(t, s)
	}
	if seen.Calls(trace.Put, trace.OK) != 4 || seen.Bytes(trace.Get, trace.OK) != 16 {
		t.Errorf("observed:\n%s", &seen)
	}
	if requests != 4 {
		t.Errorf("the transport saw %d requests", requests)
	}
	if _, err := os.Stat(filepath.Join(dir, "wal", "1", "0")); err != nil {
		t.Error(err)
	}
}

type counting struct{ n *int }

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	*c.n++
	return http.DefaultTransport.RoundTrip(r)
}

func (c counting) CloseIdleConnections() {
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestNamedMemoryIsShared(t *testing.T) {
	var memory open.Memory
	one, _, err := open.Open(t.Context(), "mem://x", open.Options{Memory: &memory})
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, one)
	for url, shared := range map[string]bool{"mem://x": true, "mem://y": false, "mem://": false} {
		s, _, err := open.Open(t.Context(), url, open.Options{Memory: &memory})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stat(t.Context(), "wal/1/0"); (err == nil) != shared {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestOpenSaysWhatIsWrongWithAFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, err := open.Open(t.Context(), "file://"+path, open.Options{})
	if err == nil || s != nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, %v", s, err)
	}
}

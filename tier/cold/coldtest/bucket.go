package coldtest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
)

// Bucket tests that a driver of S3 is a cold.Bucket. open opens the server's bucket
// with the prefix "firn".
func Bucket(t *testing.T, open func(t *testing.T, server s3server.Server) cold.Store) {
	rules := map[string]string{} // what the server answers, by query
	server := s3server.Start(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for query, answer := range rules {
				if !r.URL.Query().Has(query) {
					continue
				}
				if code, text, bad := strings.Cut(answer, "|"); bad {
					status := http.StatusNotFound
					if code == "AccessDenied" {
						status = http.StatusForbidden
					}
					w.WriteHeader(status)
					fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, text)
					return
				}
				io.WriteString(w, answer)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	of := func(t *testing.T, server s3server.Server) cold.Bucket {
		s := open(t, server)
		t.Cleanup(func() { cold.Close(s) })
		return s.(cold.Bucket)
	}

	t.Run("a bucket is created once and then is there", func(t *testing.T) {
		other := server
		other.Bucket = "crevasse"
		for range 2 {
			if err := of(t, other).CreateBucket(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, other)
		defer cold.Close(s)
		if err := s.PutIfAbsent(t.Context(), "a", cold.Bytes([]byte("x"))); err != nil {
			t.Error(err)
		}
	})
	const none = "NoSuchLifecycleConfiguration|there is none"
	const suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
	for what, c := range map[string]struct {
		versioning, lifecycle string
		want                  string
		err                   error
	}{
		"no rules":  {"<VersioningConfiguration/>", none, "{false false [] []}", nil},
		"versioned": {suspended, none, "{true false [] []}", nil},
		"of all kinds": {suspended, `<LifecycleConfiguration>
			<Rule><ID>days</ID><Status>Enabled</Status><Filter/><Expiration><Days>7</Days></Expiration></Rule>
			<Rule><ID>date</ID><Status>Enabled</Status><Filter><Prefix>firn/seg</Prefix></Filter><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule>
			<Rule><ID>old style</ID><Status>Enabled</Status><Prefix>fir</Prefix><Expiration><Days>1</Days></Expiration></Rule>
			<Rule><ID>off</ID><Status>Disabled</Status><Filter/><Expiration><Days>7</Days></Expiration></Rule>
			<Rule><ID>elsewhere</ID><Status>Enabled</Status><Filter><Prefix>logs/</Prefix></Filter><Expiration><Days>7</Days></Expiration></Rule>
			<Rule><ID>tagged</ID><Status>Enabled</Status><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Expiration><Days>7</Days></Expiration></Rule>
			<Rule><ID>both tagged</ID><Status>Enabled</Status><Filter><And><Prefix>firn</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Expiration><Days>7</Days></Expiration></Rule>
			<Rule><ID>marker</ID><Status>Enabled</Status><Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>
			<Rule><ID>freeze</ID><Status>Enabled</Status><Filter/><Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>
			<Rule><ID>versions</ID><Status>Enabled</Status><Filter/><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration></Rule>
			<Rule><ID>parts</ID><Status>Enabled</Status><Filter/><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
			</LifecycleConfiguration>`, "{true true [date days old style] [freeze]}", nil},
		"may not ask": {"<VersioningConfiguration/>", "AccessDenied|no", "", cold.ErrDenied},
		"no bucket":   {"NoSuchBucket|no", none, "", cold.ErrNoBucket},
	} {
		t.Run("rules: "+what, func(t *testing.T) {
			rules["versioning"], rules["lifecycle"] = c.versioning, c.lifecycle
			r, err := of(t, server).BucketRules(t.Context())
			slices.Sort(r.Expire)
			if !errors.Is(err, c.err) || err == nil && fmt.Sprint(r) != c.want {
				t.Errorf("%v, %v, want %s, %v", r, err, c.want, c.err)
			}
		})
	}
}

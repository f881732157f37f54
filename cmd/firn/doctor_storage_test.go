package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
)

func TestDoctorStorageApprovesABucketAndSaysWhatItSaw(t *testing.T) {
	clearEnvironment(t)
	server := s3server.Start(t)
	c := cli{t: t}
	url := "s3://" + server.Bucket + "/logs?path_style=true&endpoint=" + server.URL
	out := c.ok("doctor", "storage", url, "--quick")
	for _, want := range []string{"s3://" + server.Bucket + "/logs", "ok    one winner, large bodies", "p99 ms", "put 64 KiB", "approved"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if wide := c.ok("doctor", "storage", "--store", url, "--quick", "--format", "wide"); !strings.Contains(wide, "Who takes over a partition must see") || !strings.Contains(wide, "creators") {
		t.Errorf("wide does not say what each check is for:\n%s", wide)
	}
	var x struct {
		Store, Verdict string
		Checks         []struct {
			Name, Promise string
			OK            bool
		}
	}
	t.Setenv("FIRN_STORE", url)
	if err := json.Unmarshal([]byte(c.ok("doctor", "storage", "--quick", "--json")), &x); err != nil || x.Verdict != "approved" || !strings.HasPrefix(x.Store, "s3://"+server.Bucket) || len(x.Checks) < 14 || x.Checks[0].Promise == "" {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestDoctorStorageRefusesABrokenStore(t *testing.T) {
	clearEnvironment(t)
	for what, c := range map[string]struct {
		wrap func(http.Handler) http.Handler
		code int
		says []string
	}{
		"ignores the condition": {func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("If-None-Match")
				next.ServeHTTP(w, r)
			})
		}, exitProblem, []string{"FAIL  refuses a second put", "the condition is ignored", "Two brokers would fill one slot", "refused"}},
		"denies deletes": {func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodDelete {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				next.ServeHTTP(w, r)
			})
		}, exitOK, []string{"warn  may delete", "Allow s3:DeleteObject", "with 2 warnings"}},
		"denies everything": {func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })
		}, exitProblem, []string{"FAIL  may put", "Allow s3:PutObject"}},
	} {
		t.Run(what, func(t *testing.T) {
			server := s3server.Start(t, c.wrap)
			a := cli{t: t}.run("doctor", "storage", "minio://"+server.Host+"/"+server.Bucket, "--quick")
			if a.code != c.code {
				t.Errorf("exit code %d, want %d", a.code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(a.out, want) {
					t.Errorf("no %q in\n%s", want, a.out)
				}
			}
		})
	}
}

func TestDoctorStorageCreatesABucket(t *testing.T) {
	clearEnvironment(t)
	server := s3server.Start(t)
	c := cli{t: t}
	url := "minio://" + server.Host + "/crevasse"
	if a := c.run("doctor", "storage", url, "--quick"); a.code != exitProblem || !strings.Contains(a.out, "firn doctor storage --create") {
		t.Errorf("without the bucket: %d\n%s", a.code, a.out)
	}
	for range 2 {
		c.ok("doctor", "storage", url, "--quick", "--create")
	}
	c.ok("doctor", "storage", "file://"+t.TempDir()+"/new/folder", "--quick", "--create")
}

func TestDoctorStorageSaysWhatItCannotDo(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	c.fails(exitUsage, "which bucket?", "doctor", "storage")
	c.fails(exitUsage, "did you mean s3?", "doctor", "storage", "s4://bucket")
	c.fails(exitUsage, "--connections 0", "doctor", "storage", "mem://", "--connections", "0")
	gone := s3server.Start(t)
	c.fails(exitError, "--timeout waits longer", "doctor", "storage", "minio://127.0.0.1:1/"+gone.Bucket, "--create", "--timeout", "10ms")
}

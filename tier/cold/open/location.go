// Package open turns the URL of a bucket into a store.
//
//	s3://bucket/prefix?region=eu-central-1                      Amazon S3
//	s3://bucket/prefix?endpoint=https://host:9000&path_style=true   any S3, by the AWS SDK
//	minio://host:9000/bucket/prefix?secure=true&region=us-east-1    MinIO, by minio-go
//	file:///var/lib/firn                                        a folder
//	mem://  and  mem://name                                     memory; a name is shared within an Opener
//
// Credentials never come from the URL, only from the standard AWS chain. A URL
// that holds some is refused, and no error and no log line repeats it.
package open

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrURL refuses a URL. The text says what would be right.
var ErrURL = errors.New("bad store URL")

// Location is where a bucket is. It holds no secrets, and can be compared.
type Location struct {
	Scheme    string // s3, minio, file or mem
	Bucket    string // s3, minio
	Prefix    string // s3, minio: without a slash at either end
	Endpoint  string // s3: URL, empty for Amazon; minio: host:port
	Region    string // s3, minio: empty for the default
	PathStyle bool   // s3
	Secure    bool   // minio: TLS
	Path      string // file: absolute and clean
	Name      string // mem: empty for a store of one's own
}

// Amazon reports whether puts are paid for one by one: the store is Amazon's.
func (l Location) Amazon() bool { return l.Scheme == "s3" && l.Endpoint == "" }

// Remote reports whether there is a network before the store.
func (l Location) Remote() bool { return l.Scheme == "s3" || l.Scheme == "minio" }

// String is the URL. Parse gives the same Location back.
func (l Location) String() string {
	u := url.URL{Scheme: l.Scheme}
	q := url.Values{}
	switch l.Scheme {
	case "s3":
		u.Host, u.Path = l.Bucket, l.Prefix
		if l.Endpoint != "" {
			q.Set("endpoint", l.Endpoint)
		}
		if l.PathStyle {
			q.Set("path_style", "true")
		}
	case "minio":
		u.Host, u.Path = l.Endpoint, path.Join(l.Bucket, l.Prefix)
		if l.Secure {
			q.Set("secure", "true")
		}
	case "file":
		return "file://" + (&url.URL{Path: l.Path}).EscapedPath()
	case "mem":
		return "mem://" + l.Name
	}
	if l.Region != "" {
		q.Set("region", l.Region)
	}
	u.RawQuery = strings.ReplaceAll(strings.ReplaceAll(q.Encode(), "%3A", ":"), "%2F", "/")
	return u.String()
}

// keys are the parameters of each scheme.
var keys = map[string][]string{
	"s3":    {"endpoint", "path_style", "region"},
	"minio": {"region", "secure"},
	"file":  nil,
	"mem":   nil,
}

const forms = "s3://bucket/prefix, minio://host:port/bucket/prefix, file:///folder or mem://"

// Parse reads a URL. Every error is an ErrURL, says what would be right, and holds
// nothing of the URL that could be a secret.
func Parse(raw string) (Location, error) {
	l, err := parse(raw)
	if err != nil {
		return Location{}, fmt.Errorf("%w: %w", ErrURL, err)
	}
	return l, nil
}

func parse(raw string) (Location, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		if strings.HasPrefix(raw, "/") || strings.HasPrefix(raw, ".") {
			return Location{}, fmt.Errorf("a folder is written file:///folder, with an absolute path")
		}
		return Location{}, fmt.Errorf("no scheme: write %s", forms)
	}
	allowed, ok := keys[scheme]
	if !ok {
		return Location{}, unknown("scheme", scheme, []string{"s3", "minio", "file", "mem"}, forms)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's error repeats the URL, with whatever secret is in it.
		return Location{}, fmt.Errorf("not readable as a URL: write %s, with %%2F and the like for special characters", forms)
	}
	if u.User != nil {
		return Location{}, errSecret
	}
	if u.Fragment != "" || strings.Contains(rest, "#") {
		return Location{}, errors.New("a # has no meaning here: write %23 if it is part of a name")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Location{}, errors.New("the part after the question mark is not readable: write key=value&key=value")
	}
	for _, key := range slices.Sorted(mapKeys(q)) {
		switch {
		case secret(key):
			return Location{}, errSecret
		case !slices.Contains(allowed, key):
			return Location{}, unknown("parameter", key, allowed, "")
		case len(q[key]) > 1:
			return Location{}, fmt.Errorf("%s is given %d times", key, len(q[key]))
		case q.Get(key) == "":
			return Location{}, fmt.Errorf("%s has no value", key)
		}
	}
	l := Location{Scheme: scheme, Region: q.Get("region")}
	switch scheme {
	case "s3":
		err = l.s3(u, q)
	case "minio":
		err = l.minio(u, q)
	case "file":
		err = l.file(u)
	case "mem":
		err = l.mem(u)
	}
	return l, err
}

func mapKeys(q url.Values) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range q {
			if !yield(k) {
				return
			}
		}
	}
}

func (l *Location) s3(u *url.URL, q url.Values) (err error) {
	l.Bucket = u.Host
	if l.Bucket == "" || strings.Contains(l.Bucket, ":") {
		return errors.New("no bucket: write s3://bucket/prefix, and the host of another endpoint as ?endpoint=https://host:port")
	}
	if err := bucketName(l.Bucket); err != nil {
		return err
	}
	if l.Prefix, err = prefix(u.Path); err != nil {
		return err
	}
	if l.PathStyle, err = truth(q, "path_style"); err != nil {
		return err
	}
	if !q.Has("endpoint") {
		if l.PathStyle {
			return errors.New("path_style is for an endpoint of one's own: add endpoint=https://host:port")
		}
		return nil
	}
	e, err := url.Parse(q.Get("endpoint"))
	switch {
	case err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "":
		return errors.New("endpoint is the URL of a host: write endpoint=https://host:port")
	case e.User != nil:
		return errSecret
	case e.Path != "" && e.Path != "/" || e.RawQuery != "" || e.Fragment != "":
		return errors.New("endpoint is a host alone, without path or parameters: write endpoint=https://host:port")
	}
	l.Endpoint = e.Scheme + "://" + e.Host
	return nil
}

// bucketName refuses what is no bucket's name at any store, which stores answer in ways
// that are not told from an outage: new buckets have 3 to 63 lower-case letters,
// digits, dots and hyphens, old ones also capitals, underscores and up to 255 (Amazon
// S3 User Guide, "General purpose bucket naming rules").
func bucketName(b string) error {
	ok := len(b) >= 3 && len(b) <= 255
	for _, c := range b {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_')
	}
	if !ok {
		return fmt.Errorf("%q is no bucket's name: 3 to 63 letters, digits, dots and hyphens are", b)
	}
	return nil
}

func (l *Location) minio(u *url.URL, q url.Values) (err error) {
	const form = "write minio://host:port/bucket/prefix"
	l.Endpoint = u.Host
	bucket, rest, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if l.Endpoint == "" || bucket == "" {
		return errors.New("no bucket: " + form)
	}
	if _, port, err := net.SplitHostPort(u.Host); err == nil && port == "" {
		return errors.New("a colon without a port: " + form)
	}
	l.Bucket = bucket
	if err := bucketName(l.Bucket); err != nil {
		return err
	}
	if l.Prefix, err = prefix(rest); err != nil {
		return err
	}
	l.Secure, err = truth(q, "secure")
	return err
}

func (l *Location) file(u *url.URL) error {
	switch {
	case u.Host == "localhost":
	case u.Host != "":
		return fmt.Errorf("%q stands where a host does: write three slashes and an absolute path, file:///%s", u.Host, strings.TrimPrefix(path.Join(u.Host, u.Path), "./"))
	case u.Path == "":
		return errors.New("no folder: write file:///folder")
	}
	l.Path = filepath.Clean(filepath.FromSlash(u.Path))
	if !filepath.IsAbs(l.Path) {
		return errors.New("not an absolute path: write file:///folder")
	}
	return nil
}

func (l *Location) mem(u *url.URL) error {
	if strings.Trim(u.Path, "/") != "" {
		return errors.New("a store in memory has a name at most: write mem:// or mem://name")
	}
	l.Name = u.Host
	return nil
}

// prefix cleans slashes at the ends and refuses what names refuse.
func prefix(p string) (string, error) {
	p = strings.Trim(p, "/")
	if p == "" {
		return "", nil
	}
	if len(p) > 255 {
		return "", errors.New("the prefix is longer than 255 bytes")
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' }) {
			return "", errors.New("the prefix has an empty part, a dot part, a backslash or a control character")
		}
	}
	return p, nil
}

func truth(q url.Values, key string) (bool, error) {
	if !q.Has(key) {
		return false, nil
	}
	v, err := strconv.ParseBool(q.Get(key))
	if err != nil {
		return false, fmt.Errorf("%s is true or false", key)
	}
	return v, nil
}

var errSecret = errors.New("credentials do not belong into a URL, which ends up in process lists and logs: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, instead")

// secret reports whether a parameter's name looks like a credential's.
func secret(key string) bool {
	k := strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(key))
	for _, part := range []string{"key", "secret", "password", "passwd", "token", "credential", "user", "auth", "signature"} {
		if strings.Contains(k, part) {
			return true
		}
	}
	return false
}

// unknown says what was probably meant.
func unknown(what, got string, known []string, all string) error {
	best, distance := "", 4
	for _, k := range known {
		if d := edits(strings.ToLower(got), k); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	if all == "" {
		all = strings.Join(known, ", ")
		if all == "" {
			all = "none"
		}
	}
	if len(got) > 40 {
		got = got[:40] + "..."
	}
	if best != "" {
		return fmt.Errorf("unknown %s %q: did you mean %s? (known: %s)", what, got, best, all)
	}
	return fmt.Errorf("unknown %s %q (known: %s)", what, got, all)
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}

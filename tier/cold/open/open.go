package open

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/file"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/minio"
	"github.com/firnlog/firn/tier/cold/s3"
	"github.com/firnlog/firn/tier/cold/trace"
)

// Options are for Open. The zero value is good.
type Options struct {
	// Observer, when not nil, watches the store.
	Observer trace.Observer
	// Transport, when not nil, performs the requests of an S3 store.
	Transport http.RoundTripper
	// Memory holds the named stores in memory. Without it mem://name is empty
	// each time it is opened.
	Memory *Memory
}

// Memory is the named stores in memory of one process, or of one test: everybody
// who opens mem://name with it gets the same bucket. The zero value is empty.
type Memory struct {
	mu     sync.Mutex
	stores map[string]*mem.Store
}

func (m *Memory) named(name string) *mem.Store {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.stores[name]
	if !ok {
		if m.stores == nil {
			m.stores = make(map[string]*mem.Store)
		}
		s = mem.New()
		m.stores[name] = s
	}
	return s
}

// Open parses the URL and opens the store there. It looks for credentials but
// does not ask the bucket anything: that is the doctor's. The caller closes the
// store with cold.Close.
func Open(ctx context.Context, url string, o Options) (cold.Store, Location, error) {
	l, err := Parse(url)
	if err != nil {
		return nil, Location{}, err
	}
	s, err := l.Open(ctx, o)
	return s, l, err
}

// Open opens the store at the location.
func (l Location) Open(ctx context.Context, o Options) (cold.Store, error) {
	s, err := l.driver(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Observer != nil {
		s = trace.Wrap(s, o.Observer)
	}
	return s, nil
}

func (l Location) driver(ctx context.Context, o Options) (cold.Store, error) {
	switch l.Scheme {
	case "s3":
		return checked(s3.Open(ctx, s3.Options{
			Bucket: l.Bucket, Prefix: l.Prefix, Region: l.Region,
			Endpoint: l.Endpoint, PathStyle: l.PathStyle, Transport: o.Transport,
		}))
	case "minio":
		return checked(minio.Open(ctx, minio.Options{
			Bucket: l.Bucket, Prefix: l.Prefix, Region: l.Region,
			Endpoint: l.Endpoint, Secure: l.Secure, Transport: o.Transport,
		}))
	case "file":
		return checked(file.Open(l.Path))
	case "mem":
		if l.Name != "" && o.Memory != nil {
			return o.Memory.named(l.Name), nil
		}
		return mem.New(), nil
	}
	return nil, fmt.Errorf("%w: unknown scheme %q", ErrURL, l.Scheme)
}

// checked keeps a nil driver from becoming a store that is not nil.
func checked[S cold.Store](s S, err error) (cold.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

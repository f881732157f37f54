package s3wire

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

const (
	// dialLimit is short because a retry with a fresh look-up finds another
	// address of the store, while waiting finds the same dead one.
	dialLimit = 2 * time.Second
	// silenceLimit is how long a peer may leave sent bytes unacknowledged before
	// the connection is given up: a host that died without a word, and a link
	// that fell silent, are noticed long before the system's 15 minutes.
	silenceLimit = 30 * time.Second
	// answerLimit bounds the wait for the head of an answer once the request is
	// sent, for callers whose context has no end. A store that holds a lock for
	// another writer of the name (MinIO) may take a quarter of a minute.
	answerLimit = 60 * time.Second
	// connections that are kept for the next burst.
	connections = 256
)

// NewTransport returns the transport of one store. The library's own keep ten
// idle connections a host, which a burst of ranged reads closes and opens again
// all the time. HTTP/1.1, since one stalled stream must not hold up the others
// and a put's answer must not depend on its neighbours. roots may be nil.
func NewTransport(roots *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{
		Timeout:         dialLimit,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		ControlContext:  bound,
	}
	var one http.Protocols
	one.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		Protocols:             &one,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(64)},
		TLSHandshakeTimeout:   5 * time.Second,
		MaxIdleConns:          connections,
		MaxIdleConnsPerHost:   connections,
		IdleConnTimeout:       75 * time.Second,
		ResponseHeaderTimeout: answerLimit,
		DisableCompression:    true, // objects are bytes as they are
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
	}
}

// Client wraps the transport, and an answer that stands still ends. A redirect is not followed: it would be a second
// request to a place that the caller has not named.
func Client(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     Steady(t),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

package web

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ServerOptions are a Server's parts.
type ServerOptions struct {
	Metrics *Metrics
	Ready   *Readiness
	// Pprof serves profiles under /debug/pprof/.
	Pprof bool
	// Logger is told about what fails; nil for nobody.
	Logger *slog.Logger
}

// Server serves HTTP.
type Server struct {
	options ServerOptions
	mux     *http.ServeMux
	about   atomic.Pointer[[][2]string]
}

// NewServer returns a server.
func NewServer(o ServerOptions) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{options: o, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /{$}", s.page)
	s.mux.HandleFunc("GET /livez", s.live)
	s.mux.HandleFunc("GET /readyz", s.ready)
	s.mux.HandleFunc("GET /healthz", s.ready)
	s.mux.Handle("GET /metrics", s.exposition(o.Metrics.all))
	s.mux.Handle("GET /metrics/lag", s.exposition(o.Metrics.lag))
	if o.Pprof {
		s.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		s.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		s.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		s.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		s.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return s
}

// Tell sets what the start page shows: names and values, without secrets.
func (s *Server) Tell(about [][2]string) { s.about.Store(&about) }

// Handle adds a page, before Serve.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	s.mux.ServeHTTP(w, r)
}

// Serve serves until ctx ends, then lets requests under way finish for a moment. It
// closes ln, and returns nil after ctx.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	hs := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute, // a profile takes half a minute and more
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if hs.Shutdown(sctx) != nil {
		hs.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

// exposition is a page of metrics. Few scrapes at once are enough, and what one
// part cannot tell does not hide what the others can.
func (s *Server) exposition(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		EnableOpenMetrics:   true,
	})
}

func (s *Server) live(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	why := "starting"
	if s.options.Ready != nil {
		why = s.options.Ready.Why()
	}
	if why == "" {
		fmt.Fprintln(w, "ok")
		return
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, why, http.StatusServiceUnavailable)
}

// start is the page that lists the others.
var start = template.Must(template.New("start").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Firn</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem }
dd { margin: 0; overflow-wrap: anywhere }
code, dd { font-family: ui-monospace, monospace; font-size: .9em }
</style>
<h1>Firn</h1>
<dl>{{range .About}}<dt>{{index . 0}}</dt><dd>{{index . 1}}</dd>{{end}}<dt>state</dt><dd>{{if .Why}}not ready: {{.Why}}{{else}}ready{{end}}</dd></dl>
<ul>
<li><a href="/metrics">/metrics</a> for Prometheus; <a href="/metrics/lag">/metrics/lag</a>, every group and partition</li>
<li><a href="/livez">/livez</a>, the process runs; <a href="/readyz">/readyz</a>, clients may be sent here</li>
{{if .Pprof}}<li><a href="/debug/pprof/">/debug/pprof/</a>, profiles</li>
{{end}}</ul>
</html>
`))

func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	why := "starting"
	if s.options.Ready != nil {
		why = s.options.Ready.Why()
	}
	var about [][2]string
	if p := s.about.Load(); p != nil {
		about = *p
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = start.Execute(w, struct {
		About [][2]string
		Why   string
		Pprof bool
	}{about, why, s.options.Pprof})
}

// Package deploy is what Firn ships for whoever runs it: a stack for docker compose,
// what Prometheus scrapes and alerts on, a dashboard for Grafana. The files of this
// folder are the source, used as they lie here and printed by `firn generate`.
package deploy

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed docker-compose.yml grafana minio prometheus
var files embed.FS

// The shipped files, by their path in this folder.
const (
	Compose    = "docker-compose.yml"
	Prometheus = "prometheus/prometheus.yml"
	Alerts     = "prometheus/alerts.yml"
	Dashboard  = "grafana/firn.json"
)

// File is a shipped file. The path must be one of this folder's.
func File(path string) []byte {
	b, err := fs.ReadFile(files, path)
	if err != nil {
		panic(fmt.Sprintf("deploy: %v", err)) // the paths are constants of this program
	}
	return b
}

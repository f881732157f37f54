package broker

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// edges is who may import whom of our packages, with the reason for what
// the design's table does not say. Tests may import what they like.
var edges = map[string][]string{
	"record":                  {},
	"catalog":                 {"record"},
	"catalog/journal":         {"planted", "catalog", "tier/cold"},
	"ingest":                  {"planted", "record", "catalog"},
	"ingest/pump":             {"planted", "ingest", "catalog", "record", "tier", "tier/cold", "tier/hot", "tier/object"},
	"tier":                    {"record", "catalog", "tier/object", "tier/hot", "tier/cold"},
	"tier/press":              {"planted", "record", "catalog", "tier/object", "tier/hot", "tier/cold"}, // the write side of tier
	"tier/object":             {"record"},
	"tier/hot":                {"record"}, // names of partitions only
	"tier/cold":               {},
	"coord/group":             {"record", "catalog"},
	"coord":                   {"coord/group", "record", "catalog"},
	"kafka":                   {"record", "catalog", "coord/group"}, // docs/decisions/0002
	"replay":                  {"tier", "tier/cold", "tier/object", "catalog", "catalog/journal", "record"},
	"replay/salvage":          {"tier/cold", "tier/object", "catalog", "catalog/journal", "record"}, // a catalog from what is left
	"replay/audit":            {"tier", "tier/cold", "tier/cold/doctor", "tier/object", "catalog", "catalog/journal", "coord/group", "record"},
	"web":                     {"catalog", "record", "tier/cold", "tier/cold/trace", "ingest", "kafka", "web/cost"},
	"deploy":                  {},
	"gossip":                  {},
	"gossip/placement":        {},
	"web/cost":                {},
	"kafka/reach":             {},
	"broker/bubble":           {"tier/cold"}, // the network between brokers under test, and a gate before their bucket
	"broker/sim/fiber":        {},
	"broker/settings":         {"catalog"},                      // the one description of a config
	"localstack":              {"tier/cold", "tier/cold/minio"}, // makes the bucket by the one package that has minio-go
	"localstack/proc":         {},
	"localstack/faultproxy":   {"localstack"},
	"localstack/history":      {},
	"localstack/witness":      {"localstack/history"},
	"planted":                 {}, // bugs for the tests to see, in builds with its tag
	"localstack/cluster":      {"localstack", "localstack/proc"},
	"localstack/differential": {"localstack/proc"},
	"localstack/failover":     {"localstack", "localstack/cluster", "localstack/faultproxy", "localstack/proc"},
	"localstack/ring4":        {"localstack", "localstack/cluster", "localstack/faultproxy", "localstack/proc"},
	"localstack/bench":        {"localstack", "localstack/faultproxy", "localstack/proc", "tier/cold", "tier/cold/file", "tier/cold/open"},
	"localstack/scale":        {"localstack/proc", "record", "catalog", "catalog/journal", "gossip/placement", "tier/cold", "tier/cold/mem", "tier/press"}, // also measures the pure parts
	"tier/cold/mem":           {"tier/cold"},
	"tier/cold/file":          {"tier/cold"},
	"tier/cold/fault":         {"tier/cold", "tier/cold/trace"},
	"tier/cold/trace":         {"tier/cold"},
	"tier/cold/doctor":        {"tier/cold"},
	"tier/cold/s3":            {"tier/cold", "tier/cold/internal/s3wire"},
	"tier/cold/minio":         {"tier/cold", "tier/cold/internal/s3wire"},
	"tier/cold/coldtest":      {"tier/cold", "tier/cold/coldtest/s3server"},
}

// anything may be imported by these: they put the parts together.
var assemblers = []string{"broker", "broker/sim", "cmd/firn", "tier/cold/open"}

// once are libraries that one package imports.
var once = map[string]string{
	"github.com/dgraph-io/badger/v4":                 "tier/hot",
	"github.com/aws/aws-sdk-go-v2/service/s3":        "tier/cold/s3",
	"github.com/minio/minio-go/v7":                   "tier/cold/minio",
	"github.com/prometheus/client_golang/prometheus": "web",
	"github.com/spf13/cobra":                         "cmd/firn",
	"github.com/hashicorp/memberlist":                "gossip",
	"github.com/pierrec/lz4/v4":                      "record",
}

// pure packages do no I/O, start nothing, and ask no clock.
var pure = []string{"record", "catalog", "ingest", "coord/group", "tier/object", "localstack/history"}

func TestPackagesImportWhatTheDesignAllows(t *testing.T) {
	const module = "github.com/firnlog/firn/"
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for dec.More() {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := edges[name]
		free := slices.Contains(assemblers, name) || strings.Contains(name, "/internal/") || strings.HasSuffix(name, "s3server")
		if !known && !free {
			t.Errorf("%s is in no table of this test: say whom it may import", name)
		}
		for _, i := range p.Imports {
			if ours, ok := strings.CutPrefix(i, module); ok && !free && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which the design does not allow", name, ours)
			}
			if owner, ok := once[i]; ok && owner != name {
				t.Errorf("%s imports %s, which belongs to %s alone", name, i, owner)
			}
			if slices.Contains(pure, name) && slices.Contains([]string{"os", "net", "math/rand", "math/rand/v2", "crypto/rand", "log/slog"}, i) {
				t.Errorf("%s is pure and imports %s", name, i)
			}
		}
	}
}

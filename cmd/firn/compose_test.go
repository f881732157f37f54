package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	compose "github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/tier/cold/open"
)

const repository = "../.."

// composed is a compose project, and the contents of its configuration files by the
// service and the path where it finds them.
type composed struct {
	*types.Project
	t *testing.T
}

// load reads a compose file with compose's own library, which validates it against
// the compose specification.
func load(t *testing.T, file string) composed {
	t.Helper()
	o, err := compose.NewProjectOptions([]string{file}, compose.WithWorkingDirectory(filepath.Dir(file)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return composed{p, t}
}

// mounted is what a service finds at a path.
func (s composed) mounted(service, target string) []byte {
	s.t.Helper()
	for _, c := range s.Services[service].Configs {
		if c.Target != target {
			continue
		}
		f := s.Configs[c.Source]
		if f.Content != "" {
			return []byte(f.Content)
		}
		b, err := os.ReadFile(f.File)
		if err != nil {
			s.t.Fatal(err)
		}
		return b
	}
	s.t.Fatalf("%s finds nothing at %s", service, target)
	return nil
}

// environ is a service's environment.
func environ(s types.ServiceConfig) []string {
	var out []string
	for k, v := range s.Environment {
		out = append(out, k+"="+*v)
	}
	return out
}

// parsed is the command of this program that the arguments are, with its flags set;
// whatever the program would not understand fails the test.
func parsed(t *testing.T, args []string) (*cobra.Command, []string) {
	t.Helper()
	cmd, rest, err := newRoot(&globals{}).Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		rest = cmd.Flags().Args()
		err = cmd.ValidateArgs(rest)
	}
	if err != nil || !cmd.Runnable() {
		t.Fatalf("firn %q: %v", args, err)
	}
	return cmd, rest
}

// brokerSettings are the settings that a broker of the stack runs with, as the
// program would merge them.
func (s composed) brokerSettings(service types.ServiceConfig) *settings.Values {
	s.t.Helper()
	cmd, _ := parsed(s.t, service.Command)
	flags := settings.Source{Name: "flag", Values: map[string]string{}}
	sources := []settings.Source{flags, settings.Environment(environ(service))}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if _, ok := f.Value.(*settingValue); ok {
			flags.Values[strings.ReplaceAll(f.Name, "-", ".")] = f.Value.String()
		}
	})
	if config := cmd.Flags().Lookup("config").Value.String(); config != "" {
		path := filepath.Join(s.t.TempDir(), "firn.yaml")
		if err := os.WriteFile(path, s.mounted(service.Name, config), 0o600); err != nil {
			s.t.Fatal(err)
		}
		src, err := settings.File(path)
		if err != nil {
			s.t.Fatal(err)
		}
		sources = append(sources, src)
	}
	v, err := settings.New(sources...)
	if err != nil {
		s.t.Fatalf("%s: %v", service.Name, err)
	}
	return v
}

// brokers are the services that run brokers.
func (s composed) brokers() []types.ServiceConfig {
	var out []types.ServiceConfig
	for _, name := range slices.Sorted(maps.Keys(s.Services)) {
		if v := s.Services[name]; len(v.Command) > 0 && v.Command[0] == "broker" {
			out = append(out, v)
		}
	}
	return out
}

// flagOf is the value of a flag of another program: --name=value or --name value.
func flagOf(t *testing.T, args []string, name string) string {
	t.Helper()
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return v
		}
		if a == name && i+1 < len(args) {
			return args[i+1]
		}
	}
	t.Fatalf("no %s in %q", name, args)
	return ""
}

// stacks are the two forms of the compose file: as it lies here, and as generate
// prints it, alone in a folder.
func stacks(t *testing.T) map[string]composed {
	alone := filepath.Join(t.TempDir(), "docker-compose.yml")
	if err := os.WriteFile(alone, []byte(cli{t: t}.ok("generate", "compose")), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]composed{
		"docker-compose.yml": load(t, filepath.Join(repository, "docker-compose.yml")),
		"generate compose":   load(t, alone),
	}
}

func TestTheComposeFileRunsBrokersAsTheyAre(t *testing.T) {
	clearEnvironment(t)
	for name, s := range stacks(t) {
		t.Run(name, func(t *testing.T) {
			s.t = t
			bs := s.brokers()
			if len(bs) != 3 {
				t.Fatalf("%d brokers", len(bs))
			}
			nodes := map[string]bool{}
			for _, b := range bs {
				v := s.brokerSettings(b)
				if nodes[v.Get("node.id")] || v.Int("node.id") < 0 {
					t.Errorf("%s: node.id %s", b.Name, v.Get("node.id"))
				}
				nodes[v.Get("node.id")] = true
				s.checkListeners(b, v)
				if grace := time.Duration(*b.StopGracePeriod); grace <= v.Duration("drain.timeout.ms")+5*time.Second {
					t.Errorf("%s is killed after %v, and may drain for %v", b.Name, grace, v.Duration("drain.timeout.ms"))
				}
				if !slices.ContainsFunc(b.Volumes, func(m types.ServiceVolumeConfig) bool { return m.Target == v.Get("data.dir") }) || !b.ReadOnly {
					t.Errorf("%s: its data is on no volume: %s", b.Name, v.Get("data.dir"))
				}
				if c := b.DependsOn["bucket"].Condition; c != types.ServiceConditionCompletedSuccessfully {
					t.Errorf("%s starts before the bucket is made: %q", b.Name, c)
				}
				if host, port, err := net.SplitHostPort(v.Get("gossip")); err != nil || host != b.Hostname || port == "0" {
					t.Errorf("%s gossips at %s", b.Name, v.Get("gossip"))
				}
			}
		})
	}
}

// checkListeners: one listener for containers, at the service's name; one for the
// host, at localhost and the port that is published there. And the health check asks
// the one that is there.
func (s composed) checkListeners(b types.ServiceConfig, v *settings.Values) {
	s.t.Helper()
	bind, err := settings.ParseEndpoints(v.Get("listeners"))
	if err != nil {
		s.t.Fatal(err)
	}
	told, err := settings.ParseEndpoints(v.Get("advertised.listeners"))
	if err != nil {
		s.t.Fatal(err)
	}
	internal, ok := told.Of(v.Get("inter.broker.listener.name"))
	inside, _ := bind.Of(internal.Listener)
	if !ok || internal.Host != b.Name || b.Hostname != b.Name || internal.Port != inside.Port {
		s.t.Errorf("%s: containers are told %v, it listens at %v", b.Name, internal, inside)
	}
	published := map[uint32]string{} // by the container's port
	for _, p := range b.Ports {
		if p.HostIP != "127.0.0.1" {
			s.t.Errorf("%s publishes port %d to everybody", b.Name, p.Target)
		}
		published[p.Target] = p.Published
	}
	host, ok := told.Of("HOST")
	outside, _ := bind.Of("HOST")
	if !ok || host.Host != "localhost" || published[uint32(outside.Port)] != strconv.Itoa(host.Port) {
		s.t.Errorf("%s: the host is told %v, port %d is published as %q", b.Name, host, outside.Port, published[uint32(outside.Port)])
	}
	_, port, _ := net.SplitHostPort(v.Get("http"))
	n, _ := strconv.Atoi(port)
	if published[uint32(n)] == "" {
		s.t.Errorf("%s: http %s is not published", b.Name, v.Get("http"))
	}
	test := b.HealthCheck.Test
	if len(test) < 3 || test[0] != "CMD" || test[1] != imageEntrypoint(s.t) {
		s.t.Fatalf("%s: health check %q: want CMD %s …: there is no shell", b.Name, test, imageEntrypoint(s.t))
	}
	cmd, _ := parsed(s.t, test[2:])
	if got := cmd.Flags().Lookup("brokers").Value.String(); cmd.CommandPath() != "firn cluster health" || got != fmt.Sprintf("localhost:%d", inside.Port) {
		s.t.Errorf("%s: health check %q asks %s", b.Name, cmd.CommandPath(), got)
	}
	limit, err := time.ParseDuration(cmd.Flags().Lookup("timeout").Value.String())
	if err != nil || limit >= time.Duration(*b.HealthCheck.Timeout) {
		s.t.Errorf("%s: the health check is killed after %v, before its own %v", b.Name, *b.HealthCheck.Timeout, limit)
	}
}

func TestTheComposeFileMakesTheBucketThatBrokersUse(t *testing.T) {
	clearEnvironment(t)
	for name, s := range stacks(t) {
		t.Run(name, func(t *testing.T) {
			s.t = t
			bucket, minio := s.Services["bucket"], s.Services["minio"]
			cmd, args := parsed(t, bucket.Command)
			if cmd.CommandPath() != "firn doctor storage" || cmd.Flags().Lookup("create").Value.String() != "true" || bucket.Restart != "no" {
				t.Errorf("the bucket is made by %q, restart %q", bucket.Command, bucket.Restart)
			}
			at, err := open.Parse(args[0])
			if err != nil {
				t.Fatal(err)
			}
			_, port, err := net.SplitHostPort(flagOf(t, minio.Command, "--address"))
			if err != nil || at.Endpoint != net.JoinHostPort("minio", port) {
				t.Errorf("the bucket is looked for at %s, MinIO serves port %s", at.Endpoint, port)
			}
			for _, b := range s.brokers() {
				if v := s.brokerSettings(b); v.Get("store") != at.String() {
					t.Errorf("%s uses %s", b.Name, v.Get("store"))
				}
				s.checkCredentials(b, minio)
			}
			s.checkCredentials(bucket, minio)
			if c := bucket.DependsOn["minio"].Condition; c != types.ServiceConditionHealthy {
				t.Errorf("the bucket is made before MinIO serves: %q", c)
			}
			probe, err := url.Parse(minio.HealthCheck.Test[len(minio.HealthCheck.Test)-1])
			if err != nil || probe.Port() != port || probe.Path != "/minio/health/live" {
				t.Errorf("MinIO's health is asked at %v", probe)
			}
			if minio.Command[0] != "server" || !slices.ContainsFunc(minio.Volumes, func(m types.ServiceVolumeConfig) bool { return m.Target == minio.Command[1] }) {
				t.Errorf("MinIO keeps its data on no volume: %q", minio.Command)
			}
			for name, v := range minio.Environment {
				if !strings.HasPrefix(name, "MINIO_") || *v == "" {
					t.Errorf("MinIO has %s=%s", name, *v)
				}
			}
		})
	}
}

func (s composed) checkCredentials(of, minio types.ServiceConfig) {
	s.t.Helper()
	for ours, theirs := range map[string]string{"AWS_ACCESS_KEY_ID": "MINIO_ROOT_USER", "AWS_SECRET_ACCESS_KEY": "MINIO_ROOT_PASSWORD"} {
		if v := of.Environment[ours]; v == nil || *v != *minio.Environment[theirs] || len(*v) < 3 {
			s.t.Errorf("%s does not have MinIO's %s", of.Name, theirs)
		}
	}
	if len(*minio.Environment["MINIO_ROOT_PASSWORD"]) < 8 {
		s.t.Error("MinIO wants a password of 8 characters")
	}
}

func TestPrometheusAndGrafanaFindWhatTheyWatch(t *testing.T) {
	clearEnvironment(t)
	for name, s := range stacks(t) {
		t.Run(name, func(t *testing.T) {
			s.t = t
			prometheus := s.Services["prometheus"]
			config := flagOf(t, prometheus.Command, "--config.file")
			var p struct {
				Global struct {
					ScrapeInterval     string `yaml:"scrape_interval"`
					EvaluationInterval string `yaml:"evaluation_interval"`
				}
				RuleFiles     []string `yaml:"rule_files"`
				ScrapeConfigs []struct {
					JobName       string                       `yaml:"job_name"`
					MetricsPath   string                       `yaml:"metrics_path"`
					StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
				} `yaml:"scrape_configs"`
			}
			strict(t, s.mounted("prometheus", config), &p)
			for _, f := range p.RuleFiles {
				s.mounted("prometheus", path.Join(path.Dir(config), f))
			}
			var want []string
			for _, b := range s.brokers() {
				_, port, _ := net.SplitHostPort(s.brokerSettings(b).Get("http"))
				want = append(want, net.JoinHostPort(b.Name, port))
			}
			if got := p.ScrapeConfigs[0]; got.MetricsPath != "/metrics" || !slices.Equal(got.StaticConfigs[0].Targets, want) || got.JobName != "firn" {
				t.Errorf("scraped is %+v, want %v", got, want)
			}
			if !slices.ContainsFunc(prometheus.Volumes, func(m types.ServiceVolumeConfig) bool {
				return m.Target == flagOf(t, prometheus.Command, "--storage.tsdb.path")
			}) {
				t.Error("Prometheus keeps its data on no volume")
			}

			grafana := s.Services["grafana"]
			var sources struct {
				APIVersion  int `yaml:"apiVersion"`
				Datasources []struct {
					Name, UID, Type, Access, URL string
					IsDefault                    bool           `yaml:"isDefault"`
					JSONData                     map[string]any `yaml:"jsonData"`
				}
			}
			strict(t, s.mounted("grafana", "/etc/grafana/provisioning/datasources/prometheus.yml"), &sources)
			if got := sources.Datasources[0].URL; got != fmt.Sprintf("http://prometheus:%d", prometheus.Ports[0].Target) || !sources.Datasources[0].IsDefault {
				t.Errorf("Grafana asks %s", got)
			}
			var boards struct {
				APIVersion int `yaml:"apiVersion"`
				Providers  []struct {
					Name, Type string
					Options    struct{ Path string }
				}
			}
			strict(t, s.mounted("grafana", "/etc/grafana/provisioning/dashboards/firn.yml"), &boards)
			home := *grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
			if !json.Valid(s.mounted("grafana", home)) || boards.Providers[0].Options.Path != path.Dir(home) {
				t.Errorf("Grafana looks for dashboards in %s, the one is %s", boards.Providers[0].Options.Path, home)
			}
			for _, x := range []types.ServiceConfig{prometheus, grafana} {
				probe, err := url.Parse(x.HealthCheck.Test[len(x.HealthCheck.Test)-1])
				if err != nil || probe.Port() != fmt.Sprint(x.Ports[0].Target) {
					t.Errorf("%s: its health is asked at %v", x.Name, probe)
				}
			}
		})
	}
}

func strict(t *testing.T, text []byte, into any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func TestTheStackIsWholeAndPinned(t *testing.T) {
	clearEnvironment(t)
	all := stacks(t)
	for name, s := range all {
		ports := map[string]string{}
		for _, v := range s.Services {
			if v.Build == nil && !regexp.MustCompile(`:v?\d+\.\d+\.\d+$`).MatchString(v.Image) {
				t.Errorf("%s: %s: the image %s is not pinned", name, v.Name, v.Image)
			}
			if v.Build != nil && v.PullPolicy != types.PullPolicyNever {
				t.Errorf("%s: %s: the image %s is asked for in a registry before it is built", name, v.Name, v.Image)
			}
			if v.HealthCheck == nil && v.Name != "bucket" {
				t.Errorf("%s: %s has no health check", name, v.Name)
			}
			for _, p := range v.Ports {
				if other := ports[p.Published]; other != "" {
					t.Errorf("%s: %s and %s publish port %s", name, other, v.Name, p.Published)
				}
				ports[p.Published] = v.Name
			}
		}
		for _, n := range []string{"bucket", "broker-1", "broker-2", "broker-3"} {
			if v := s.Services[n]; v.Image != "firn" || !slices.Contains(v.CapDrop, "ALL") {
				t.Errorf("%s: %s is not Firn's image, or may do more than it needs", name, n)
			}
		}
	}
	here, alone := all["docker-compose.yml"], all["generate compose"]
	if here.Name != "firn" || alone.Name != "firn" {
		t.Errorf("projects %q, %q", here.Name, alone.Name)
	}
	for _, v := range here.Services {
		w := alone.Services[v.Name]
		if !slices.Equal(v.Command, w.Command) || !slices.Equal(slices.Sorted(slices.Values(environ(v))), slices.Sorted(slices.Values(environ(w)))) {
			t.Errorf("%s is another one when it is generated", v.Name)
		}
		for _, c := range v.Configs {
			if string(here.mounted(v.Name, c.Target)) != string(alone.mounted(v.Name, c.Target)) {
				t.Errorf("%s finds something else at %s when it is generated", v.Name, c.Target)
			}
		}
	}
	for name, f := range alone.Configs {
		if f.File != "" {
			t.Errorf("generated, the config %s is the file %s", name, f.File)
		}
	}
	root, _ := filepath.Abs(repository)
	if b := here.Services["broker-1"].Build; b.Context != root || b.Dockerfile != "Dockerfile" {
		t.Errorf("Firn's image is built from %s in %s", b.Dockerfile, b.Context)
	}
	if b := alone.Services["broker-1"].Build; b.Context != "https://github.com/firnlog/firn.git#main" {
		t.Errorf("generated, Firn's image is built from %s", b.Context)
	} else if v := b.Args["VERSION"]; v == nil || *v != "main" {
		t.Errorf("generated, Firn's image says that it is %v", v)
	}
	minio, err := os.ReadFile(filepath.Join(here.Services["minio"].Build.Context, "Dockerfile"))
	if err != nil || alone.Services["minio"].Build.DockerfileInline != string(minio) {
		t.Errorf("generated, MinIO's Dockerfile is another: %v", err)
	}
	if !regexp.MustCompile(`go install .* github.com/minio/minio@v0\.0\.0-20260212201848-7aac2a2c5b7c\n`).Match(minio) {
		t.Error("MinIO is not built from its pinned module")
	}
}

// A file that the compose file has inside is copied into the container: compose refuses to
// where the root is read-only, and some of its releases let only root read it if nothing
// is said of its mode.
func TestComposeCanPutEveryFileWhereItIsRead(t *testing.T) {
	clearEnvironment(t)
	for name, s := range stacks(t) {
		for _, v := range s.Services {
			for _, c := range v.Configs {
				if s.Configs[c.Source].Content == "" {
					continue
				}
				if v.ReadOnly {
					t.Errorf("%s: %s has a read-only root, and %s would be copied into it", name, v.Name, c.Target)
				}
				if c.Mode == nil || *c.Mode != 0o444 {
					t.Errorf("%s: %s is not sure to be allowed to read %s: mode %v", name, v.Name, c.Target, c.Mode)
				}
			}
		}
	}
}

// dockerfile is Firn's Dockerfile: the arguments of its instructions.
func dockerfile(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(b)) {
		if verb, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok && verb != "#" {
			out[verb] = append(out[verb], rest)
		}
	}
	return out
}

func imageEntrypoint(t *testing.T) string {
	t.Helper()
	var entry []string
	if err := json.Unmarshal([]byte(dockerfile(t)["ENTRYPOINT"][0]), &entry); err != nil || len(entry) != 1 {
		t.Fatalf("ENTRYPOINT %q: %v", entry, err)
	}
	return entry[0]
}

func TestTheImageRunsTheProgramAsItIs(t *testing.T) {
	clearEnvironment(t)
	d := dockerfile(t)
	var args []string
	if err := json.Unmarshal([]byte(d["CMD"][0]), &args); err != nil {
		t.Fatal(err)
	}
	cmd, _ := parsed(t, args)
	given := map[string]string{}
	cmd.Flags().Visit(func(f *pflag.Flag) { given[strings.ReplaceAll(f.Name, "-", ".")] = f.Value.String() })
	v, err := settings.New(settings.Source{Name: "CMD", Values: given})
	if err != nil || cmd.CommandPath() != "firn dev" {
		t.Fatalf("CMD %q: %v", args, err)
	}
	exposed := strings.Fields(d["EXPOSE"][0])
	at := map[string]string{}
	_, at["http"], _ = net.SplitHostPort(v.Get("http"))
	ls, err := settings.ParseEndpoints(v.Get("listeners"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range ls {
		at[l.String()] = strconv.Itoa(l.Port)
	}
	for what, port := range at {
		if !slices.Contains(exposed, port) {
			t.Errorf("%s is not exposed: %s", what, exposed)
		}
	}
	// The host reaches the container at localhost, other containers by its name, which the
	// image does not know.
	if told := v.Get("advertised.listeners"); told != "HOST://localhost:9092,INTERNAL://:29092" || len(ls) != 2 {
		t.Errorf("clients are told %s of %s", told, ls)
	}
	copies := strings.Join(d["COPY"], "\n")
	if !strings.Contains(copies, "--chown=65532:65532 /out/data "+v.Get("data.dir")) || !strings.Contains(copies, "/out/firn "+imageEntrypoint(t)) || d["USER"][0] != "65532:65532" {
		t.Errorf("the image cannot write its data, or is root's: %s, USER %s", copies, d["USER"])
	}
	if !strings.Contains(d["FROM"][1], "distroless/static") {
		t.Errorf("the image is made from %s", d["FROM"][1])
	}
	mod, err := os.ReadFile(filepath.Join(repository, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(mod))[1]
	if d["FROM"][0] != "golang:"+want+" AS build" {
		t.Errorf("built by %s, go.mod wants %s", d["FROM"][0], want)
	}
}

func TestGeneratePrintsWhatIsShipped(t *testing.T) {
	clearEnvironment(t)
	for verb, file := range map[string]string{"grafana": "grafana/firn.json", "prometheus": "prometheus/prometheus.yml", "alerts": "prometheus/alerts.yml"} {
		want, err := os.ReadFile(filepath.Join(repository, "deploy", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		cli{t: t}.prints(string(want), "generate", verb)
	}
	cli{t: t}.prints(settings.Example(), "generate", "config")
	cli{t: t}.fails(exitUsage, "takes no arguments", "generate", "config", "x")
	cli{t: t}.fails(exitUsage, `did you mean "grafana"?`, "generate", "grafan")
	for version, want := range map[string]string{"v1.2.3": "v1.2.3", "devel": "main", "v1.2.4-0.20260101000000-abcdef123456+dirty": "main"} {
		if got := revision(version); got != want {
			t.Errorf("%s is built from %s", version, got)
		}
	}
}

package settings

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

func TestTheTableIsSortedDocumentedAndItsDefaultsLegal(t *testing.T) {
	seen := map[string]string{}
	for i, s := range table {
		if i > 0 && table[i-1].Name >= s.Name {
			t.Errorf("%s stands before %s", table[i-1].Name, s.Name)
		}
		if err := s.Check(s.Default); err != nil {
			t.Errorf("default: %v", err)
		}
		if !strings.HasSuffix(s.Doc, ".") || !strings.HasSuffix(s.When, ".") {
			t.Errorf("%s: say in sentences what it does (%q) and who would change it, and when (%q)", s.Name, s.Doc, s.When)
		}
		if strings.ContainsAny(s.Name, "_-") || strings.ToLower(s.Name) != s.Name {
			t.Errorf("%s: its variable cannot be read back", s.Name)
		}
		for _, n := range []string{s.FlagName(), s.Alias} {
			if other, taken := seen[n]; taken && n != "" {
				t.Errorf("%s and %s are both called %q", s.Name, other, n)
			}
			seen[n] = s.Name
		}
	}
}

// sample is a legal value that is not the default.
func sample(s Spec) string {
	candidates := append([]string{"plaintext", "x:plaintext", "true", "false", "host:1234", "x"}, s.Values...)
	for n := int64(2); n < 1<<40; n *= 3 {
		candidates = append(candidates, strconv.FormatInt(n, 10))
	}
	for _, c := range candidates {
		if c != s.Default && s.Check(c) == nil {
			return c
		}
	}
	return ""
}

func TestEverySettingSurvivesEveryWayOfGivingIt(t *testing.T) {
	dir := t.TempDir()
	for _, s := range table {
		value := sample(s)
		if value == "" {
			t.Errorf("%s: no value but the default is legal", s.Name)
			continue
		}
		for _, name := range slices.DeleteFunc([]string{s.Name, s.Alias}, func(n string) bool { return n == "" }) {
			dotted := filepath.Join(dir, "dotted.yaml")
			nested := filepath.Join(dir, "nested.yaml")
			write(t, dotted, name+": "+quote(value)+"\n")
			var y strings.Builder
			parts := strings.Split(name, ".")
			for i, p := range parts {
				y.WriteString("\n" + strings.Repeat("  ", i) + p + ":")
			}
			write(t, nested, y.String()+" "+quote(value)+"\n")
			for way, src := range map[string]Source{
				"flag":        {Name: "flag", Values: map[string]string{strings.ReplaceAll(name, "-", "."): value}},
				"environment": Environment([]string{"FIRN_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_")) + "=" + value}),
				"dotted YAML": file(t, dotted),
				"nested YAML": file(t, nested),
			} {
				v, err := New(src)
				if err != nil {
					t.Errorf("%s as %s: %v", name, way, err)
				} else if got := v.Get(s.Name); got != value {
					t.Errorf("%s as %s is %q, want %q", name, way, got, value)
				}
			}
		}
	}
}

func quote(v string) string {
	if strings.ContainsAny(v, ":,") {
		return `"` + v + `"`
	}
	return v
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func file(t *testing.T, path string) Source {
	t.Helper()
	src, err := File(path)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestFlagsWinOverPairsOverEnvironmentOverFileOverDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "firn.yaml")
	write(t, path, "num:\n  partitions: 3\nnode.id: 3\nlog:\n  retention.ms: 3\nseal.interval.ms: 300\njoin: [a:1, b:2]\n")
	v, err := New(
		Source{Name: "flag", Values: map[string]string{"node.id": "1"}},
		Source{Name: "-X", Values: map[string]string{"node.id": "10", "num.partitions": "10"}},
		Environment([]string{"FIRN_NUM_PARTITIONS=2", "FIRN_NODE_ID=2", "FIRN_LOG_RETENTION_MS=2", "PATH=x", "FIRN_BROKERS=x:1", "FIRN_TEST_SEED=1"}, "FIRN_BROKERS"),
		file(t, path),
	)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"node.id": "1", "num.partitions": "10", "log.retention.ms": "2", "seal.interval.ms": "300", "join": "a:1,b:2", "http": "127.0.0.1:8080",
	} {
		if got := v.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := v.List("join"); !slices.Equal(got, []string{"a:1", "b:2"}) {
		t.Errorf("join is %q", got)
	}
	if _, set := v.Lookup("http"); set {
		t.Error("a default counts as set")
	}
}

func TestErrorsNameThePlaceAndSayWhatWouldBeRight(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, value, want string }{
		{"num.partition", "1", `unknown setting "num.partition"; did you mean "num.partitions"?`},
		{"num-partitions", "1", `did you mean "num.partitions"?`},
		{"retention.ms", "1", `did you mean "log.retention.ms"?`},
		{"zookeeper.connect", "x", "`firn help settings` lists them all"},
		{"log.retention.ms", "soon", "want a number from -1"},
		{"seal.bytes", "1", "want a number from 1048576 to 1073741824"},
		{"auto.create.topics.enable", "perhaps", "want true or false"},
		{"log.format", "xml", "want one of json, text"},
		{"log.cleanup.policy", "delete,burn", "want a list of delete, compact"},
		{"listeners", "9092", "want HOST:PORT, for example"},
		{"listeners", "SASL_SSL://0.0.0.0:9092", "SASL_SSL is not served, only PLAINTEXT"},
		{"listeners", "a:1,b:2", "several listeners are told apart by names"},
		{"listeners", "IN://a:1,in://b:2", "the listener IN stands there twice"},
		{"listeners", "IN://a:1,OUT://:1", "IN://a:1 and OUT://:1 are one port"},
		{"listeners", "://a:1", "want NAME://HOST:PORT"},
		{"listeners", "my broker://a:1", "is no name of a listener"},
		{"http", "a:1,b:2", "want one HOST:PORT"},
		{"http", "http://a:1", "want HOST:PORT without a protocol: a:1"},
		{"advertised.listeners", "IN://a:1,OUT://0.0.0.0:2", "OUT: 0.0.0.0 means every address of this machine"},
		{"listener.security.protocol.map", "IN:SSL", "SSL of IN is not served"},
		{"listener.security.protocol.map", "IN", "want NAME:PLAINTEXT"},
		{"listeners", "a:99999", "want a port from 0 to 65535"},
		{"advertised.listeners", "0.0.0.0:9092", "nobody can connect to that"},
		{"advertised.listeners", "host:0", "nobody can connect to that"},
		{"join", "a:1,b", "want HOST:PORT"},
	} {
		path := filepath.Join(dir, "firn.yaml")
		write(t, path, "# a comment\n"+c.name+`: "`+c.value+"\"\n")
		for where, src := range map[string]Source{
			"flag: ":      {Name: "flag", Values: map[string]string{c.name: c.value}},
			path + ":2: ": file(t, path),
		} {
			if _, err := New(src); err == nil || !strings.HasPrefix(err.Error(), where) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s=%s\n got %v\nwant %s… %s", c.name, c.value, err, where, c.want)
			}
		}
	}
	if _, err := New(Environment([]string{"FIRN_NUM_PARTITION=1"})); err == nil || !strings.Contains(err.Error(), "environment variable FIRN_NUM_PARTITION") {
		t.Errorf("environment: %v", err)
	}
	if _, err := New(Source{Name: "flag", Values: map[string]string{"rack": "a", "broker.rack": "b"}}); err == nil || !strings.Contains(err.Error(), "set twice") {
		t.Errorf("alias beside name: %v", err)
	}
	// T3: also where it does not count.
	if _, err := New(Source{Name: "flag", Values: map[string]string{"node.id": "1"}}, Environment([]string{"FIRN_NODE_ID=x"})); err == nil {
		t.Error("a bad value passes since a good one counts")
	}
}

func TestFilesThatAreNoConfigurationAreRefused(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"node.id: 1\nnode:\n  id: 2\n":        "firn.yaml:3: node.id is set twice, here and at " + dir,
		"node.id: 1\nnode.id: 2\n":            "firn.yaml:2: node.id is set twice",
		"node.id:\n":                          "firn.yaml:1: node.id has no value",
		"- a\n- b\n":                          "firn.yaml:1: want lines of the form name: value",
		"hello\n":                             "want lines of the form name: value",
		"a: &x [1]\nb: *x\n":                  "anchors and aliases are not supported",
		"a: &x\n  b: *x\n":                    "anchors and aliases are not supported",
		"join: [[1]]\n":                       "want a list of plain values",
		"? [a]\n: 1\n":                        "want the name of a setting before the colon",
		"node.id: 1\n---\nnode.id: 2\n":       "more than one document",
		"node.id: [1\n":                       "firn.yaml: yaml:",
		strings.Repeat("# comment\n", 200000): "larger than",
	} {
		path := filepath.Join(dir, "firn.yaml")
		write(t, path, text)
		if _, err := File(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "{}\n"} {
		path := filepath.Join(dir, "firn.yaml")
		write(t, path, text)
		if src, err := File(path); err != nil || len(src.Values) > 0 {
			t.Errorf("%q: %v %v", text, src.Values, err)
		}
	}
	if _, err := File(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Error(err)
	}
}

func TestYAMLValuesAreTakenAsTheyAreWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "firn.yaml")
	write(t, path, "num.partitions: 012\nbroker.rack: 1e3\nlog.retention.ms: 9223372036854775807\n")
	v, err := New(file(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if v.Int("num.partitions") != 12 || v.Get("broker.rack") != "1e3" || v.Int("log.retention.ms") != maxLong {
		t.Errorf("%v", v.set)
	}
	if d := v.Duration("log.retention.ms"); d < 200*365*24*time.Hour {
		t.Errorf("for ever is %v", d)
	}
}

func TestKafkasUnitsOfTimeComeToMilliseconds(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want int64
	}{
		{nil, 604800000},
		{[]string{"FIRN_LOG_RETENTION_HOURS=1"}, 3600000},
		{[]string{"FIRN_LOG_RETENTION_HOURS=1", "FIRN_LOG_RETENTION_MINUTES=1"}, 60000},
		{[]string{"FIRN_LOG_RETENTION_HOURS=1", "FIRN_LOG_RETENTION_MINUTES=1", "FIRN_LOG_RETENTION_MS=1"}, 1},
		{[]string{"FIRN_LOG_RETENTION_HOURS=-1"}, -1},
	} {
		v, err := New(Environment(c.env))
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Int("log.retention.ms"); got != c.want {
			t.Errorf("%v: %d, want %d", c.env, got, c.want)
		}
	}
}

// A flag wins over the file also where the file says the same thing in another unit.
func TestAUnitOfAWeakerSourceDoesNotWin(t *testing.T) {
	source := func(name, key, value string) Source { return Source{Name: name, Values: map[string]string{key: value}} }
	v, err := New(source("flag", "log.retention.hours", "1"), source("file", "log.retention.ms", "5"), source("default", "log.roll.hours", "2"))
	if err != nil {
		t.Fatal(err)
	}
	if v.Int("log.retention.ms") != 3_600_000 || v.Int("log.roll.ms") != 7_200_000 {
		t.Errorf("retention %d ms, roll %d ms", v.Int("log.retention.ms"), v.Int("log.roll.ms"))
	}
	if v, err = New(source("flag", "log.retention.ms", "5"), source("file", "log.retention.minutes", "1")); err != nil || v.Int("log.retention.ms") != 5 {
		t.Errorf("%d ms: %v", v.Int("log.retention.ms"), err)
	}
}

func TestServiceLinksOfAnOrchestratorAreNoSettings(t *testing.T) {
	v, err := New(Environment([]string{
		"FIRN_SERVICE_HOST=10.0.0.1", "FIRN_SERVICE_PORT=9092", "FIRN_SERVICE_PORT_KAFKA=9092", "FIRN_PORT=tcp://10.0.0.1:9092",
		"FIRN_PORT_9092_TCP=tcp://10.0.0.1:9092", "FIRN_PORT_9092_TCP_ADDR=10.0.0.1", "FIRN_PORT_9092_TCP_PORT=9092", "FIRN_PORT_9092_TCP_PROTO=tcp",
		"FIRN_HEADLESS_SERVICE_HOST=None", "FIRN_HEADLESS_PORT=x",
	}))
	if err != nil || len(v.set) != 0 {
		t.Fatal(err, v)
	}
}

func TestNoErrorRepeatsWhatMayBeASecret(t *testing.T) {
	// T4: the store's URL is judged by whoever opens it; here it must pass unseen.
	const url = "s3://AKIAEXAMPLE:hunter2@bucket/x"
	_, err := New(Source{Name: "flag", Values: map[string]string{"store": url, "stores": url}})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	for _, s := range table {
		if s.Secret && s.check != nil && strings.Contains(s.Check("hunter2").Error(), "hunter2") {
			t.Errorf("%s repeats its value", s.Name)
		}
	}
}

func TestWhatToolsAlterAndHasNothingToSteerIsTaken(t *testing.T) {
	for name, value := range map[string]string{
		"log.cleaner.backoff.ms": "15001", "log.cleaner.threads": "2", "log.flush.interval.messages": "1234", "log.flush.interval.ms": "1000",
		"log.roll.ms": "3600000", "unclean.leader.election.enable": "true",
	} {
		s, ok := Find(name)
		if !ok || !s.Dynamic || s.Check(value) != nil || !strings.Contains(s.Doc, "Accepted") {
			t.Errorf("%s: known %v, live %v, value %v: %s", name, ok, s.Dynamic, s.Check(value), s.Doc)
		}
	}
}

func TestAnUnknownNameIsABugOfTheCaller(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	v, _ := New()
	v.Int("no.such.setting")
}

// The page is made from the table: go test ./broker/settings -update.
func TestDocumentationIsCurrent(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "configuration.md")
	var b strings.Builder
	if err := WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		write(t, path, b.String())
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != b.String() {
		t.Errorf("%s is not current (%v): go test ./broker/settings -update", path, err)
	}
	for line := range strings.Lines(Help()) {
		if n := len([]rune(line)); n > 110 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
}

func TestListenersFitEachOther(t *testing.T) {
	for _, c := range []struct {
		values map[string]string
		want   string
	}{
		{map[string]string{"listeners": "IN://a:1,OUT://a:2", "advertised.listeners": "out://x:3,in://y:4", "inter.broker.listener.name": "out"}, ""},
		{map[string]string{"listeners": "IN://a:1"}, ""},
		{map[string]string{"listeners": "PLAINTEXT://a:1", "advertised.listeners": "b:1"}, ""},
		{map[string]string{"listeners": "IN://a:1,OUT://a:2", "advertised.listeners": "IN://:1,OUT://x:3"}, ""},
		{map[string]string{"listeners": "IN://a:1,OUT://a:2", "advertised.listeners": "IN://x:3"}, "it has no address for the listener OUT"},
		{map[string]string{"listeners": "a:1", "advertised.listeners": "IN://x:3"}, "there is no listener IN: listeners has PLAINTEXT"},
		{map[string]string{"listeners": "IN://a:1", "inter.broker.listener.name": "OUT"}, "there is no listener OUT: listeners has IN"},
	} {
		_, err := New(Source{Name: "flag", Values: c.values})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.values, err, c.want)
		}
	}
}

func TestEndpointsAreReadAsTheyPrint(t *testing.T) {
	for text, want := range map[string]string{
		"a:1": "a:1", "PLAINTEXT://a:1": "a:1", "plaintext://a:1, Out://[::1]:2": "PLAINTEXT://a:1,OUT://[::1]:2", "X_1://:9": "X_1://:9",
	} {
		es, err := ParseEndpoints(text)
		if err != nil || es.String() != want {
			t.Errorf("%s: %q, %v, want %q", text, es, err, want)
			continue
		}
		if again, err := ParseEndpoints(es.String()); err != nil || again.String() != want {
			t.Errorf("%s: read again as %q, %v", text, again, err)
		}
	}
}

// The example is read as it stands, and with every setting switched on.
func TestTheExampleSetsTheDefaults(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "firn.yaml")
	write(t, path, Example())
	if src := file(t, path); len(src.Values) != 0 {
		t.Errorf("it sets %v", src.Values)
	}
	var on strings.Builder
	for line := range strings.Lines(Example()) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
			line = line[1:]
		}
		on.WriteString(line)
	}
	write(t, path, on.String())
	src := file(t, path)
	if len(src.Values) != len(table) {
		t.Errorf("%d settings of %d", len(src.Values), len(table))
	}
	for _, s := range table {
		if src.Values[s.Name] != s.Default {
			t.Errorf("%s is %q, the default is %q", s.Name, src.Values[s.Name], s.Default)
		}
	}
	if _, err := New(src); err != nil {
		t.Error(err)
	}
}

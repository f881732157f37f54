package settings

import (
	"regexp"
	"slices"
	"strings"
)

const envPrefix = "FIRN_"

// serviceLink matches what Kubernetes and Docker set for a service that is named
// firn or firn-…: FIRN_SERVICE_HOST, FIRN_PORT, FIRN_PORT_9092_TCP_ADDR. A broker
// that took them for settings would not start in its own namespace.
var serviceLink = regexp.MustCompile(`^FIRN_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)$`)

// Environment reads FIRN_… variables out of environ, which is as os.Environ
// gives it. Variables of others, such as FIRN_BROKERS of the client commands, are
// left out, and so are those of service links and FIRN_TEST_….
func Environment(environ []string, others ...string) Source {
	src := Source{Name: "environment", Values: map[string]string{}, At: map[string]string{}}
	for _, kv := range environ {
		k, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(k, envPrefix) || strings.HasPrefix(k, "FIRN_TEST_") || slices.Contains(others, k) {
			continue
		}
		name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(k, envPrefix), "_", "."))
		if _, ok := Find(canonical(name)); !ok && serviceLink.MatchString(k) {
			continue
		}
		src.Values[name] = value
		src.At[name] = "environment variable " + k
	}
	return src
}

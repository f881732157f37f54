package kafka

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const keyApiVersions = 18

// ApiVersions (18): what this broker serves. It comes from the table (K5).
//
//   - An unknown version is answered in version 0 with UNSUPPORTED_VERSION and our
//     range of ApiVersions, and the connection stays (KIP-511, kafka.md 1).
//   - The answer's header is always version 0 (kafka.md 2).
//   - v3+ names the client's software, which must be well-formed (KIP-511).
//   - No feature is finalised: without transaction.version 2, clients use the
//     transaction protocol of before KIP-890 (kafka.md 1.1), without group.version
//     the classic group protocol. Nothing is claimed that is not there.
//   - v5 (a client states which node it expects) is not in a released Kafka yet.
func apiApiVersions() api {
	return api{
		key: keyApiVersions, name: "ApiVersions", min: 0, max: 4,
		shape: parseShape(3, `software:str@3+ version:str@3+`),
		serve: func(_ context.Context, n *node, c *call) answer {
			return answer{response: n.apiVersions(c)}
		},
	}
}

func (n *node) apiVersions(c *call) *kmsg.ApiVersionsResponse {
	r := kmsg.NewPtrApiVersionsResponse()
	own := n.table[keyApiVersions]
	if c.request == nil {
		r.ErrorCode = int16(codeUnsupportedVersion)
		r.ApiKeys = []kmsg.ApiVersionsResponseApiKey{own.versions()}
		return r
	}
	r.Version = c.version
	if q := c.request.(*kmsg.ApiVersionsRequest); c.version >= 3 && !(software(q.ClientSoftwareName) && software(q.ClientSoftwareVersion)) {
		r.ErrorCode = int16(codeInvalidRequest)
		return r
	}
	for _, a := range n.table {
		r.ApiKeys = append(r.ApiKeys, a.versions())
	}
	slices.SortFunc(r.ApiKeys, func(a, b kmsg.ApiVersionsResponseApiKey) int { return cmp.Compare(a.ApiKey, b.ApiKey) })
	return r
}

func (a *api) versions() kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = a.key, a.min, a.max
	if a.fromZero {
		k.MinVersion = 0
	}
	return k
}

// software says whether s may be the name or version of a client's software:
// letters, digits, '-' and '.', the latter two not at the ends.
func software(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case (c == '-' || c == '.') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}

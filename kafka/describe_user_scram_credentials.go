package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeUserScramCredentials (50): there are none, and AlterUserScramCredentials,
// which would set some, is not in the table. Asked for all users it says so with an empty
// list, which is what kafka-configs --describe --entity-type users needs; asked for one, as
// Kafka does, with RESOURCE_NOT_FOUND.
func apiDescribeUserScramCredentials() api {
	return api{
		key: 50, name: "DescribeUserScramCredentials", min: 0, max: 0,
		shape: parseShape(0, `users:[ name:str ]?`),
		serve: on((*node).describeUserScramCredentials),
	}
}

func (n *node) describeUserScramCredentials(_ context.Context, _ *call, q *kmsg.DescribeUserSCRAMCredentialsRequest) *kmsg.DescribeUserSCRAMCredentialsResponse {
	r := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	r.ErrorMessage = new(string)
	r.Results = []kmsg.DescribeUserSCRAMCredentialsResponseResult{}
	times := map[string]int{}
	for _, u := range q.Users {
		times[u.Name]++
	}
	for i, u := range q.Users {
		if slices.ContainsFunc(q.Users[:i], func(v kmsg.DescribeUserSCRAMCredentialsRequestUser) bool { return v.Name == u.Name }) {
			continue
		}
		x := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		x.User, x.CredentialInfos = u.Name, []kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo{}
		fault := codeResourceNotFound.because("Attempt to describe a user credential that does not exist: %s", u.Name)
		if times[u.Name] > 1 {
			fault = codeDuplicateResource.because("Cannot describe SCRAM credentials for the same user twice in a single request: %s", u.Name)
		}
		x.ErrorCode, x.ErrorMessage = int16(codeOf(fault)), message(fault)
		r.Results = append(r.Results, x)
	}
	return r
}

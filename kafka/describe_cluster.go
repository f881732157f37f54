package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeCluster (60): who is there (KIP-700). v1 endpoint types (KIP-919): only
// brokers; there are no controllers to talk to. v2 fenced brokers: none, ever.
func apiDescribeCluster() api {
	return api{
		key: 60, name: "DescribeCluster", min: 0, max: 2,
		shape: parseShape(0, `operations:bool endpoint:i8@1+ fenced:bool@2+`),
		serve: on((*node).describeCluster),
	}
}

const (
	endpointBrokers     = 1
	endpointControllers = 2
)

func (n *node) describeCluster(_ context.Context, c *call, q *kmsg.DescribeClusterRequest) *kmsg.DescribeClusterResponse {
	v := n.viewBy(c.listener)
	r := kmsg.NewPtrDescribeClusterResponse()
	r.ClusterAuthorizedOperations = operationsUnknown
	r.Brokers = []kmsg.DescribeClusterResponseBroker{}
	if c.version >= 1 && q.EndpointType != endpointBrokers {
		code, why := codeUnsupportedEndpointType, "unknown endpoint type"
		if q.EndpointType == endpointControllers {
			code, why = codeMismatchedEndpointType, "this is a broker; there are no controllers"
		}
		r.ErrorCode, r.ErrorMessage = int16(code), &why
		return r
	}
	r.ClusterID, r.ControllerID = v.ClusterID(), v.controller()
	for _, b := range v.brokers {
		rb := kmsg.NewDescribeClusterResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack = b.Node, b.Host, b.Port, orNull(b.Rack)
		r.Brokers = append(r.Brokers, rb)
	}
	if q.IncludeClusterAuthorizedOperations {
		r.ClusterAuthorizedOperations = clusterOperations
	}
	return r
}

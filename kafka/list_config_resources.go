package kafka

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListConfigResources (74): what has configs (KIP-1142): topics and brokers.
// v0, ListClientMetricsResources, asks for those of client metrics
// alone, of which there are none.
func apiListConfigResources() api {
	return api{
		key: 74, name: "ListConfigResources", min: 0, max: 1,
		shape: parseShape(0, `types:[i8]@1+`),
		serve: on((*node).listConfigResources),
	}
}

// resourceTypes are those that Kafka knows. Groups and client metrics have no configs
// here, and no resource; nor have loggers.
var resourceTypes = []kmsg.ConfigResourceType{
	kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger,
	kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig,
}

func (n *node) listConfigResources(_ context.Context, c *call, q *kmsg.ListConfigResourcesRequest) *kmsg.ListConfigResourcesResponse {
	r := kmsg.NewPtrListConfigResourcesResponse()
	r.ConfigResources = []kmsg.ListConfigResourcesResponseConfigResource{}
	if c.version == 0 {
		return r
	}
	for _, kind := range q.ResourceTypes {
		if !slices.Contains(resourceTypes, kmsg.ConfigResourceType(kind)) {
			r.ErrorCode = int16(codeUnsupportedVersion)
			return r
		}
	}
	v := n.view()
	add := func(kind kmsg.ConfigResourceType, name string) {
		if len(q.ResourceTypes) > 0 && !slices.Contains(q.ResourceTypes, int8(kind)) {
			return
		}
		rr := kmsg.NewListConfigResourcesResponseConfigResource()
		rr.Name, rr.Type = name, int8(kind)
		r.ConfigResources = append(r.ConfigResources, rr)
	}
	for _, t := range v.Topics() {
		add(kmsg.ConfigResourceTypeTopic, t.Name)
	}
	for _, b := range v.brokers {
		add(kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(b.Node)))
	}
	return r
}

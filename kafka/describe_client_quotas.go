package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeClientQuotas (48): there are none, and AlterClientQuotas, which would set
// some, is not in the table.
func apiDescribeClientQuotas() api {
	return api{
		key: 48, name: "DescribeClientQuotas", min: 0, max: 1,
		shape: parseShape(1, `components:[ entity:str match:i8 value:str? ] strict:bool`),
		serve: on((*node).describeClientQuotas),
	}
}

func (n *node) describeClientQuotas(context.Context, *call, *kmsg.DescribeClientQuotasRequest) *kmsg.DescribeClientQuotasResponse {
	r := kmsg.NewPtrDescribeClientQuotasResponse()
	r.Entries = []kmsg.DescribeClientQuotasResponseEntry{}
	return r
}

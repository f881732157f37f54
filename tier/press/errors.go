package press

import "errors"

// ErrNotLed is what a Writer says of the producers of a partition that this broker
// does not lead (P4).
var ErrNotLed = errors.New("partition is not led by this broker")

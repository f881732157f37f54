package bubble

import (
	"testing"
	"time"
)

func TestThreeBrokersServeOneLogInPeace(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		x := c.begin(t, 1, 4)
		time.Sleep(30 * time.Second)
		x.judge()
	})
}

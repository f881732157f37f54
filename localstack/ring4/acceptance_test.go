//go:build ring4

package ring4

import (
	"fmt"
	"testing"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/open"
)

// TestDriversKeepTheirPromisesOnARealStore puts both drivers through what every driver
// passes, with a store behind them that nobody here has written.
func TestDriversKeepTheirPromisesOnARealStore(t *testing.T) {
	needStore(t)
	for name, url := range map[string]string{
		"minio": "minio://%s/firn/%s",
		"s3":    "s3://firn/%[2]s?endpoint=http://%[1]s&path_style=true",
	} {
		t.Run(name, func(t *testing.T) {
			coldtest.Acceptance(t, func(t *testing.T) func() cold.Store {
				prefix := fmt.Sprintf("acceptance-%d", time.Now().UnixNano())
				return func() cold.Store {
					s, _, err := open.Open(t.Context(), fmt.Sprintf(url, realStore.Addr(), prefix), open.Options{})
					if err != nil {
						t.Fatal(err)
					}
					return s
				}
			})
		})
	}
}

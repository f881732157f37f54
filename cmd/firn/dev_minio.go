package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/localstack"
)

const (
	minioAddress = "127.0.0.1:9000" // MinIO's usual port
	devBucket    = "firn"
)

// startMinIO starts the bucket of --minio and gives this process the keys to it.
func (d *dev) startMinIO(cmd *cobra.Command) (*localstack.Store, error) {
	s, err := localstack.Start(cmd.Context(), localstack.MinIO, localstack.Options{
		Dir: d.storeFolder, Addr: d.storeAt, Bucket: devBucket,
		Building: func() {
			fmt.Fprintln(cmd.ErrOrStderr(), "Building MinIO from its Go module: once, a few minutes.")
		},
	})
	if err != nil {
		return nil, err
	}
	for _, kv := range localstack.Env() {
		name, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(name, value); err != nil {
			s.Close()
			return nil, fmt.Errorf("keys of MinIO: %w", err)
		}
	}
	return s, nil
}

package minio

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/firnlog/firn/tier/cold"
)

// searchLimit bounds the first look for credentials.
const searchLimit = 15 * time.Second

// chain returns the standard AWS sources that minio-go knows, in Amazon's order,
// after they have yielded once.
func chain(ctx context.Context) (*credentials.Credentials, error) {
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	if os.Getenv("AWS_EC2_METADATA_DISABLED") != "true" || os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" ||
		os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "" || os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" {
		providers = append(providers, &credentials.IAM{})
	}
	c := credentials.New(&strict{credentials.Chain{Providers: providers}})
	// Away from Amazon nothing answers at the address of the metadata service.
	ctx, cancel := context.WithTimeout(ctx, searchLimit)
	defer cancel()
	_, err := c.GetWithContext(&credentials.CredContext{Client: http.DefaultClient, Context: ctx})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// strict is a chain that fails where minio-go's goes on without a signature: an
// anonymous request to a bucket that allows it would be a put by nobody.
type strict struct{ credentials.Chain }

func (s *strict) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	return s.check(s.Chain.RetrieveWithCredContext(cc))
}

// Retrieve is for versions of the interface before contexts.
func (s *strict) Retrieve() (credentials.Value, error) { return s.check(s.Chain.Retrieve()) }

func (s *strict) check(v credentials.Value, err error) (credentials.Value, error) {
	if err == nil && (v.AccessKeyID == "" || v.SecretAccessKey == "" || v.SignerType.IsAnonymous()) {
		err = fmt.Errorf("%w: found no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role", cold.ErrDenied)
	}
	return v, err
}

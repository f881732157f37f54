package localstack

import (
	"net"
	"path/filepath"
)

// Kind is a sort of store that this package can run.
type Kind struct {
	name    string
	module  string // of the program
	pkg     string // its main package
	version string
	health  string // path that answers 200 when it serves

	environment []string
	// folders are made below the store's folder before it starts.
	folders []string
	args    func(dir, addr string) []string
}

// AccessKey and SecretKey open every store of this package. They guard nothing:
// it listens at the loopback alone.
const (
	AccessKey = "firn-local"
	SecretKey = "firn-local-secret"
)

// Env is what a program needs in its environment to open a store of this package.
func Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey}
}

// MinIO is the last public state of MinIO's module, which holds the repair of its
// conditional puts under a lost read quorum that no release has.
var MinIO = Kind{
	name:        "minio",
	module:      "github.com/minio/minio",
	pkg:         "github.com/minio/minio",
	version:     "v0.0.0-20260212201848-7aac2a2c5b7c",
	health:      "/minio/health/ready",
	environment: []string{"MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off"},
	folders:     []string{"objects"},
	args: func(dir, addr string) []string {
		return []string{"server", filepath.Join(dir, "objects"), "--address", addr, "--quiet"}
	},
}

// Versitygw is an S3 gateway before a folder. Its conditional puts are atomic from
// this version on, and survive a kill where the folder's file system has extended
// attributes: there an object appears together with its ETag. Elsewhere ETags are
// files beside it, written first, and a kill in between leaves a name that answers
// 412 to every conditional put and 404 to every read. What it has of a body when the
// sender dies is an object to it, unless a checksum came with the put.
var Versitygw = Kind{
	name:        "versitygw",
	module:      "github.com/versity/versitygw",
	pkg:         "github.com/versity/versitygw/cmd/versitygw",
	version:     "v1.8.0",
	health:      "/health",
	environment: []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey},
	folders:     []string{"objects", "attributes", "accounts"},
	args: func(dir, addr string) []string {
		_, port, _ := net.SplitHostPort(addr)
		objects := filepath.Join(dir, "objects")
		args := []string{
			"--port", net.JoinHostPort("127.0.0.1", port), "--health", "/health", "--quiet", "--iam-dir", filepath.Join(dir, "accounts"),
			"posix",
		}
		if !hasAttributes(objects) {
			args = append(args, "--sidecar", filepath.Join(dir, "attributes"))
		}
		return append(args, objects)
	},
}

// ByName is the kind of that name: minio or versitygw.
func ByName(name string) (Kind, bool) {
	for _, k := range []Kind{MinIO, Versitygw} {
		if k.name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// String is its name.
func (k Kind) String() string { return k.name }

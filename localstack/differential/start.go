package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/firnlog/firn/localstack/proc"
)

//go:embed pom.xml
var pom []byte

// kafka is a Kafka that this program started.
type kafka struct {
	addr string
	cmd  *exec.Cmd
}

const kafkaProperties = `process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
`

// classpath is that of Kafka's jars, which mvn keeps where it keeps jars.
func classpath(ctx context.Context, dir string) (string, error) {
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=classpath")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch Kafka's jars with mvn: %w\n%s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "classpath"))
	return strings.TrimSpace(string(b)), err
}

// startKafka starts a Kafka in a folder and returns when it answers.
func startKafka(ctx context.Context, dir string) (*kafka, error) {
	cp, err := classpath(ctx, dir)
	if err != nil {
		return nil, err
	}
	port, controller, err := freePorts()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "kafka.properties")
	if err := os.WriteFile(config, fmt.Appendf(nil, kafkaProperties, port, controller, filepath.Join(dir, "kafka")), 0o600); err != nil {
		return nil, err
	}
	tool := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "java", append([]string{"-cp", cp, "kafka.tools.StorageTool"}, args...)...).Output()
		if err != nil {
			return "", fmt.Errorf("kafka.tools.StorageTool %s: %w", args[0], err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	id, err := tool("random-uuid")
	if err != nil {
		return nil, err
	}
	if _, err := tool("format", "-t", id, "-c", config, "--standalone"); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "kafka.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	k := &kafka{addr: fmt.Sprintf("127.0.0.1:%d", port)}
	k.cmd = exec.Command("java", "-Xmx1g", "-XX:+UseSerialGC", "-cp", cp, "kafka.Kafka", config)
	k.cmd.Stdout, k.cmd.Stderr = log, log
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		if _, _, err = speak(k.addr, k.addr); err == nil {
			return k, nil
		}
	}
	k.stop()
	return nil, errors.Join(errors.New("kafka does not answer"), err, ctx.Err())
}

func (k *kafka) stop() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
}

// startFirn builds and starts a Firn on a bucket in a folder.
func startFirn(ctx context.Context, dir string) (*proc.Broker, error) {
	bin, err := proc.Build(ctx, dir)
	if err != nil {
		return nil, err
	}
	return proc.Start(ctx, os.Stderr, bin, "--store", "file://"+filepath.Join(dir, "bucket"), "--data-dir", filepath.Join(dir, "hot"),
		"--listeners", "127.0.0.1:0", "--http", "127.0.0.1:0", "-X", "group.initial.rebalance.delay.ms=0")
}

// freePorts finds two ports that nobody listens on.
func freePorts() (int, int, error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer a.Close()
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer b.Close()
	return a.Addr().(*net.TCPAddr).Port, b.Addr().(*net.TCPAddr).Port, nil
}

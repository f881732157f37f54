package main

import (
	"regexp"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/deploy"
)

// newGenerate prints the files that Firn ships for its operators.
func newGenerate() *cobra.Command {
	shipped := func(use, short, long, path string) *cobra.Command {
		return generator(use, short, long, func() ([]byte, error) { return deploy.File(path), nil })
	}
	return newGroup("generate", "Print files for operators: dashboard, alerts, compose, configuration",
		shipped("grafana", "A dashboard for Grafana", "Print a dashboard for Grafana: import it, or put it where Grafana is provisioned from.\nIt asks for its Prometheus itself.", deploy.Dashboard),
		shipped("prometheus", "A scrape configuration for Prometheus", "Print a configuration for Prometheus that scrapes three brokers: change the targets to\nthe --http addresses of yours. It loads the rules of `firn generate alerts`.", deploy.Prometheus),
		shipped("alerts", "Alert rules for Prometheus", "Print alert rules for Prometheus. Each says what it means and what to do.", deploy.Alerts),
		generator("compose", "A stack for docker compose, in one file", "Print a compose file of three brokers on a MinIO with Prometheus and Grafana. It needs\nnothing beside it:\n\n  firn generate compose > docker-compose.yml && docker compose up", func() ([]byte, error) { return deploy.Standalone(revision(programVersion())) }),
		generator("config", "A configuration file with every setting", "Print a YAML file for --config: every setting with its default, commented out, and what\nit is for.", func() ([]byte, error) { return []byte(settings.Example()), nil }),
	)
}

func generator(use, short, long string, text func() ([]byte, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: noArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := text()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
}

var released = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)

// revision is what of the repository makes this program.
func revision(version string) string {
	if released.MatchString(version) {
		return version
	}
	return "main"
}

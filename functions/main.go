package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"carillon/shared/aws"
	"carillon/shared/azure"
	"carillon/shared/cli"
	pipelines "carillon/shared/pipeline/local"
)

// version is set by the linker when a release is packaged.
var version = "dev"

func main() {
	pipelines.RunChild() // does not return in a process that is to become a step of a local run
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if port, ok := os.LookupEnv(azure.PortVariable); ok {
		os.Exit(onAzure(ctx, port))
	}
	if _, ok := os.LookupEnv(aws.RuntimeVariable); ok {
		fmt.Fprintln(os.Stderr, "carillon: this version has no store and no queues on AWS yet; run it on Azure Functions or on a plain machine")
		os.Exit(1)
	}
	root := cli.Root(version, serveCommand(), backupCommand())
	root.SetContext(ctx)
	code := cli.Main(root, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func serveCommand() *cobra.Command {
	var data, address string
	var example bool
	command := &cobra.Command{
		Use:   "serve",
		Short: "Run the scheduler on this machine: API, page, clock and local pipelines",
		Long: `Run the scheduler on this machine until it is interrupted.

Everything is kept in one folder (--data): state/ has the schedules and runs, pipelines/ the local pipelines
(one YAML file each), runs/ the output. One process at a time may use it.

When it is stopped (Ctrl-C, SIGTERM) local runs that are under way are ended within some seconds and recorded as
Interrupted; they are not run again. Queued ones run after the next start.

Settings by environment:
  CARILLON_DATA, CARILLON_LISTEN    as --data and --listen
  CARILLON_RUNS_AT_ONCE             local runs under way (4)
  CARILLON_OUTPUT_LIMIT             bytes that are kept of a step's output (10485760)
  CARILLON_RETENTION                how long ended runs are kept (90d)
  CARILLON_LOG_LEVEL                debug, info, warn or error (info)
  CARILLON_KEY_LIST, CARILLON_KEY_OPERATE, CARILLON_KEY_AUTHOR
                                    keys for callers by right; required on an address that other machines can reach
  CARILLON_DATASTORES               containers to watch: NAME=CONNECTION/container, with commas between
  CARILLON_FACADE                   v1 ids that stand for schedules: GUID=schedule, with commas between
  CARILLON_AZUREML_SUBSCRIPTION, CARILLON_AZUREML_RESOURCE_GROUP, CARILLON_AZUREML_WORKSPACE, CARILLON_AZUREML_REGION
                                    the workspace whose pipelines are run
  CARILLON_AZUREML_CLOUD            public, china or government (public)
  CARILLON_AZUREML_COMPUTE          for steps that name none: a compute, or serverless
  CARILLON_AZUREML_CLIENT_ID        the user-assigned identity that asks the workspace
  CARILLON_AZUREML_BASE_URL, CARILLON_AZUREML_ARM_URL, CARILLON_AZUREML_INFERENCE_URL
                                    where the services are, if not at their public addresses`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := readConfig()
			if err != nil {
				return err
			}
			if data != "" {
				c.Data = data
			}
			if address != "" {
				c.Listen = address
			}
			return serve(cmd.Context(), c, example, func(url string) {
				fmt.Fprintf(cmd.OutOrStdout(), "Carillon is at %s (the page: %s/api/studio), its data in %s\n", url, url, c.Data)
			})
		},
	}
	command.Flags().StringVar(&data, "data", "", "the folder for state, pipelines and runs (default carillon-data)")
	command.Flags().StringVar(&address, "listen", "", "where to answer HTTP (default 127.0.0.1:7071)")
	command.Flags().BoolVar(&example, "example", false, "add an example pipeline and schedule")
	return command
}

func backupCommand() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "backup -f FILE",
		Short: "Copy the state of a Carillon on a plain machine while it runs",
		Long: `Copy the state of a Carillon on a plain machine to a file, consistent, while it runs. Takes a key with the right to
author, where keys are needed. To restore, put the file at DATA/state/carillon.db while Carillon is stopped.
Pipelines and the output of runs are files below DATA: copy them as they are.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Lstat(file); err == nil {
				return fmt.Errorf("%s exists already; name another file", file)
			}
			part := file + ".part"
			out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return err
			}
			err = cli.Download(cmd, "/api/backup", out)
			if err == nil {
				err = out.Sync()
			}
			if closed := out.Close(); err == nil {
				err = closed
			}
			if err != nil {
				os.Remove(part)
				return err
			}
			if err := os.Rename(part, file); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The state is in %s\n", file)
			return nil
		},
	}
	command.Flags().StringVarP(&file, "file", "f", "", "the file to write")
	command.MarkFlagRequired("file")
	return command
}

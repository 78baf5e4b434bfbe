// Package cli is the command line: a client of Carillon's HTTP API, on this machine or another. It prints tables for
// people, or, with -o json, what the server sent, as it sent it; what went wrong goes to standard error.
package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// DefaultEndpoint is where a Carillon is looked for when neither --endpoint nor CARILLON_ENDPOINT names one.
const DefaultEndpoint = "http://127.0.0.1:7071"

// commands makes the commands. What they share is the clock, from which "in 4m" is counted, and by which they wait.
type commands struct {
	now   func() time.Time
	pause func(context.Context, time.Duration) error
}

// Root is the whole command line, with the extra commands that the program adds to it.
func Root(version string, extra ...*cobra.Command) *cobra.Command {
	return commands{time.Now, pause}.root(version, extra...)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c commands) root(version string, extra ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   "carillon",
		Short: "Carillon starts machine-learning pipelines when time has passed or data has changed",
		Long: `Carillon starts machine-learning pipelines when time has passed or data has changed.

The commands for schedules, calendars, runs, datastores and pipelines ask a Carillon over HTTP: the one at --endpoint, or at
CARILLON_ENDPOINT, or on this machine. They exit with 0 when it was done, 1 when it was refused or failed, and 2 when
they were called in a wrong way.`,
		Example: `  carillon schedules next -f schedule.yaml -n 20
  carillon schedules create -f schedule.yaml
  carillon schedules list
  carillon schedules next every-15-minutes -n 5
  carillon runs list --schedule every-15-minutes
  carillon explain --datastore inbox --path incoming/a.csv
  carillon schedules disable every-15-minutes --note "data feed is down"`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	flags := root.PersistentFlags()
	flags.String("endpoint", "", "where Carillon answers (default $CARILLON_ENDPOINT, or "+DefaultEndpoint+")")
	flags.String("key", "", "the key to send (default $CARILLON_KEY, which other users of this machine cannot see)")
	output := format("table")
	flags.VarP(&output, "output", "o", "what to print: table or json")
	root.SetHelpCommand(helpCommand())
	root.AddCommand(c.schedules(), calendars(), c.runs(), datastores(), explain(), pipelines(), experiments(), c.imports(), disableAll(), enableAll(), audit(), occurrencesCommand(), versionCommand(version))
	root.AddCommand(extra...)
	return root
}

// format is the value of --output.
type format string

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "table|json" }

func (f *format) Set(text string) error {
	if text != "table" && text != "json" {
		return fmt.Errorf("has to be table or json")
	}
	*f = format(text)
	return nil
}

func asJSON(cmd *cobra.Command) bool {
	flag := cmd.Root().PersistentFlags().Lookup("output")
	return flag != nil && flag.Value.String() == "json"
}

// group is a command that only holds others.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		said := fmt.Sprintf("there is no command %q in %q", args[0], cmd.CommandPath())
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			said += "; did you mean " + strings.Join(like, " or ") + "?"
		}
		return usageError(said)
	}, SuggestionsMinimumDistance: 2}
	cmd.AddCommand(below...)
	return cmd
}

func helpCommand() *cobra.Command {
	return &cobra.Command{Use: "help [command]", Short: "Say how a command is used", RunE: func(cmd *cobra.Command, args []string) error {
		about, rest, err := cmd.Root().Find(args)
		if err != nil || len(rest) > 0 {
			return wrongUsage("there is no command %q", args)
		}
		about.InitDefaultHelpFlag()
		return about.Help()
	}}
}

func versionCommand(version string) *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Say which version this is", Args: noArguments, RunE: func(cmd *cobra.Command, _ []string) error {
		if asJSON(cmd) {
			data, err := json.Marshal(map[string]string{"version": version})
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), data)
		}
		return printText(cmd.OutOrStdout(), "carillon "+version+"\n")
	}}
}

func occurrencesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "occurrences", Short: "Answer when definitions fire: JSON lines from standard input, without a server",
		Long: `Compute when definitions fire, to check them or to compare engines. Each line of standard input is a question, each
line of standard output its answer. Nothing else is read: no clock, no server.

  {"id": 1, "op": "occurrences", "kind": "recurrence" | "cron" | "at", "spec": {...}, "from": instant, "to": instant, "n": count}
  {"id": 1, "instants": [instant, ...]}

  {"id": 2, "op": "zone", "windows": "W. Europe Standard Time", "at": [instant, ...]}
  {"id": 2, "iana": "Europe/Vienna", "offset_minutes": [number, ...]}

Instants are RFC 3339; those of an answer are from <= t < to, or the first n. A question without an answer gets
{"id", "error"}, and the next one is read.`,
		Example: `  echo '{"id": 1, "op": "occurrences", "kind": "cron", "spec": {"expression": "0 9 * * 1-5"}, "from": "2026-11-22T00:00:00Z", "n": 3}' | carillon occurrences`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return Occurrences(untilDone(cmd.Context(), cmd.InOrStdin()), cmd.OutOrStdout())
		},
	}
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrongUsage("%s takes no arguments, and got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// one takes one argument, which is what.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return wrongUsage("%s takes one argument: %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// printText writes all of text or returns why it could not.
func printText(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

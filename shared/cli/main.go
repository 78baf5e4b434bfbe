package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"carillon/shared/problem"
)

// Main runs a command line and returns the exit code: 0, 1 for what was refused or failed, 2 for wrong usage. It says
// on stderr what went wrong: for people, or as problem JSON with -o json. The context is root's.
func Main(root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(append([]string{}, args...)) // cobra takes nil for "those of the process"
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	mark(root, &started)
	cmd, err := root.ExecuteC()
	var usage usageError
	switch {
	case err == nil:
		return 0
	case !started || errors.As(err, &usage):
		report(stderr, asJSON(root), &problem.Problem{
			Code: problem.BadRequest, Title: err.Error(), Detail: cmd.CommandPath() + " --help says how it is used",
		})
		return 2
	}
	report(stderr, asJSON(root), err)
	return 1
}

// mark lets every command below cmd tell that it has begun: what failed before that was in the arguments.
func mark(cmd *cobra.Command, started *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return run(cmd, args)
		}
	}
	for _, below := range cmd.Commands() {
		mark(below, started)
	}
}

// usageError is a command that was called in a wrong way, found out only after it had begun.
type usageError string

func (e usageError) Error() string { return string(e) }

func wrongUsage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// report says what went wrong: a first line for a person and indented lines below it, or a problem as JSON.
func report(stderr io.Writer, asJSON bool, err error) {
	p := problemOf(err)
	if asJSON {
		encoder := json.NewEncoder(stderr)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		encoder.Encode(p)
		return
	}
	said := "carillon: "
	for line := range strings.Lines(p.Title + "\n" + p.Detail) {
		if line = strings.TrimSpace(line); line != "" {
			said += safe(line) + "\n  "
		}
	}
	for _, f := range p.Fields {
		said += safe(f.Field+": "+f.Message) + "\n  "
	}
	if p.Status == http.StatusUnauthorized {
		said += "give a key in CARILLON_KEY, or with --key\n"
	}
	fmt.Fprintln(stderr, strings.TrimSpace(said))
}

func problemOf(err error) *problem.Problem {
	var p *problem.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.Canceled):
		return &problem.Problem{Code: problem.Unavailable, Title: "interrupted"}
	}
	return &problem.Problem{Code: problem.Internal, Title: err.Error()}
}

package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"carillon/shared/schedule"
)

const importPath = "/api/import"

func (c commands) imports() *cobra.Command {
	cmd := group("import", "Move the schedules of Azure Machine Learning here",
		c.importFile("v1-yaml", "a file of SDK v1, as its load_yaml reads it, which holds neither name nor pipeline nor experiment",
			`  carillon import v1-yaml -f schedule.yml --name nightly --pipeline published:ID --experiment night`),
		c.importFile("v2-yaml", "a file of the v2 command line, as az ml schedule create -f reads it",
			`  carillon import v2-yaml -f schedule.yml --yes`),
		c.importLive("v1"), c.importLive("v2"))
	cmd.Long = `Move the schedules of Azure Machine Learning here: those of SDK v1 and of v2, from files or from the workspace.

Each command prints a plan first: what the new schedule is, every difference in behaviour, and what keeps it from being
imported. Nothing is changed without --yes; with it, a summary of what was done follows the plan (with -o json the plan goes
to standard error). All of it can be done again: what is done already stays as it is.`
	return cmd
}

// importRequest is what the API is asked.
type importRequest struct {
	From          string   `json:"from"`
	Document      string   `json:"document,omitempty"`
	Name          string   `json:"name,omitempty"`
	Pipeline      string   `json:"pipeline,omitempty"`
	Experiment    string   `json:"experiment,omitempty"`
	Only          []string `json:"only,omitempty"`
	Create        bool     `json:"create,omitempty"`
	DisableSource bool     `json:"disable_source,omitempty"`
	CutOver       string   `json:"cut_over,omitempty"`
}

func (q *importRequest) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&q.Name, "name", "", "the new schedule's name")
	flags.StringVar(&q.Pipeline, "pipeline", "", "what it runs, KIND:ID, such as published:ID or pipeline_job:component:NAME:VERSION")
	flags.StringVar(&q.Experiment, "experiment", "", "under which its runs are grouped")
	flags.BoolVar(&q.Create, "yes", false, "do it, not only plan it")
}

func (c commands) importFile(from, what, example string) *cobra.Command {
	q := importRequest{From: from}
	cmd := &cobra.Command{
		Use: from + " -f FILE", Short: "Import from " + what, Example: example, Args: noArguments,
	}
	file := cmd.Flags().StringP("file", "f", "", "the file to read, - for standard input")
	cmd.MarkFlagRequired("file")
	q.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		data, err := readFile(cmd.Context(), *file, cmd.InOrStdin())
		if err != nil {
			return err
		}
		q.Document = string(data)
		return c.importAll(cmd, q)
	}
	return cmd
}

func (c commands) importLive(from string) *cobra.Command {
	q := importRequest{From: from}
	cmd := &cobra.Command{
		Use: from + " [ID|NAME]...", Short: "Import the " + from + " schedules of the workspace, or those that are named",
		Long: `Import the ` + from + ` schedules of the workspace, or those that are named by their ids or names.

A new schedule waits, disabled, as long as the old one fires. With --disable-source the old one is disabled in the
workspace, and seen to be: at a moment at which no run of it is due, for which the command waits. From then on, or from
the cut-over if nothing is due before, the new one fires. If the old one cannot be seen to be disabled, the new
one is disabled, with a note that says so: the same command, given again, goes on.`,
		Example: `  carillon import ` + from + `
  carillon import ` + from + ` nightly --yes --disable-source`,
	}
	q.flags(cmd)
	cmd.Flags().BoolVar(&q.DisableSource, "disable-source", false, "disable the old schedules, so that nothing runs twice")
	cmd.Flags().StringVar(&q.CutOver, "cut-over", "", "by when, as 2026-01-31T10:30:00Z: 5 minutes to 1 hour ahead (default the earliest)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !q.Create && (q.DisableSource || q.CutOver != "") {
			return wrongUsage("--disable-source and --cut-over go with --yes")
		}
		q.Only = args
		return c.importAll(cmd, q)
	}
	return cmd
}

// importAll shows the plan and, with --yes, has it done.
func (c commands) importAll(cmd *cobra.Command, q importRequest) error {
	client, err := connect(cmd)
	if err != nil {
		return err
	}
	only := q
	only.Create, only.DisableSource, only.CutOver = false, false, ""
	data, plan, err := c.ask(cmd, client, only)
	switch {
	case err != nil:
		return err
	case !q.Create || len(plan.Items) == 0:
		return show(cmd, data, func(v importView) string { return v.plan("Nothing has been changed: --yes does it.") })
	}
	out := cmd.OutOrStdout()
	if asJSON(cmd) { // which has one document: what was done
		out = cmd.ErrOrStderr()
	}
	if err := printText(out, plan.plan("It is done now:")+"\n"); err != nil {
		return err
	}
	return c.carryOut(cmd, client, q)
}

func (c commands) ask(cmd *cobra.Command, client *client, q importRequest) (data json.RawMessage, answer importView, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, answer, err
	}
	data, _, err = client.read(cmd.Context(), call{method: http.MethodPost, path: importPath, body: body})
	if err == nil {
		answer, err = decode[importView](data)
	}
	return data, answer, err
}

type importView struct {
	Items   []importItem `json:"items"`
	Notes   []string     `json:"notes"`
	AgainAt time.Time    `json:"again_at"`
	CutOver time.Time    `json:"cut_over"`
}

type importItem struct {
	Source struct {
		Kind     string `json:"kind"`
		ID       string `json:"id"`
		Name     string `json:"name"`
		Enabled  bool   `json:"enabled"`
		Disabled bool   `json:"disabled"`
	} `json:"source"`
	Name       string `json:"name"`
	Definition struct {
		Pipeline   schedule.PipelineRef `json:"pipeline"`
		Experiment string               `json:"experiment"`
		Parameters map[string]string    `json:"parameters"`
		Outputs    map[string]string    `json:"outputs"`
		Tags       map[string]string    `json:"tags"`

		Settings map[string]json.RawMessage `json:"settings"`
		Continue *bool                      `json:"continue_on_step_failure"`
	} `json:"definition"`
	When        string    `json:"when"`
	Differences []string  `json:"differences"`
	Problems    []string  `json:"problems"`
	Created     bool      `json:"created"`
	Status      string    `json:"status"`
	Begins      time.Time `json:"begins"`
	Done        []string  `json:"done"`
	AgainAt     time.Time `json:"again_at"`
}

// from says which old schedule it is, and whether that fires.
func (v importItem) from() string {
	source := v.Source
	switch {
	case source.ID == "":
		return source.Kind
	case source.Disabled && source.Enabled:
		return fmt.Sprintf("%s schedule %s (%s), disabled now", source.Kind, source.Name, source.ID)
	case source.Enabled:
		return fmt.Sprintf("%s schedule %s (%s), which fires", source.Kind, source.Name, source.ID)
	}
	return fmt.Sprintf("%s schedule %s (%s), disabled", source.Kind, source.Name, source.ID)
}

// plan is what would be done with each old schedule, and in the end what is done.
func (v importView) plan(then string) string {
	if len(v.Items) == 0 {
		return "There are no old schedules.\n"
	}
	text, fit := "", 0
	for _, item := range v.Items {
		text += item.plan() + "\n"
		if len(item.Problems) == 0 {
			fit++
		}
	}
	for _, note := range v.Notes {
		text += "note: " + safe(note) + "\n"
	}
	return text + fmt.Sprintf("%d of %d schedules can be imported. %s\n", fit, len(v.Items), then)
}

func (v importItem) plan() string {
	var s sheet
	s.line("Name", v.Name)
	s.line("From", v.from())
	if v.Definition.Pipeline.ID != "" {
		s.line("Pipeline", v.Definition.Pipeline.String())
	}
	s.line("Experiment", v.Definition.Experiment)
	s.lines("Parameters", pairs(v.Definition.Parameters))
	s.lines("Outputs", pairs(v.Definition.Outputs))
	s.lines("Settings", pairs(v.Definition.Settings))
	s.lines("Tags", pairs(v.Definition.Tags))
	s.line("Steps", goesOn(v.Definition.Continue))
	s.line("Trigger", v.When)
	s.lines("Differences", v.Differences)
	v.outcome(&s)
	return s.b.String()
}

// outcome is what has become of it.
func (v importItem) outcome(s *sheet) {
	s.lines("Problems", v.Problems)
	s.lines("Done", v.Done)
	if v.Created {
		status := v.Status
		if !v.Begins.IsZero() && v.Status == string(schedule.Active) {
			status += ", begins " + clock(v.Begins)
		}
		s.line("Created", status)
	}
}

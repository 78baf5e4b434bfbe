package cli

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"carillon/shared/schedule"
)

const pipelinesPath = "/api/pipelines"

func pipelines() *cobra.Command {
	return group("pipelines", "Look at what schedules can start, and keep it from being started",
		listPipelines(), getPipeline(), disablePipeline(), enablePipeline())
}

// onePipeline takes a pipeline as KIND:ID.
func onePipeline(cmd *cobra.Command, args []string) error {
	if err := one("the pipeline, as KIND:ID")(cmd, args); err != nil {
		return err
	}
	if kind, id, _ := strings.Cut(args[0], ":"); kind == "" || id == "" || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return wrongUsage("%q is no pipeline: give it as KIND:ID, such as local:hello", args[0])
	}
	return nil
}

// ofPipeline asks for one of a pipeline's operations, "" for the pipeline itself.
func ofPipeline(method, ref, verb string) call {
	kind, id, _ := strings.Cut(ref, ":")
	path := pipelinesPath + "/" + kind
	if verb != "" {
		path += "/" + verb
	}
	return call{method: method, path: path, query: url.Values{"id": {id}}}
}

func listPipelines() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List pipelines: which are disabled, who starts them, and their last runs", Args: noArguments}
	kind := cmd.Flags().String("kind", "", "only those of this kind, such as local")
	disabled := cmd.Flags().Bool("disabled", false, "only those that are disabled")
	limit := limitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		if *kind != "" {
			query.Set("kind", *kind)
		}
		if *disabled {
			query.Set("active", "false")
		}
		return list(cmd, *limit, listing{
			path: pipelinesPath, query: query, none: "There are no such pipelines.",
			head: []string{"PIPELINE", "NAME", "STATUS", "SCHEDULES", "LAST RUN", "NOTE"},
			row: func(item json.RawMessage) ([]string, error) {
				v, err := decode[pipelineView](item)
				return v.row(), err
			},
		})
	}
	return cmd
}

func getPipeline() *cobra.Command {
	return &cobra.Command{
		Use: "get KIND:ID", Short: "Show a pipeline: what it takes, whether it is disabled, who starts it", Args: onePipeline,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, ofPipeline(http.MethodGet, args[0], ""), pipelineView.sheet)
		},
	}
}

func disablePipeline() *cobra.Command {
	cmd := &cobra.Command{
		Use: "disable KIND:ID", Short: "Keep a pipeline from being started; what is under way goes on",
		Long: `Keep a pipeline from being started, whichever schedule asks for it: what comes due is recorded as skipped. Published
pipelines of Azure ML v1 are disabled in their workspace, too.

It is refused while an active schedule starts the pipeline. With --with-schedules those are disabled first; enabling the
pipeline does not enable them again.

An endpoint and its default deployment are the same pipeline, as are component:NAME@latest and the newest version: what is
disabled is not started as the other either. Other deployments and versions are pipelines of their own, and so are a
component, a deployment that runs it, and a job of it that is a template.`,
		Example: `  carillon pipelines disable local:hello --with-schedules --note "wrong data"`,
		Args:    onePipeline,
	}
	note := cmd.Flags().String("note", "", "why, for those who look at it")
	all := cmd.Flags().Bool("with-schedules", false, "disable the active schedules that start it first")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return switchPipeline(cmd, args[0], "disable", *note, *all)
	}
	return cmd
}

func enablePipeline() *cobra.Command {
	cmd := &cobra.Command{Use: "enable KIND:ID", Short: "Let a pipeline be started again; its schedules stay as they are", Args: onePipeline}
	note := cmd.Flags().String("note", "", "why, for the record")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return switchPipeline(cmd, args[0], "enable", *note, false)
	}
	return cmd
}

func switchPipeline(cmd *cobra.Command, ref, verb, note string, withSchedules bool) error {
	asked := ofPipeline(http.MethodPost, ref, verb)
	wish := map[string]any{}
	if note != "" {
		wish["note"] = note
	}
	if withSchedules {
		wish["with_schedules"] = true
	}
	if len(wish) > 0 {
		var err error
		if asked.body, err = json.Marshal(wish); err != nil {
			return err
		}
	}
	return ask(cmd, asked, pipelineView.line)
}

// pipelineView is what is shown of a pipeline.
type pipelineView struct {
	Pipeline    schedule.PipelineRef
	Name        string
	Description string
	Parameters  map[string]string
	Outputs     map[string]string
	Required    []string // parameters without a default
	Problem     string
	Deployments []string
	Default     string                 `json:"default_deployment"`
	Also        []schedule.PipelineRef // other references that stand for it now
	Status      string
	DisabledIn  []string              `json:"disabled_in"`
	DisabledAs  *schedule.PipelineRef `json:"disabled_as"`
	StatusNote  *schedule.StatusNote  `json:"status_note"`
	Schedules   []struct {
		Name, Status string
		As           *schedule.PipelineRef
	}
	More    bool     `json:"more_schedules"`
	LastRun *runView `json:"last_run"`
	Notices []string
}

func (v pipelineView) row() []string {
	last := ""
	if v.LastRun != nil {
		last = v.LastRun.outcome() + " " + v.LastRun.latest()
	}
	// Of another kind the id is too long for a column.
	kind := func(p schedule.PipelineRef) string { return cmp.Or(strings.TrimPrefix(v.short(p), p.String()), p.Kind) }
	return []string{v.Pipeline.String(), v.Name, v.Status, orDash(cut(strings.Join(v.users(kind), ", "))), orDash(last), cut(v.note())}
}

// users are the schedules that start it, as far as they are told; as writes the other references by which some do.
func (v pipelineView) users(as func(schedule.PipelineRef) string) (names []string) {
	for _, s := range v.Schedules {
		var more []string
		if s.Status != string(schedule.Active) {
			more = append(more, s.Status)
		}
		if s.As != nil {
			more = append(more, "as "+as(*s.As))
		}
		if len(more) > 0 {
			s.Name += " (" + strings.Join(more, ", ") + ")"
		}
		names = append(names, s.Name)
	}
	if v.More {
		names = append(names, "…")
	}
	return names
}

// short is another reference beside this one: of its kind, the id alone.
func (v pipelineView) short(p schedule.PipelineRef) string {
	if p.Kind == v.Pipeline.Kind {
		return p.ID
	}
	return p.String()
}

// note is what is to be known of it first.
func (v pipelineView) note() string {
	switch why := v.why(); {
	case why != "":
		return why
	case v.Problem != "":
		return "cannot run: " + v.Problem
	}
	return v.Description
}

// why says who has disabled it, and why; "" for nobody that is known.
func (v pipelineView) why() string {
	if v.StatusNote == nil {
		return ""
	}
	said := "disabled"
	if v.DisabledAs != nil {
		said += " as " + v.short(*v.DisabledAs)
	}
	said = by(said, v.StatusNote.By)
	if v.StatusNote.Note != "" {
		said += ": " + v.StatusNote.Note
	}
	return said
}

// line says what has become of it.
func (v pipelineView) line() string {
	said := safe(v.Pipeline.String()+" is "+v.Status) + "\n"
	if users := v.users(v.short); len(users) > 0 {
		said += safe("  schedules: "+strings.Join(users, ", ")) + "\n"
	}
	return said + noted(v.Notices)
}

func (v pipelineView) sheet() string {
	var s sheet
	s.line("Pipeline", v.Pipeline.String())
	var also []string
	for _, p := range v.Also {
		also = append(also, p.String()+", at the moment")
	}
	s.lines("Same as", also)
	s.line("Name", v.Name)
	s.line("Description", v.Description)
	status := v.Status
	if len(v.DisabledIn) > 0 {
		status += " (in: " + strings.Join(v.DisabledIn, ", ") + ")"
	}
	s.line("Status", status)
	if v.StatusNote != nil {
		s.line("", v.why()+" at "+clock(v.StatusNote.At.UTC()))
	}
	s.line("Problem", v.Problem)
	s.lines("Parameters", v.parameters())
	s.lines("Outputs", pairs(v.Outputs))
	for i, name := range v.Deployments {
		if name == v.Default {
			v.Deployments[i] += " (the default)"
		}
	}
	s.lines("Deployments", v.Deployments)
	s.lines("Schedules", v.users(v.short))
	if v.LastRun != nil {
		s.line("Last run", v.LastRun.summary())
	}
	s.lines("Notices", v.Notices)
	return s.b.String()
}

// parameters are its parameters and their defaults.
func (v pipelineView) parameters() []string {
	all := pairs(v.Parameters)
	for i, p := range all {
		if name, value, _ := strings.Cut(p, "="); value == "" && slices.Contains(v.Required, name) {
			all[i] = name + " (required)"
		}
	}
	return all
}

func experiments() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the experiments of schedules that exist, and how many schedules each has", Args: noArguments}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := connect(cmd)
		if err != nil {
			return err
		}
		all := map[string]experimentView{}
		_, err = client.pages(cmd.Context(), "/api/experiments", url.Values{}, 0, func(p page) error {
			for _, item := range p.Items {
				e, err := decode[experimentView](item)
				if err != nil {
					return err
				}
				sum := all[e.Name] // one whose schedules are many comes on several pages
				all[e.Name] = experimentView{e.Name, sum.Schedules + e.Schedules, sum.Active + e.Active}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return printExperiments(cmd, all)
	}
	return group("experiments", "Look at the names under which runs are grouped", cmd)
}

// experimentView is what is shown of an experiment.
type experimentView struct {
	Name      string `json:"name"`
	Schedules int    `json:"schedules"`
	Active    int    `json:"active"`
}

func printExperiments(cmd *cobra.Command, all map[string]experimentView) error {
	var items []json.RawMessage
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e := all[name]
		item, err := json.Marshal(e)
		if err != nil {
			return err
		}
		items, rows = append(items, item), append(rows, []string{e.Name, strconv.Itoa(e.Schedules), strconv.Itoa(e.Active)})
	}
	if asJSON(cmd) {
		out := &array{w: cmd.OutOrStdout()}
		if len(items) > 0 {
			if err := out.print(items); err != nil {
				return err
			}
		}
		return out.close()
	}
	if len(rows) == 0 {
		cmd.PrintErrln("There are no schedules, and so no experiments.")
	}
	out := &table{w: cmd.OutOrStdout(), head: []string{"EXPERIMENT", "SCHEDULES", "ACTIVE"}}
	return out.print(rows)
}

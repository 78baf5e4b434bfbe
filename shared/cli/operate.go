package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carillon/shared/problem"
	"carillon/shared/schedule"
)

func backfillSchedule() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backfill NAME --from TIME --to TIME", Short: "Make runs for times that are over, as far as they are missing",
		Long: `Make runs for times of a schedule that are over: those that it would have had if it had always been as it is now. A time
whose run is under way or has completed is left out (--again makes another of one that has completed), so that the
same command can be given again. The runs start one after the other, or as many at once as --at-once says; to stop
those that wait, disable the schedule.

Times are wall times in the schedule's zone (2026-01-05T10:00), instants (2026-01-05T09:00:00Z) or dates; both ends are
in the range, of dates the whole day.`,
		Example: `  carillon schedules backfill every-15-minutes --from 2026-01-05 --to 2026-01-06T12:00 --dry-run`,
		Args:    oneName,
	}
	flags := cmd.Flags()
	var asked backfillBody
	flags.StringVar(&asked.From, "from", "", "the first time")
	flags.StringVar(&asked.To, "to", "", "the last time")
	newest := flags.Bool("newest-first", false, "begin with the newest")
	flags.IntVar(&asked.AtOnce, "at-once", 1, "how many of the runs may be under way at once")
	flags.BoolVar(&asked.Again, "again", false, "also times whose run has completed")
	flags.BoolVar(&asked.DryRun, "dry-run", false, "say what it would make, and change nothing")
	most := flags.Int("max", 1000, "how many runs to make at the most, in full thousands")
	params := flags.StringArray("param", nil, "k=v: another value for a parameter, for these runs; can be repeated")
	cmd.MarkFlagRequired("from")
	cmd.MarkFlagRequired("to")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if asked.Parameters, err = values(*params); err != nil {
			return err
		}
		if *newest {
			asked.Order = "newest"
		}
		return backfill(cmd, args[0], asked, *most)
	}
	return cmd
}

type backfillBody struct {
	From       string            `json:"from"`
	To         string            `json:"to"`
	Order      string            `json:"order,omitempty"`
	AtOnce     int               `json:"at_once"`
	Again      bool              `json:"again,omitempty"`
	DryRun     bool              `json:"dry_run,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// backfilled is the answer to a backfill, or to several that are parts of one.
type backfilled struct {
	DryRun  bool           `json:"dry_run,omitempty"`
	Runs    []filledTime   `json:"runs"`
	LeftOut []leftTime     `json:"left_out,omitempty"`
	More    *backfillRange `json:"more,omitempty"`
	Notices []string       `json:"notices,omitempty"`
}

type backfillRange struct{ From, To string }

type filledTime struct {
	ID      string    `json:"id"`
	Nominal time.Time `json:"nominal"`
}

type leftTime struct {
	Nominal time.Time `json:"nominal"`
	Why     string    `json:"why"`
}

// backfill asks for a range, in as many parts as it takes but for no more than so many runs, and tells of each part as it is
// done.
func backfill(cmd *cobra.Command, name string, asked backfillBody, most int) error {
	client, err := connect(cmd)
	if err != nil {
		return err
	}
	all := backfilled{DryRun: asked.DryRun, Runs: []filledTime{}}
	out := &table{w: cmd.OutOrStdout(), head: []string{"TIME", "RUN", "NOTE"}}
	for {
		body, err := json.Marshal(asked)
		if err != nil {
			return err
		}
		data, _, err := client.read(cmd.Context(), call{method: http.MethodPost, path: schedulesPath + "/" + name + "/backfill", body: body})
		if err != nil {
			return partly(err, len(all.Runs))
		}
		part, err := decode[backfilled](data)
		if err != nil {
			return err
		}
		if !asJSON(cmd) {
			if err := out.print(part.rows()); err != nil {
				return err
			}
		}
		all.Runs, all.LeftOut = append(all.Runs, part.Runs...), append(all.LeftOut, part.LeftOut...)
		all.Notices = more(all.Notices, part.Notices)
		switch {
		case part.More == nil:
			return all.show(cmd, name)
		case *part.More == backfillRange{asked.From, asked.To}:
			return client.strange()
		case len(all.Runs) >= most:
			if err := all.show(cmd, name); err != nil {
				return err
			}
			return &problem.Problem{Code: problem.Conflict, Title: fmt.Sprintf("the range has more than %d runs: from %s to %s is left. Give the same command again with --max for more of it", most, part.More.From, part.More.To)}
		}
		asked.From, asked.To = part.More.From, part.More.To
	}
}

// partly says what has been done before a part was refused.
func partly(err error, runs int) error {
	if p, ok := err.(*problem.Problem); ok && runs > 0 {
		p.Title = fmt.Sprintf("after %d runs: %s", runs, p.Title)
	}
	return err
}

func (b backfilled) rows() [][]string {
	var rows [][]string
	for _, run := range b.Runs {
		rows = append(rows, []string{clock(run.Nominal.UTC()), run.ID, ""})
	}
	for _, left := range b.LeftOut {
		rows = append(rows, []string{clock(left.Nominal.UTC()), "-", left.Why})
	}
	return rows
}

func (b backfilled) show(cmd *cobra.Command, name string) error {
	if asJSON(cmd) {
		data, err := json.Marshal(b)
		if err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), data)
	}
	said := fmt.Sprintf("%d runs wait for their turn, %d times are left out; carillon runs list --schedule %s shows how it goes", len(b.Runs), len(b.LeftOut), name)
	if b.DryRun {
		said = fmt.Sprintf("%d runs would be made, %d times left out; without --dry-run they are", len(b.Runs), len(b.LeftOut))
	}
	return printText(cmd.OutOrStdout(), said+"\n"+noted(b.Notices))
}

// values are the parameters of --param.
func values(params []string) (map[string]string, error) {
	values := map[string]string{}
	for _, param := range params {
		name, value, ok := strings.Cut(param, "=")
		if !ok || name == "" {
			return nil, wrongUsage("--param takes NAME=VALUE, not %q", param)
		}
		if _, twice := values[name]; twice {
			return nil, wrongUsage("--param %s is given twice", name)
		}
		values[name] = value
	}
	return values, nil
}

func disableAll() *cobra.Command {
	return allCommand("disable-all", "Keep every schedule from firing, with one command; what is under way goes on",
		`Disable every active schedule. What waits to be submitted is skipped, with a record; runs that are under way go on.
carillon enable-all enables what this has disabled, and nobody has enabled or disabled since.`, "disabled")
}

func enableAll() *cobra.Command {
	return allCommand("enable-all", "Let the schedules fire again that disable-all has disabled",
		`Enable what carillon disable-all has disabled, and nobody has enabled or disabled since. Only times after this fire.`, "enabled")
}

// swept is the answer to a request that changes all schedules, or to several.
type swept struct {
	Changed int            `json:"changed"`
	LeftOut []leftSchedule `json:"left_out,omitempty"`
	Next    string         `json:"next,omitempty"`
}

type leftSchedule struct {
	Schedule string `json:"schedule"`
	Why      string `json:"why"`
}

func allCommand(verb, short, long, done string) *cobra.Command {
	cmd := &cobra.Command{Use: verb, Short: short, Long: long, Args: noArguments}
	note := cmd.Flags().String("note", "", "why, for those who look at it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var body []byte
		if *note != "" {
			body, _ = json.Marshal(map[string]string{"note": *note})
		}
		all, err := sweep(cmd, verb, body)
		if err != nil {
			return err
		}
		if asJSON(cmd) {
			data, err := json.Marshal(all)
			if err != nil {
				return err
			}
			err = printJSON(cmd.OutOrStdout(), data)
			return all.failed(err)
		}
		said := strconv.Itoa(all.Changed) + " schedules are " + done + "\n"
		for _, left := range all.LeftOut {
			said += safe(left.Schedule+" is left as it is: "+left.Why) + "\n"
		}
		return all.failed(printText(cmd.OutOrStdout(), said))
	}
	return cmd
}

func (s swept) failed(err error) error {
	if err == nil && len(s.LeftOut) > 0 {
		err = &problem.Problem{Code: problem.Conflict, Title: fmt.Sprintf("%d schedules are left as they were", len(s.LeftOut))}
	}
	return err
}

// sweep asks until all schedules have been looked at.
func sweep(cmd *cobra.Command, verb string, body []byte) (all swept, err error) {
	client, err := connect(cmd)
	if err != nil {
		return all, err
	}
	asked := call{method: http.MethodPost, path: "/api/" + verb, body: body}
	for {
		data, _, err := client.read(cmd.Context(), asked)
		if err != nil {
			return all, err
		}
		part, err := decode[swept](data)
		if err != nil {
			return all, err
		}
		all.Changed, all.LeftOut = all.Changed+part.Changed, append(all.LeftOut, part.LeftOut...)
		if part.Next == "" {
			return all, nil
		}
		if part.Next == asked.query.Get("token") {
			return all, client.strange()
		}
		asked.query = url.Values{"token": {part.Next}}
	}
}

func audit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "List who has changed what, the last changes first", Args: noArguments,
		Long: `List the changes of schedules, calendars and pipelines, and who has asked for runs and cancelled them, the last ones
first. -o json has every field before and after.`,
	}
	name := cmd.Flags().String("schedule", "", "only changes of this schedule, also of one that was deleted")
	by := cmd.Flags().String("by", "", "only changes by this person or program, as the list has it")
	limit := limitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		if *name != "" {
			query.Set("schedule", *name)
		}
		if *by != "" {
			query.Set("by", *by)
		}
		return list(cmd, *limit, listing{
			path: "/api/audit", query: query, none: "There are no such changes.",
			head: []string{"TIME", "BY", "WHAT", "OF", "CHANGE"},
			row: func(item json.RawMessage) ([]string, error) {
				v, err := decode[schedule.Audit](item)
				return changeRow(v), err
			},
		})
	}
	return cmd
}

func changeRow(a schedule.Audit) []string {
	of := "schedule " + a.Schedule
	switch {
	case a.Calendar != "":
		of = "calendar " + a.Calendar
	case a.Pipeline != nil:
		of = "pipeline " + a.Pipeline.String()
	}
	return []string{clock(a.At.UTC().Truncate(time.Second)), orDash(a.By), string(a.What), of, cut(changeNote(a))}
}

// changeNote is which run, why, and what has become of which field.
func changeNote(a schedule.Audit) string {
	parts := slices.DeleteFunc([]string{a.Run, a.Note}, func(part string) bool { return part == "" })
	fields := map[string]bool{}
	for _, side := range []map[string]json.RawMessage{a.Before, a.After} {
		for name := range side {
			fields[name] = true
		}
	}
	switch a.What {
	case schedule.WasCreated, schedule.WasDeleted:
		return a.Note
	case schedule.WasEnabled, schedule.WasDisabled:
		delete(fields, "status")
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		change := plainValue(a.After[name])
		if a.What != schedule.WasFilled && a.What != schedule.WasTriggered {
			change = plainValue(a.Before[name]) + " -> " + change
		}
		parts = append(parts, name+": "+change)
	}
	return strings.Join(parts, "; ")
}

// plainValue is a JSON value, a text without its quotes.
func plainValue(raw json.RawMessage) string {
	var text string
	if len(raw) > 0 && json.Unmarshal(raw, &text) == nil {
		return text
	}
	return orDash(string(raw))
}

package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

const runsPath = "/api/runs"

func (c commands) runs() *cobra.Command {
	return group("runs", "Look at runs and what was skipped, and cancel runs", c.listRuns(), c.getRun(), runChanges(), runOutput(), cancelRun())
}

// oneRun takes a run's id.
func oneRun(cmd *cobra.Command, args []string) error {
	if err := one("the run's id")(cmd, args); err != nil {
		return err
	}
	if id := args[0]; id == "" || id == "." || id == ".." {
		return wrongUsage("%q is not a run's id", id)
	}
	return nil
}

func (c commands) listRuns() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List runs and skipped occurrences, the newest first", Args: noArguments}
	name := cmd.Flags().String("schedule", "", "only those of this schedule")
	status := cmd.Flags().String("status", "", "only those with one of these statuses, such as Failed,Skipped")
	limit := limitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		if *name != "" {
			query.Set("schedule", *name)
		}
		if *status != "" {
			query.Set("status", *status)
		}
		return list(cmd, *limit, listing{
			path: runsPath, query: query, none: "There are no such runs.",
			head: []string{"ID", "SCHEDULE", "STATUS", "TIME", "TOOK", "NOTE"},
			row: func(item json.RawMessage) ([]string, error) {
				v, err := decode[runView](item)
				return v.row(c.now()), err
			},
		})
	}
	return cmd
}

func (c commands) getRun() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show a run and its steps", Args: oneRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := connect(cmd)
			if err != nil {
				return err
			}
			data, _, err := client.read(cmd.Context(), call{method: http.MethodGet, path: runsPath + "/" + url.PathEscape(args[0])})
			if err != nil {
				return err
			}
			if asJSON(cmd) {
				return printJSON(cmd.OutOrStdout(), data)
			}
			return c.showRun(cmd, data)
		},
	}
}

func (c commands) showRun(cmd *cobra.Command, data json.RawMessage) error {
	v, err := decode[runView](data)
	if err != nil {
		return err
	}
	text := v.sheet(c.now())
	if len(v.Steps) > 0 {
		text += "\n"
	}
	if err := printText(cmd.OutOrStdout(), text); err != nil {
		return err
	}
	var rows [][]string
	for _, step := range v.Steps {
		rows = append(rows, step.row(c.now()))
	}
	out := &table{w: cmd.OutOrStdout(), head: []string{"STEP", "STATUS", "TOOK", "EXIT", "NOTE"}}
	if err := out.print(rows); err != nil || !v.MoreSteps {
		return err
	}
	return printText(cmd.ErrOrStderr(), fmt.Sprintf("There are more steps than these %d.\n", len(v.Steps)))
}

func runOutput() *cobra.Command {
	return &cobra.Command{
		Use: "output ID", Short: "Print what a run has written so far, as it wrote it", Args: oneRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return Download(cmd, runsPath+"/"+url.PathEscape(args[0])+"/output", cmd.OutOrStdout())
		},
	}
}

func cancelRun() *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "End a run, or call off one that waits", Args: oneRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := connect(cmd)
			if err != nil {
				return err
			}
			data, _, err := client.read(cmd.Context(), call{method: http.MethodPost, path: runsPath + "/" + url.PathEscape(args[0]) + "/cancel"})
			if err != nil {
				return err
			}
			return show(cmd, data, func(v runView) string {
				said := "run " + v.ID + " is " + v.outcome()
				switch {
				case v.Status.Final():
				case v.Run == "":
					said += "; it is asked to end as soon as it is known to be under way"
				default:
					said += "; it is asked to end"
				}
				return safe(said) + "\n"
			})
		},
	}
}

package cli

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"carillon/shared/schedule"
)

const schedulesPath = "/api/schedules"

func (c commands) schedules() *cobra.Command {
	return group("schedules", "Create, look at and change schedules",
		c.createSchedules(), c.listSchedules(), c.getSchedule(), c.updateSchedule(), c.enableSchedule(), c.disableSchedule(),
		deleteSchedule(), c.nextOccurrences(), c.triggerSchedule(), backfillSchedule())
}

// oneName takes a schedule's name.
func oneName(cmd *cobra.Command, args []string) error { return nameOf("schedule", cmd, args) }

// nameOf takes the name of one schedule or calendar: what.
func nameOf(what string, cmd *cobra.Command, args []string) error {
	if err := one("the "+what+"'s name")(cmd, args); err != nil {
		return err
	}
	if !schedule.ValidName(args[0]) {
		return wrongUsage("%q cannot be a %s's name", args[0], what)
	}
	return nil
}

func (c commands) listSchedules() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List schedules, with their last and next runs", Args: noArguments}
	active := cmd.Flags().Bool("active", false, "only those that are Active")
	pipeline := cmd.Flags().String("pipeline", "", "only those that start this pipeline, as KIND:ID")
	limit := limitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		if *active {
			query.Set("active", "true")
		}
		if *pipeline != "" {
			query.Set("pipeline", *pipeline)
		}
		return list(cmd, *limit, listing{
			path: schedulesPath, query: query, none: "There are no such schedules; carillon schedules create -f FILE makes one.",
			head: []string{"NAME", "PIPELINE", "TRIGGER", "STATUS", "LAST RUN", "NEXT RUN"},
			row: func(item json.RawMessage) ([]string, error) {
				v, err := decode[scheduleView](item)
				return v.row(c.now()), err
			},
		})
	}
	return cmd
}

func (c commands) getSchedule() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get NAME", Short: "Show a schedule: definition, status, last, running and next runs", Args: oneName,
	}
	revision := cmd.Flags().Int("revision", 0, "show it as it was: the number of a revision, as the list of changes has it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := connect(cmd)
		if err != nil {
			return err
		}
		path := schedulesPath + "/" + args[0]
		if cmd.Flags().Changed("revision") {
			path += "/revisions/" + strconv.Itoa(*revision)
		}
		data, header, err := client.read(cmd.Context(), call{method: http.MethodGet, path: path})
		if err != nil {
			return err
		}
		return show(cmd, data, func(v scheduleView) string {
			return v.sheet(strings.Trim(header.Get("ETag"), `"`), c.now())
		})
	}
	return cmd
}

// show prints an answer as it was sent, or what a person reads of it.
func show[T any](cmd *cobra.Command, data json.RawMessage, text func(T) string) error {
	if asJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), data)
	}
	v, err := decode[T](data)
	if err != nil {
		return err
	}
	return printText(cmd.OutOrStdout(), text(v))
}

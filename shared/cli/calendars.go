package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"carillon/shared/recur"
)

const calendarsPath = "/api/calendars"

func calendars() *cobra.Command {
	return group("calendars", "Keep schedules from firing on holidays and in blackout windows",
		listCalendars(), getCalendar(), applyCalendar(), deleteCalendar())
}

// oneCalendar takes a calendar's name.
func oneCalendar(cmd *cobra.Command, args []string) error { return nameOf("calendar", cmd, args) }

func listCalendars() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List calendars", Args: noArguments}
	limit := limitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return list(cmd, *limit, listing{
			path: calendarsPath, query: url.Values{}, none: "There are no calendars; carillon calendars apply NAME -f FILE makes one.",
			head: []string{"NAME", "TIME ZONE", "EXCLUDES"},
			row: func(item json.RawMessage) ([]string, error) {
				v, err := decode[calendarView](item)
				return []string{v.Name, orDash(v.TimeZone), v.excluded()}, err
			},
		})
	}
	return cmd
}

func getCalendar() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Short: "Show what a calendar excludes; -o json is what apply reads", Args: oneCalendar,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, call{method: http.MethodGet, path: calendarsPath + "/" + args[0]}, calendarView.sheet)
		},
	}
}

func applyCalendar() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apply NAME -f FILE", Short: "Create a calendar from a file, or replace the whole of it",
		Long: `Create a calendar from a file (one document, YAML or JSON), or replace the whole of the one that has the name.
Schedules that name it under calendars go by it from then on.

  time_zone: Europe/Vienna          # without it: that of each schedule
  dates: [2026-12-08]
  date_ranges:
    - {first: 2026-12-24, last: 2027-01-06}
  spans:                            # from <= t < to
    - {from: 2026-07-01T18:00, to: 2026-07-02T06:00}
  recurrences:                      # the days on which they have times
    - {frequency: week, interval: 1, schedule: {week_days: [Saturday, Sunday]}}`,
		Example: `  echo 'dates: [2026-12-25, 2026-12-26]' | carillon calendars apply holidays -f -`,
		Args:    oneCalendar,
	}
	files := filesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		doc, err := oneDocument(cmd, *files)
		if err != nil {
			return err
		}
		asked := call{method: http.MethodPut, path: calendarsPath + "/" + args[0], body: doc.json}
		return ask(cmd, asked, func(v calendarView) string {
			return safe("applied: "+v.Name+" excludes "+v.excluded()) + "\n"
		})
	}
	return cmd
}

func deleteCalendar() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a calendar that no schedule names", Args: oneCalendar,
		RunE: func(cmd *cobra.Command, args []string) error {
			asked := call{method: http.MethodDelete, path: calendarsPath + "/" + args[0]}
			return ask(cmd, asked, func(struct{}) string { return "deleted: " + args[0] + "\n" })
		},
	}
}

// calendarView is what is shown of a calendar.
type calendarView struct {
	Name string
	recur.Calendar
}

// excluded says in a few words how much there is in a calendar.
func (v calendarView) excluded() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{len(v.Dates), "date"}, {len(v.DateRanges), "range of dates"}, {len(v.Spans), "span"}, {len(v.Recurrences), "recurrence"}} {
		what, of, _ := strings.Cut(p.what, " ")
		if p.n > 1 {
			what += "s"
		}
		if p.n > 0 {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s %s", p.n, what, of)))
		}
	}
	return orDash(strings.Join(parts, ", "))
}

func (v calendarView) sheet() string {
	var s sheet
	var ranges, spans, days []string
	for _, r := range v.DateRanges {
		ranges = append(ranges, r.First+" to "+r.Last)
	}
	for _, span := range v.Spans {
		spans = append(spans, span.From+" to "+span.To)
	}
	for _, r := range v.Recurrences {
		days = append(days, strings.Replace(r.String(), ", UTC", "", 1)) // its zone is the calendar's
	}
	zone := v.TimeZone
	if zone == "" {
		zone = "that of each schedule"
	}
	s.line("Name", v.Name)
	s.line("Time zone", zone)
	s.lines("Dates", v.Dates)
	s.lines("Date ranges", ranges)
	s.lines("Spans", spans)
	s.lines("Days", days)
	return s.b.String()
}

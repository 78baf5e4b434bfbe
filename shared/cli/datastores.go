package cli

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func datastores() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List datastores, and whether they send their changes", Args: noArguments}
	limit := limitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return list(cmd, *limit, listing{
			path: "/api/datastores", query: url.Values{},
			none: "There are no datastores; on Azure the setting CARILLON_DATASTORES names them, on a plain machine a folder DIR/datastores/NAME is one.",
			head: []string{"NAME", "ACCOUNT", "CONTAINER", "CHANGES"},
			row: func(item json.RawMessage) ([]string, error) {
				v, err := decode[datastoreView](item)
				return v.row(), err
			},
		})
	}
	return group("datastores", "Look at where data change that schedules can watch", cmd)
}

// datastoreView is what is shown of a datastore.
type datastoreView struct {
	Name      string
	Account   string
	Container string
	Events    bool
}

func (v datastoreView) row() []string {
	changes := "are looked for"
	if v.Events {
		changes = "come as events"
	}
	return []string{v.Name, orDash(v.Account), orDash(v.Container), changes}
}

func explain() *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain --datastore NAME --path FILE", Short: "Say which schedules a file fires, which not and why, and what became of its last change",
		Long: `Say which schedules a change of a file fires, which nearly do and why not, and what became of its last change: which run it
has made, in which window it waits, or why it does not fire. The file need not be there.`,
		Example: `  carillon explain --datastore inbox --path incoming/a.csv`,
		Args:    noArguments,
	}
	name := cmd.Flags().StringP("datastore", "d", "", "the datastore's name (carillon datastores list)")
	path := cmd.Flags().StringP("path", "p", "", "the file's path, from the datastore's root")
	cmd.MarkFlagRequired("datastore")
	cmd.MarkFlagRequired("path")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{"datastore": {*name}, "path": {*path}}
		return ask(cmd, call{method: http.MethodGet, path: "/api/explain", query: query}, explanation.text)
	}
	return cmd
}

// explanation is what is shown of what a file fires.
type explanation struct {
	Datastore string
	Path      string
	Exists    bool
	ETag      string
	Modified  time.Time
	Problem   string
	Matches   []struct{ Schedule, Status, Folder, Says string }
	Near      []struct{ Schedule, Folder, Why string }
	Notices   []string
}

func (x explanation) text() string {
	var b strings.Builder
	line := func(parts ...string) { b.WriteString(safe(strings.Join(parts, "")) + "\n") }
	switch at := x.Datastore + "/" + x.Path; {
	case x.Problem != "":
		line(at, " cannot be looked at: ", x.Problem)
	case x.Exists:
		line(at, " was written at ", clock(x.Modified.UTC()), " (etag ", x.ETag, ")")
	default:
		line(at, " does not exist now")
	}
	b.WriteString(noted(x.Notices))
	if len(x.Matches) == 0 {
		line("It fires no schedule.")
	}
	for _, m := range x.Matches {
		b.WriteString("\n")
		line(m.Schedule, " (", m.Status, ") watches ", m.Folder)
		line("  ", m.Says)
	}
	if len(x.Near) > 0 {
		b.WriteString("\nIt does not fire, although they watch its folder or one above it:\n")
	}
	for _, n := range x.Near {
		line("  ", n.Schedule, ", ", n.Folder, ": ", n.Why)
	}
	return b.String()
}

// fileChange is a version of a file.
type fileChange struct {
	Datastore string
	Path      string
	ETag      string
	Modified  time.Time
	Recorded  time.Time
}

func (c fileChange) place() string { return c.Datastore + "/" + c.Path }

func runChanges() *cobra.Command {
	cmd := &cobra.Command{Use: "changes ID", Short: "List the changes of data that a run is for", Args: oneRun}
	limit := limitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return list(cmd, *limit, listing{
			path: runsPath + "/" + url.PathEscape(args[0]) + "/changes", query: url.Values{}, none: "No change has fired that run.",
			head: []string{"FILE", "MODIFIED", "RECORDED", "ETAG"},
			row: func(item json.RawMessage) ([]string, error) {
				v, err := decode[fileChange](item)
				return []string{v.place(), clock(v.Modified.UTC()), clock(v.Recorded.UTC()), v.ETag}, err
			},
		})
	}
	return cmd
}

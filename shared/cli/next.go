package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"carillon/shared/schedule"
)

const previewPath = "/api/preview"

func (c commands) nextOccurrences() *cobra.Command {
	cmd := &cobra.Command{
		Use: "next {NAME | -f FILE}", Short: "List when a schedule fires next, or when a definition would",
		Long: `List when a schedule fires next, or, with -f, when a definition would if it were created now. A definition is checked
as at its creation, and nothing is created. NOTE says where daylight saving moves a time, and which calendar
excludes one. What fires when data change has no times.`,
		Example: `  carillon schedules next every-15-minutes
  carillon schedules next -f schedule.yaml -n 20`,
	}
	n := cmd.Flags().IntP("count", "n", 5, "how many times")
	files := cmd.Flags().StringArrayP("file", "f", nil, "a definition that is not created: a file, - for standard input")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch given := cmd.Flags().Changed("file"); {
		case given && len(args) > 0:
			return wrongUsage("%s takes a schedule's name or a file with -f, not both", cmd.CommandPath())
		case given:
			return nil
		}
		return oneName(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{"n": {strconv.Itoa(*n)}}
		if len(args) == 0 {
			return c.preview(cmd, *files, query)
		}
		return c.next(cmd, args[0], query)
	}
	return cmd
}

func (c commands) next(cmd *cobra.Command, name string, query url.Values) error {
	client, err := connect(cmd)
	if err != nil {
		return err
	}
	p, err := client.page(cmd.Context(), schedulesPath+"/"+name+"/next", query)
	if err != nil {
		return err
	}
	if asJSON(cmd) {
		out := &array{w: cmd.OutOrStdout()}
		if err := out.print(p.Items); err != nil {
			return err
		}
		return out.close()
	}
	switch {
	case len(p.Notices) > 0:
		fmt.Fprint(cmd.ErrOrStderr(), safe(name+": "+strings.Join(p.Notices, "; "))+"\n")
	case len(p.Items) == 0:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s does not fire again as it stands: it is disabled, or over.\n", name)
	}
	return c.printTimes(cmd, p.Items)
}

// preview says when the one definition of the files would fire.
func (c commands) preview(cmd *cobra.Command, files []string, query url.Values) error {
	doc, err := oneDocument(cmd, files)
	if err != nil {
		return err
	}
	client, err := connect(cmd)
	if err != nil {
		return err
	}
	data, _, err := client.read(cmd.Context(), call{method: http.MethodPost, path: previewPath, query: query, body: doc.json})
	if err != nil {
		return err
	}
	if asJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), data)
	}
	v, err := decode[previewView](data)
	if err != nil {
		return err
	}
	if err := printText(cmd.OutOrStdout(), safe(v.When)+"\n"+noted(v.Notices)); err != nil || doc.watches() {
		return err
	}
	if err := printText(cmd.OutOrStdout(), "\n"); err != nil {
		return err
	}
	if len(v.Items) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "It would not fire: it is over.")
	}
	return c.printTimes(cmd, v.Items)
}

// watches reports whether a document is a definition that fires when data change.
func (d document) watches() bool {
	var v struct{ Trigger struct{ Type string } }
	return json.Unmarshal(d.json, &v) == nil && strings.EqualFold(v.Trigger.Type, string(schedule.KindDatastore))
}

func (c commands) printTimes(cmd *cobra.Command, items []json.RawMessage) error {
	out := &table{w: cmd.OutOrStdout(), head: []string{"TIME", "UTC", "AWAY", "NOTE"}}
	return printRows(out, items, func(item json.RawMessage) ([]string, error) {
		v, err := decode[upcoming](item)
		return v.row(c.now()), err
	})
}

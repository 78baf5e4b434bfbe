package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"github.com/spf13/cobra"
)

// listing is a list of the API and how it is shown.
type listing struct {
	path  string
	query url.Values
	head  []string
	row   func(item json.RawMessage) ([]string, error)
	none  string // said of an empty one
}

func limitFlag(cmd *cobra.Command) *int {
	return cmd.Flags().IntP("limit", "n", 100, "how many to list at most; 0 for all")
}

// list prints a list as its pages come, so that a long one takes no memory.
func list(cmd *cobra.Command, limit int, l listing) error {
	if limit < 0 {
		return wrongUsage("--limit has to be 0 or more")
	}
	client, err := connect(cmd)
	if err != nil {
		return err
	}
	var notices []string // of all pages: many have the same
	if asJSON(cmd) {
		out := &array{w: cmd.OutOrStdout()}
		_, err := client.pages(cmd.Context(), l.path, l.query, limit, func(p page) error {
			notices = more(notices, p.Notices)
			return out.print(p.Items)
		})
		if err != nil {
			return err
		}
		fmt.Fprint(cmd.ErrOrStderr(), noted(notices))
		return out.close()
	}
	out := &table{w: cmd.OutOrStdout(), head: l.head}
	goesOn, err := client.pages(cmd.Context(), l.path, l.query, limit, func(p page) error {
		notices = more(notices, p.Notices)
		return printRows(out, p.Items, l.row)
	})
	if err != nil {
		return err
	}
	if out.widths == nil {
		fmt.Fprintln(cmd.ErrOrStderr(), l.none)
	}
	fmt.Fprint(cmd.ErrOrStderr(), noted(notices))
	if goesOn {
		fmt.Fprintf(cmd.ErrOrStderr(), "There are more than these %d; --limit 0 lists all.\n", limit)
	}
	return nil
}

// more are notices with those that are not among them yet.
func more(notices, others []string) []string {
	for _, n := range others {
		if !slices.Contains(notices, n) {
			notices = append(notices, n)
		}
	}
	return notices
}

func printRows(out *table, items []json.RawMessage, row func(json.RawMessage) ([]string, error)) error {
	rows := make([][]string, len(items))
	for i, item := range items {
		var err error
		if rows[i], err = row(item); err != nil {
			return err
		}
	}
	return out.print(rows)
}

// decode reads the fields of an answer that are shown.
func decode[T any](data json.RawMessage) (T, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("the server's answer is not understood (%w); -o json shows it", err)
	}
	return v, nil
}

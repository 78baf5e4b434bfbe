package cli

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"carillon/shared/problem"
)

func (c commands) createSchedules() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create -f FILE", Short: "Create schedules from files, YAML or JSON",
		Long: `Create a schedule from each document of the files, YAML or JSON. In YAML several documents are separated
by ---, in JSON they follow each other. All files are read before anything is created; a definition that is refused
does not keep the others from being created.

  name: every-15-minutes
  pipeline: {kind: local, id: hello}
  experiment: demo
  parameters: {who: world}
  trigger: {type: recurrence, frequency: minute, interval: 15}

One that fires when data change has another trigger:

  trigger: {type: datastore, datastore: inbox, path_on_datastore: incoming, include: ["*.csv"], mode: each}`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return wrongUsage("%s takes files with -f: -f %s", cmd.CommandPath(), args[0])
			}
			return nil
		},
	}
	files := filesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		docs, err := readDocuments(cmd.Context(), *files, cmd.InOrStdin())
		if err != nil {
			return err
		}
		client, err := connect(cmd)
		if err != nil {
			return err
		}
		return c.createAll(cmd, client, docs)
	}
	return cmd
}

func filesFlag(cmd *cobra.Command) *[]string {
	files := cmd.Flags().StringArrayP("file", "f", nil, "a file to read, - for standard input; can be repeated")
	cmd.MarkFlagRequired("file")
	return files
}

// createAll creates what it can. It stops where the next document would fare no better.
func (c commands) createAll(cmd *cobra.Command, client *client, docs []document) error {
	failed := 0
	for _, doc := range docs {
		err := c.create(cmd, client, doc)
		if err == nil {
			continue
		}
		var p *problem.Problem
		if len(docs) == 1 || !errors.As(err, &p) {
			return err
		}
		p.Title = doc.where + ": " + p.Title
		if !ofThis(p) {
			return p
		}
		report(cmd.ErrOrStderr(), asJSON(cmd), p)
		failed++
	}
	if failed > 0 {
		return &problem.Problem{Code: problem.BadRequest, Title: fmt.Sprintf("%d of %d schedules were not created", failed, len(docs))}
	}
	return nil
}

// ofThis reports whether a problem comes of the document that was sent, not of the server or the key.
func ofThis(p *problem.Problem) bool {
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return false
	}
	return p.Status/100 == 4
}

func (c commands) create(cmd *cobra.Command, client *client, doc document) error {
	data, _, err := client.read(cmd.Context(), call{method: http.MethodPost, path: schedulesPath, body: doc.json})
	if err != nil {
		return err
	}
	return show(cmd, data, func(v scheduleView) string { return c.changed("created: ", v) })
}

// changed says what a change has led to.
func (c commands) changed(what string, v scheduleView) string {
	return safe(what+v.line(c.now())) + "\n" + noted(v.Notices)
}

// noted is notices in lines of their own, below what they are about.
func noted(notices []string) (lines string) {
	for _, notice := range notices {
		lines += "  note: " + safe(notice) + "\n"
	}
	return lines
}

func (c commands) updateSchedule() *cobra.Command {
	cmd := &cobra.Command{
		Use: "update NAME -f FILE", Short: "Change the fields of a schedule that a file gives",
		Long: `Change the fields of a schedule that a file gives (one document, YAML or JSON).

The document is a merge patch (RFC 7396): fields that it lacks stay as they are, also when it looks like a whole
definition; a field that is null (in YAML also ~) is removed; an object such as parameters is merged field by field.
A trigger of another type replaces the whole trigger, and all_of one folder. The name cannot be changed.`,
		Example: `  echo 'trigger: {interval: 30}' | carillon schedules update every-15-minutes -f -`,
		Args:    oneName,
	}
	files := filesFlag(cmd)
	match := cmd.Flags().String("if-match", "", "only if the schedule still has this etag (carillon schedules get shows it)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		doc, err := oneDocument(cmd, *files)
		if err != nil {
			return err
		}
		asked := call{method: http.MethodPatch, path: schedulesPath + "/" + args[0], body: doc.json, media: "application/merge-patch+json"}
		if *match != "" {
			asked.header = map[string]string{"If-Match": quotedTag(*match)}
		}
		return c.change(cmd, "updated: ", asked)
	}
	return cmd
}

// quotedTag gives an etag the quotes that a shell takes away.
func quotedTag(tag string) string {
	if tag == "*" || strings.Contains(tag, `"`) {
		return tag
	}
	return `"` + tag + `"`
}

func (c commands) change(cmd *cobra.Command, what string, asked call) error {
	return ask(cmd, asked, func(v scheduleView) string { return c.changed(what, v) })
}

// ask sends one request and shows its answer.
func ask[T any](cmd *cobra.Command, asked call, text func(T) string) error {
	client, err := connect(cmd)
	if err != nil {
		return err
	}
	data, _, err := client.read(cmd.Context(), asked)
	if err != nil {
		return err
	}
	return show(cmd, data, text)
}

func (c commands) enableSchedule() *cobra.Command {
	return c.setStatus("enable", "Let a schedule fire again")
}

func (c commands) disableSchedule() *cobra.Command {
	return c.setStatus("disable", "Keep a schedule from firing; what is under way goes on")
}

func (c commands) setStatus(verb, short string) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " NAME", Short: short, Args: oneName}
	note := cmd.Flags().String("note", "", "why, for those who look at it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asked := call{method: http.MethodPost, path: schedulesPath + "/" + args[0] + "/" + verb}
		if *note != "" {
			var err error
			if asked.body, err = json.Marshal(map[string]string{"note": *note}); err != nil {
				return err
			}
		}
		return c.change(cmd, "", asked)
	}
	return cmd
}

func deleteSchedule() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a schedule at once; its runs are kept for their time", Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			asked := call{method: http.MethodDelete, path: schedulesPath + "/" + args[0]}
			return ask(cmd, asked, func(struct{}) string { return "deleted: " + args[0] + "\n" })
		},
	}
}

func (c commands) triggerSchedule() *cobra.Command {
	cmd := &cobra.Command{
		Use: "trigger NAME", Short: "Start a run now, also of a disabled schedule",
		Example: `  carillon schedules trigger every-15-minutes --param who=me`,
		Args:    oneName,
	}
	params := cmd.Flags().StringArray("param", nil, "k=v: another value for a parameter, for this run; can be repeated")
	nominal := cmd.Flags().String("nominal", "", "the time that the run is for, as templates see it: 2026-01-05T10:00 in the schedule's zone, or an instant")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := triggerBody(*params, *nominal)
		if err != nil {
			return err
		}
		client, err := connect(cmd)
		if err != nil {
			return err
		}
		data, _, err := client.read(cmd.Context(), call{
			method: http.MethodPost, path: schedulesPath + "/" + args[0] + "/trigger", body: body,
			// A request that a broken connection repeats makes one run.
			header: map[string]string{"Idempotency-Key": rand.Text()},
		})
		if err != nil {
			return err
		}
		return show(cmd, data, func(v runView) string {
			return safe("run "+v.ID+" is "+v.outcome()) + "\n" + safe("  look at it with: carillon runs get "+v.ID) + "\n"
		})
	}
	return cmd
}

func triggerBody(params []string, nominal string) ([]byte, error) {
	given, err := values(params)
	if err != nil || len(given) == 0 && nominal == "" {
		return nil, err
	}
	body := map[string]any{}
	if len(given) > 0 {
		body["parameters"] = given
	}
	if nominal != "" {
		body["nominal"] = nominal
	}
	return json.Marshal(body)
}

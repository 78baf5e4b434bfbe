package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carillon/shared/problem"
)

const (
	mostIdle   = 8               // requests in a row that bring nothing further
	mostPause  = time.Minute     // after one of those, where the server asks for less
	leastAhead = 6 * time.Minute // of a cut-over that is sent again: the server wants five, and to be asked takes its time
)

// carryOut asks until all is done that can be, and shows what came of it, also where it cannot go on.
func (c commands) carryOut(cmd *cobra.Command, client *client, q importRequest) error {
	var all importing
	for idle, best := 0, 0; ; idle++ {
		data, answer, err := c.ask(cmd, client, q)
		if err != nil {
			return all.end(cmd, err)
		}
		news, err := all.add(data, answer)
		if err != nil || answer.AgainAt.IsZero() {
			return all.end(cmd, err)
		}
		for _, line := range news {
			fmt.Fprintln(cmd.ErrOrStderr(), safe(line))
		}
		switch done := all.done(); {
		case done > best:
			idle, best = 0, done
		case idle == mostIdle:
			return all.end(cmd, &problem.Problem{Code: problem.Unavailable, Title: fmt.Sprintf(
				"%d requests have brought nothing further, and these are not done yet: %s. What was done stays; the same command, given again, goes on",
				mostIdle, strings.Join(all.waiting(), ", "))})
		}
		if err := c.pause(cmd.Context(), c.wait(answer.AgainAt, idle)); err != nil {
			return all.end(cmd, err)
		}
		if at, err := time.Parse(time.RFC3339, q.CutOver); err == nil && at.Before(c.now().Add(leastAhead)) {
			q.CutOver = "" // the earliest from now on; what has begun keeps its own
		}
	}
}

// wait is how long until the server can go on: longer each time that it could not, as its clock may be another.
func (c commands) wait(again time.Time, idle int) time.Duration {
	least := time.Duration(0)
	if idle > 0 {
		least = min(time.Second<<(idle-1), mostPause)
	}
	return max(again.Sub(c.now()), least)
}

// importing is what has come of an import so far.
type importing struct {
	items   []outcome
	answers []json.RawMessage
}

// outcome is the latest of one old schedule, with all that was said of it.
type outcome struct {
	importItem
	sent map[string]json.RawMessage
}

// add takes the next answer, and returns what it says that no earlier one has said.
func (all *importing) add(data json.RawMessage, answer importView) (news []string, err error) {
	var sent struct {
		Items []map[string]json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(data, &sent); err != nil {
		return nil, err
	}
	all.answers = append(all.answers, data)
	for i, item := range answer.Items {
		at := i // those of a file stand in its order, those of a workspace have ids
		if id := item.Source.ID; id != "" {
			at = slices.IndexFunc(all.items, func(o outcome) bool { return o.Source.ID == id })
		}
		if at < 0 || at == len(all.items) {
			at, all.items = len(all.items), append(all.items, outcome{})
		}
		before := all.items[at]
		for _, line := range slices.Concat(item.Done, item.Problems) {
			if !slices.Contains(before.Done, line) && !slices.Contains(before.Problems, line) {
				news = append(news, item.Name+": "+line)
			}
		}
		item.Done = before.and(item)
		all.items[at] = outcome{item, sent.Items[i]}
	}
	return news, nil
}

// and is all that was said of it by the next answer, each once. What is no problem any more is told as the past.
func (v importItem) and(next importItem) (lines []string) {
	past := []string{}
	for _, line := range v.Problems {
		if !slices.Contains(next.Problems, line) {
			past = append(past, "earlier: "+line)
		}
	}
	for _, line := range slices.Concat(v.Done, past, next.Done) {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// done counts what is done: it grows with every step of a change-over.
func (all *importing) done() (n int) {
	for _, item := range all.items {
		for _, step := range []bool{item.Created, item.Source.Disabled, item.AgainAt.IsZero()} {
			if step {
				n++
			}
		}
	}
	return n
}

// waiting are the names of those that are not done yet.
func (all *importing) waiting() (names []string) {
	for _, item := range all.items {
		if !item.AgainAt.IsZero() {
			names = append(names, item.Name)
		}
	}
	return names
}

// end shows what has come of it. It fails for the reason that there is, or where something was to be done and was not.
func (all *importing) end(cmd *cobra.Command, reason error) error {
	if len(all.answers) == 0 {
		return reason
	}
	if err := all.show(cmd); err != nil {
		return err
	}
	failed := 0
	for _, item := range all.items {
		if len(item.Problems) > 0 {
			failed++
		}
	}
	if reason == nil && failed > 0 {
		return &problem.Problem{Code: problem.Conflict, Title: fmt.Sprintf("%d of %d schedules were not imported", failed, len(all.items))}
	}
	return reason
}

func (all *importing) show(cmd *cobra.Command) error {
	if !asJSON(cmd) {
		text := ""
		for _, item := range all.items {
			text += item.summary() + "\n"
		}
		return printText(cmd.OutOrStdout(), text)
	}
	data, err := all.json()
	if err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), data)
}

// json is the last answer as it was sent, with what earlier ones said.
func (all *importing) json() (json.RawMessage, error) {
	last := all.answers[len(all.answers)-1]
	if len(all.answers) == 1 {
		return last, nil
	}
	var answer map[string]any
	if err := json.Unmarshal(last, &answer); err != nil {
		return nil, err
	}
	items := []any{}
	for _, item := range all.items {
		done, err := json.Marshal(item.Done)
		if err != nil {
			return nil, err
		}
		if len(item.Done) > 0 {
			item.sent["done"] = done
		}
		items = append(items, item.sent)
	}
	answer["items"] = items
	return json.Marshal(answer)
}

func (v importItem) summary() string {
	var s sheet
	s.line("Name", v.Name)
	s.line("From", v.from())
	v.outcome(&s)
	return s.b.String()
}

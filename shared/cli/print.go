package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"carillon/shared/recur"
	"carillon/shared/schedule"
)

// table prints rows in columns, some at a time. A column never gets narrower, so that the parts of a long list align
// as far as one can know before all of it is there.
type table struct {
	w      io.Writer
	head   []string
	widths []int // in characters; nil until the head has been printed
}

const columnGap = "   "

func (t *table) print(rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	if t.widths == nil {
		t.widths = make([]int, len(t.head))
		rows = append([][]string{t.head}, rows...)
	}
	for _, row := range rows {
		for i := range row {
			row[i] = safe(row[i])
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)) + columnGap
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return printText(t.w, b.String())
}

// printJSON prints a value as it was sent, indented.
func printJSON(w io.Writer, data json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return err
	}
	return printText(w, b.String()+"\n")
}

// array prints items as one JSON array, some at a time. It is whole once closed.
type array struct {
	w     io.Writer
	begun bool
}

func (a *array) print(items []json.RawMessage) error {
	var b bytes.Buffer
	for _, item := range items {
		if a.begun {
			b.WriteString(",\n  ")
		} else {
			b.WriteString("[\n  ")
		}
		a.begun = true
		if err := json.Indent(&b, item, "  ", "  "); err != nil {
			return err
		}
	}
	return printText(a.w, b.String())
}

func (a *array) close() error {
	if !a.begun {
		return printText(a.w, "[]\n")
	}
	return printText(a.w, "\n]\n")
}

// sheet is one thing for a person: lines of a label and a value.
type sheet struct{ b strings.Builder }

const labelWidth = 13

// line adds a value, unless it is empty. Without a label it belongs to the line above.
func (s *sheet) line(label, value string) {
	if value == "" {
		return
	}
	if label != "" {
		label += ":"
	}
	fmt.Fprintf(&s.b, "%-*s %s\n", labelWidth, label, safe(value))
}

// lines adds several values under one label.
func (s *sheet) lines(label string, values []string) {
	for _, value := range values {
		s.line(label, value)
		label = ""
	}
}

// safe shows what a terminal would obey, or not show, as an escape: text of others cannot move the cursor or hide.
func safe(text string) string {
	var b strings.Builder
	for i, c := range text {
		size := utf8.RuneLen(c)
		switch {
		case c == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(c):
			b.WriteString(text[i : i+size])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(c), "'"))
		}
	}
	return b.String()
}

const longest = 60

// cut shortens a text that a column has no place for.
func cut(text string) string {
	if utf8.RuneCountInString(text) <= longest {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:longest-1]), " ") + "…"
}

// clock writes an instant with its zone, "" for none.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02 15:04:05 MST")
}

// inZone moves an instant to a trigger's zone; to UTC where this program does not know that zone.
func inZone(t time.Time, name string) time.Time {
	zone, err := recur.LoadZone(name)
	if err != nil {
		zone = time.UTC
	}
	return t.In(zone)
}

// away says how far ahead an instant is: "in 4m".
func away(t, now time.Time) string {
	if !t.After(now) {
		return "now"
	}
	return "in " + rough(t.Sub(now))
}

func rough(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// took writes how long something lasted; so far, when it has not ended; "" when it has not begun.
func took(started, ended, now time.Time) string {
	switch {
	case started.IsZero():
		return ""
	case ended.IsZero():
		return length(now.Sub(started)) + " so far"
	}
	return length(ended.Sub(started))
}

func length(d time.Duration) string {
	if d = max(d, 0); d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return schedule.Duration(d.Round(time.Second)).String()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

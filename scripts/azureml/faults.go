package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/shared/pipeline/azureml/azuremltest"
)

// answer says what was done, or what is wrong with the request.
func answer(do func(*http.Request) (done string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		done, err := do(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, done)
	}
}

var spoken = strings.NewReplacer(" ", "-", "'", "")

// nameOf is an operation's name in an address.
func nameOf(op azuremltest.Op) string { return spoken.Replace(string(op)) }

// listFaults lists the operations, how often each was asked for, and how many faults wait there.
func listFaults(w io.Writer, workspace *azuremltest.Service) {
	for _, op := range azuremltest.Ops() {
		fmt.Fprintf(w, "%-36s asked %-5d faults that wait %d\n", nameOf(op), workspace.Asked(op), workspace.Faults(op))
	}
}

// putFaults lets the next requests for an operation fail, as the query says:
//
//	op=NAME           which one; GET /faults lists them
//	count=3           how many requests; 1 when it is not given
//	status=503        with which status it is answered
//	retry_after=7     with this header, seconds or a date
//	drop=true         the connection is cut instead; with a status, in the middle of the answer
//	hold=20s          the answer is kept back so long; on its own it is only slow
//	after_work=true   the work is done first
func putFaults(workspace *azuremltest.Service, query url.Values) (done string, err error) {
	ops := azuremltest.Ops()
	at := slices.IndexFunc(ops, func(op azuremltest.Op) bool { return nameOf(op) == query.Get("op") })
	if at < 0 {
		return "", fmt.Errorf("op=%s is no operation: GET /faults lists them", query.Get("op"))
	}
	fault, count, err := readFault(query)
	if err != nil {
		return "", err
	}
	for range count {
		workspace.Fail(ops[at], fault)
	}
	return fmt.Sprintf("faults that wait for requests to %s: %d", ops[at], workspace.Faults(ops[at])), nil
}

const mostFaults = 1000 // that one request may put up

func readFault(query url.Values) (f azuremltest.Fault, count int, err error) {
	count = 1
	for name, values := range query {
		text, wrong := values[len(values)-1], error(nil)
		switch name {
		case "op":
		case "retry_after":
			f.RetryAfter = text
		case "count":
			count, wrong = within(text, 1, mostFaults)
		case "status":
			f.Status, wrong = within(text, 200, 599)
		case "drop":
			f.Drop, wrong = strconv.ParseBool(text)
		case "after_work":
			f.AfterWork, wrong = strconv.ParseBool(text)
		case "hold":
			f.Hold, wrong = hold(text)
		default:
			wrong = fmt.Errorf("there are op, count, status, retry_after, drop, hold and after_work")
		}
		if wrong != nil {
			return f, 0, fmt.Errorf("%s=%s: %w", name, text, wrong)
		}
	}
	if f.Status == 0 && !f.Drop && f.Hold == nil {
		return f, 0, fmt.Errorf("nothing fails: give status=503, drop=true or hold=20s")
	}
	return f, count, nil
}

func within(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("has to be a number from %d to %d", least, most)
	}
	return n, nil
}

// hold keeps an answer back, as long as somebody waits for it.
func hold(text string) (func(context.Context), error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return nil, fmt.Errorf("has to be a time such as 20s")
	}
	return func(ctx context.Context) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}, nil
}

// behave reads manners as JSON: {"TagsLost": true}. What is not named is as it is without a word; {} ends all of them.
func behave(workspace *azuremltest.Service, body io.Reader) (done string, err error) {
	in := json.NewDecoder(io.LimitReader(body, 1<<20))
	in.DisallowUnknownFields()
	var m azuremltest.Manners
	if err := in.Decode(&m); err != nil {
		known, _ := json.Marshal(m)
		return "", fmt.Errorf("%w; manners are %s", err, known)
	}
	workspace.Behave(m)
	now, err := json.Marshal(m)
	return string(now), err
}

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"carillon/shared/problem"
)

func TestWrongUsage(t *testing.T) {
	tests := []struct{ args, stderr string }{
		{"nonsense", `unknown command "nonsense" for "carillon"`},
		{"help nonsense", `there is no command ["nonsense"]`},
		{"schedules nonsense", `there is no command "nonsense" in "carillon schedules"`},
		{"schedules lists", `there is no command "lists" in "carillon schedules"; did you mean list?`},
		{"schedules list more", `carillon schedules list takes no arguments, and got "more"`},
		{"schedules list --nonsense", "unknown flag: --nonsense"},
		{"schedules list -o yaml", `invalid argument "yaml" for "-o, --output" flag: has to be table or json`},
		{"schedules list -n -1", "--limit has to be 0 or more"},
		{"schedules list -n many", `invalid argument "many" for "-n, --limit" flag`},
		{"schedules list --endpoint localhost:7071", "the endpoint (--endpoint, CARILLON_ENDPOINT) has to be an address such as http://127.0.0.1:7071"},
		{"schedules list --endpoint http://me:secret@x", "the endpoint (--endpoint, CARILLON_ENDPOINT) has to be"},
		{"schedules list --key a\nb", "the key (--key, CARILLON_KEY) has characters"},
		{"schedules get", "carillon schedules get takes one argument: the schedule's name"},
		{"schedules get a b", "carillon schedules get takes one argument: the schedule's name"},
		{"schedules get ..", `".." cannot be a schedule's name`},
		{"schedules delete a/../b", `"a/../b" cannot be a schedule's name`},
		{"schedules create", `required flag(s) "file" not set`},
		{"schedules create a.yaml", "carillon schedules create takes files with -f: -f a.yaml"},
		{"schedules update a", `required flag(s) "file" not set`},
		{"schedules update a -f -", "carillon schedules update takes one document, and got 2"},
		{"schedules trigger a --param b", `--param takes NAME=VALUE, not "b"`},
		{"schedules trigger a --param =b", `--param takes NAME=VALUE, not "=b"`},
		{"schedules trigger a --param b=1 --param b=2", "--param b is given twice"},
		{"schedules next", "carillon schedules next takes one argument: the schedule's name"},
		{"schedules next a -f b.yaml", "carillon schedules next takes a schedule's name or a file with -f, not both"},
		{"schedules next -f -", "carillon schedules next takes one document, and got 2"},
		{"schedules next -f - -n many", `invalid argument "many" for "-n, --count" flag`},
		{"calendars get", "carillon calendars get takes one argument: the calendar's name"},
		{"calendars get a/b", `"a/b" cannot be a calendar's name`},
		{"calendars apply -f -", "carillon calendars apply takes one argument: the calendar's name"},
		{"calendars apply a", `required flag(s) "file" not set`},
		{"calendars apply a -f -", "carillon calendars apply takes one document, and got 2"},
		{"calendars delete ..", `".." cannot be a calendar's name`},
		{"calendars remove a", `there is no command "remove" in "carillon calendars"`},
		{"runs get ..", `".." is not a run's id`},
		{"runs changes", "carillon runs changes takes one argument: the run's id"},
		{"explain --datastore inbox", `required flag(s) "path" not set`},
		{"explain inbox a", "carillon explain takes no arguments"},
		{"runs output", "carillon runs output takes one argument: the run's id"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			code, stdout, stderr := run(t, script(t), "a: 1\n---\nb: 1\n", strings.Split(test.args, " ")...)
			if code != 2 || stdout != "" {
				t.Errorf("exit code %d, stdout %q, want 2 and nothing", code, stdout)
			}
			first, rest, _ := strings.Cut(stderr, "\n")
			if !strings.HasPrefix(first, "carillon: "+test.stderr) || !strings.HasSuffix(rest, " --help says how it is used\n") {
				t.Errorf("stderr is\n%s\nwant %s", stderr, test.stderr)
			}
			if strings.Contains(stderr, "secret") {
				t.Errorf("stderr shows a secret: %s", stderr)
			}
		})
	}
}

func TestWrongUsageAsJSON(t *testing.T) {
	code, _, stderr := run(t, script(t), "", "schedules", "get", "-o", "json")
	var p problem.Problem
	if err := json.Unmarshal([]byte(stderr), &p); err != nil {
		t.Fatalf("stderr is not JSON: %s", stderr)
	}
	if code != 2 || p.Code != problem.BadRequest {
		t.Errorf("exit code %d, problem %q, want 2 and %q", code, p.Code, problem.BadRequest)
	}
}

func TestHelp(t *testing.T) {
	t.Setenv("CARILLON_KEY", "the-secret-key")
	for _, args := range []string{"", "--help", "help", "help schedules update", "schedules", "runs list -h", "completion bash", "--version"} {
		code, stdout, stderr := run(t, script(t), "", strings.Fields(args)...)
		if code != 0 || stdout == "" || stderr != "" {
			t.Errorf("%q: exit code %d, %d bytes, stderr %q", args, code, len(stdout), stderr)
		}
		if strings.Contains(stdout, "the-secret-key") {
			t.Errorf("%q shows the key", args)
		}
	}
}

// What the program adds to the command line keeps its own arguments and errors, under the same codes.
func TestExtraCommands(t *testing.T) {
	tests := []struct {
		args, stderr string
		code         int
	}{
		{"serve", "", 0},
		{"serve --fail", "carillon: listen on x: in use\n  another address: --listen\n", 1},
		{"serve now", "carillon: unknown command \"now\" for \"carillon serve\"\n  carillon serve --help says how it is used\n", 2},
		{"serve --fail -o json", indented(`{"code":"internal","title":"listen on x: in use\nanother address: --listen","status":0}`), 1},
	}
	for _, test := range tests {
		var fail bool
		serve := &cobra.Command{Use: "serve", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
			if fail {
				return errors.New("listen on x: in use\nanother address: --listen")
			}
			return nil
		}}
		serve.Flags().BoolVar(&fail, "fail", false, "")
		var out, errs strings.Builder
		code := Main(Root("dev", serve), strings.Fields(test.args), &out, &errs)
		compare(t, "stderr", errs.String(), test.stderr)
		if code != test.code {
			t.Errorf("%s: exit code %d, want %d", test.args, code, test.code)
		}
	}
}

func TestInterrupted(t *testing.T) {
	t.Setenv("CARILLON_ENDPOINT", script(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, stderr := runAs(ctx, "", "schedules", "list")
	compare(t, "stderr", stderr, "carillon: interrupted\n")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

// Somebody who gives up typing is not kept waiting.
func TestInterruptedWhileReading(t *testing.T) {
	t.Setenv("CARILLON_ENDPOINT", script(t))
	for _, args := range []string{"schedules create -f -", "occurrences"} {
		ctx, cancel := context.WithCancel(t.Context())
		silent, _ := io.Pipe()
		var out, errs strings.Builder
		root := Root("dev")
		root.SetContext(ctx)
		root.SetIn(readStarts{silent, cancel})
		if code := Main(root, strings.Fields(args), &out, &errs); code != 1 {
			t.Errorf("%s: exit code %d, want 1", args, code)
		}
		compare(t, args+": stderr", errs.String(), "carillon: interrupted\n")
	}
}

// readStarts tells when it is read for the first time.
type readStarts struct {
	io.Reader
	tell func()
}

func (r readStarts) Read(p []byte) (int, error) {
	r.tell()
	return r.Reader.Read(p)
}

func TestOccurrencesCommand(t *testing.T) {
	question := `{"id": 1, "op": "occurrences", "kind": "cron", "spec": {"expression": "0 9 * * 1-5"}, "from": "2026-11-22T00:00:00Z", "n": 2}` + "\n"
	code, stdout, stderr := run(t, script(t), question+"x\n", "occurrences")
	first, rest, _ := strings.Cut(stdout, "\n")
	compare(t, "the answer", first, `{"id":1,"instants":["2026-11-23T09:00:00Z","2026-11-24T09:00:00Z"]}`)
	if !strings.HasPrefix(rest, `{"id":null,"error":`) || stderr != "" || code != 0 {
		t.Errorf("exit code %d, then %s, stderr %q", code, rest, stderr)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputThatCannotBeWritten(t *testing.T) {
	for _, args := range []string{"version", "version -o json", "runs list", "runs list -o json", "runs get x", "runs output x"} {
		var exchanges []exchange
		switch fields := strings.Fields(args); {
		case fields[0] == "version":
		case fields[1] == "list":
			exchanges = []exchange{{request: "GET /api/runs?limit=100", answer: `{"items":[` + failed + `]}`}}
		case fields[1] == "get":
			exchanges = []exchange{{request: "GET /api/runs/x", answer: failed}}
		default:
			exchanges = []exchange{{request: "GET /api/runs/x/output", answer: "hello"}}
		}
		t.Setenv("CARILLON_ENDPOINT", script(t, exchanges...))
		var errs strings.Builder
		code := Main(Root("dev"), strings.Fields(args), full{}, &errs)
		want := "carillon: no space left on device\n"
		if strings.Contains(args, "json") {
			want = indented(`{"code":"internal","title":"no space left on device","status":0}`)
		}
		compare(t, args+": stderr", errs.String(), want)
		if code != 1 {
			t.Errorf("%s: exit code %d, want 1", args, code)
		}
	}
}

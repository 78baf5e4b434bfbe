package source

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseNamed(t *testing.T) {
	inbox := Named{"inbox", "AzureWebJobsStorage", "inbox", false}
	for text, want := range map[string][]Named{
		"":                                nil,
		" , ":                             nil,
		"inbox=AzureWebJobsStorage/inbox": {inbox},
		"\n inbox = AzureWebJobsStorage / inbox ,\n":              {inbox},
		"inbox=AzureWebJobsStorage/inbox,Out_2=Lake/raw-1:events": {inbox, {"Out_2", "Lake", "raw-1", true}},
		"w = Lake/$web : events":                                  {{"w", "Lake", "$web", true}},
	} {
		got, err := ParseNamed(text)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	if long := strings.Repeat("n", 123); len(must(t, long+"=A/abc:events")) != 1 || len(must(t, long+"n=A/abc")) != 1 {
		t.Error("a long name is refused")
	}
}

func must(t *testing.T, text string) []Named {
	t.Helper()
	all, err := ParseNamed(text)
	if err != nil {
		t.Error(err)
	}
	return all
}

func TestParseNamedRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"inbox":                               "has to be name=",
		"inbox=Lake":                          "has to be name=",
		"=Lake/abc":                           "a datastore's name",
		"in box=Lake/abc":                     "a datastore's name",
		"a=1Lake/abc":                         "a connection is",
		"a=/abc":                              "a connection is",
		"a=Lake/ab":                           "a container's name",
		"a=Lake/Abc":                          "a container's name",
		"a=Lake/a--b":                         "a container's name",
		"a=Lake/abc-":                         "a container's name",
		"a=Lake/abc/def":                      "a container's name",
		"a=Lake/" + strings.Repeat("a", 64):   "a container's name",
		"a=Lake/a" + strings.Repeat("-a", 32): "a container's name",
		"a=Lake/abc:event":                    ":event",
		"a=Lake/abc:":                         ":events or nothing",
		"a=Lake/abc,A=Lake/def":               "a datastore a already",
		strings.Repeat("n", 124) + "=Lake/abc:events":   "123 characters",
		"https://acme.blob.core.windows.net/abc=a/what": "a datastore's name",
	} {
		if got, err := ParseNamed(text); err == nil || len(got) > 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v and the error %v, want one with %q", text, got, err, want)
		}
	}
	_, err := ParseNamed("x, a=1/A:b, ok=Lake/abc")
	for _, want := range []string{`"x"`, "a connection", "a container", ":b"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %v does not tell of %s", err, want)
		}
	}
}

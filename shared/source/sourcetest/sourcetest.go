// Package sourcetest holds every Source to the contract of shared/source.
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/shared/source"
)

// Env is a datastore without files, and what can be done to it behind the Source's back.
type Env struct {
	Source source.Source
	Page   int // how many files its pages hold at most: a few
	Write  func(t *testing.T, path, content string)
	Remove func(t *testing.T, path string)
	Folder func(t *testing.T, path string) // makes a folder that is there without any file
	Lacks  func(path string) bool          // there can be no such path; nil: there is none such

	Missing source.Source // looks into a datastore that is not there
}

// Run checks a backend. Each call of open returns an Env of its own. The suite takes no luck and some hundred writes.
func Run(t *testing.T, open func(t *testing.T) Env) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Env)
	}{
		{"names", testNames},
		{"folders", testFolders},
		{"folders without files", testEmptyFolders},
		{"pages", testPages},
		{"changes between pages", testChanges},
		{"etags", testETags},
		{"nothing there", testNothing},
		{"no datastore", testMissing},
		{"tokens", testTokens},
		{"a context that has ended", testCancelled},
		{"many at once", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// all lists to the end.
func all(t *testing.T, e Env, folder string, recursive bool) []source.File {
	t.Helper()
	files, _ := rest(t, e, folder, recursive, "")
	return files
}

// rest lists from a token to the end, and gives the tokens that it came by.
func rest(t *testing.T, e Env, folder string, recursive bool, token string) (files []source.File, tokens []string) {
	t.Helper()
	for range 1000 {
		page, err := e.Source.List(t.Context(), folder, recursive, token)
		if err != nil {
			t.Fatalf("list %q from %q: %v", folder, token, err)
		}
		if len(page.Files) > e.Page {
			t.Fatalf("a page of %d files, want %d at most", len(page.Files), e.Page)
		}
		files = append(files, page.Files...)
		if page.Next == "" {
			return files, tokens
		}
		token = page.Next
		tokens = append(tokens, token)
	}
	t.Fatalf("list %q does not end", folder)
	return nil, nil
}

// paths are those of files, sorted. Each may come once.
func paths(files []source.File) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.Path)
	}
	slices.Sort(out)
	return out
}

func wantPaths(t *testing.T, what string, got []source.File, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := paths(got); !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

// stat returns a file that is there, and checks what every file has.
func stat(t *testing.T, e Env, path string) source.File {
	t.Helper()
	f, err := e.Source.Stat(t.Context(), path)
	if err != nil {
		t.Fatalf("stat %q: %v", path, err)
	}
	if f.Path != path || f.ETag == "" || strings.Contains(f.ETag, `"`) || f.Modified.Location() != time.UTC || f.Modified.IsZero() {
		t.Errorf("stat %q gives %+v", path, f)
	}
	return f
}

// Names that a file can have.
var names = []string{
	"plain.csv", "a b  c.csv", "100%.csv", "%41.csv", "%2F", "#1.csv", "a+b.csv", "a&b<c>'d\".csv", "a?b=c.csv", "a;b,c=d.csv",
	"caf\u00e9.csv", "cafe\u0301.csv", // composed, decomposed
	"übung/日本語/😀.csv", "dot.", "dots...", "a.b/c.d.e", "-", "~", "[x]{y}.csv", "a\\b.csv", "a:b|c*.csv", "UPPER.csv", "upper.csv",
	strings.Repeat(strings.Repeat("x", 199)+"/", 5) + strings.Repeat("y", 24), // 1,024 characters
}

func testNames(t *testing.T, e Env) {
	var want []string
	for _, folder := range []string{"", "in here/100% #1+ü/"} {
		for _, name := range names {
			if path := folder + name; len(path) <= 1024 && (e.Lacks == nil || !e.Lacks(path)) {
				e.Write(t, path, path)
				want = append(want, path)
			}
		}
	}
	listed := all(t, e, "", true)
	wantPaths(t, "all", listed, want...)
	for _, f := range listed {
		if got := stat(t, e, f.Path); got != f {
			t.Errorf("stat gives %+v, the listing %+v", got, f)
		}
		if f.Size != int64(len(f.Path)) {
			t.Errorf("%q has %d bytes, want %d", f.Path, f.Size, len(f.Path))
		}
	}
	below := slices.DeleteFunc(slices.Clone(want), func(p string) bool { return !strings.HasPrefix(p, "in here/100% #1+ü/") })
	wantPaths(t, "a folder", all(t, e, "in here/100% #1+ü", true), below...)
}

func testFolders(t *testing.T, e Env) {
	files := []string{"a", "in/a", "in/b", "in/deep/c", "in/deep/er/d", "inbox/e", "in.txt", "in-/f", "other/in/g"}
	for _, path := range files {
		e.Write(t, path, "x")
	}
	for _, c := range []struct {
		folder    string
		recursive bool
		want      []string
	}{
		{"", false, []string{"a", "in.txt"}},
		{"", true, files},
		{"in", false, []string{"in/a", "in/b"}},
		{"in", true, []string{"in/a", "in/b", "in/deep/c", "in/deep/er/d"}},
		{"in/deep", false, []string{"in/deep/c"}},
		{"in/deep/er", true, []string{"in/deep/er/d"}},
		{"inbox", false, []string{"inbox/e"}},
		{"other", false, nil},
		{"other", true, []string{"other/in/g"}},
		{"i", true, nil},
		{"IN", true, nil},
		{"none", false, nil},
		{"in/none/at all", true, nil},
		{"a", false, nil}, // a file
		{"a/b", true, nil},
	} {
		wantPaths(t, fmt.Sprintf("%q, recursive %t", c.folder, c.recursive), all(t, e, c.folder, c.recursive), c.want...)
	}
}

func testEmptyFolders(t *testing.T, e Env) {
	e.Folder(t, "in")
	e.Folder(t, "in/sub")
	e.Folder(t, "bare")
	e.Write(t, "in/empty", "")
	e.Write(t, "in/sub/a", "x")
	for _, c := range []struct {
		folder    string
		recursive bool
		want      []string
	}{
		{"", false, nil},
		{"", true, []string{"in/empty", "in/sub/a"}},
		{"in", false, []string{"in/empty"}},
		{"bare", true, nil},
	} {
		wantPaths(t, fmt.Sprintf("%q, recursive %t", c.folder, c.recursive), all(t, e, c.folder, c.recursive), c.want...)
	}
	for _, path := range []string{"in", "in/sub", "bare"} {
		if f, err := e.Source.Stat(t.Context(), path); !errors.Is(err, source.ErrNotFound) {
			t.Errorf("stat of the folder %s gives %+v, %v", path, f, err)
		}
	}
}

// Every file comes once, in the same order each time, however many fill the last page.
func testPages(t *testing.T, e Env) {
	var want []string
	for n := range 2*e.Page + 1 {
		for _, folder := range []string{"in/", "in/sub/", fmt.Sprintf("in/sub%02d/", n)} {
			want = append(want, fmt.Sprintf("%s%02d", folder, n))
			e.Write(t, want[len(want)-1], "x")
		}
		if n == e.Page-1 || n >= 2*e.Page-1 {
			wantPaths(t, "recursive", all(t, e, "in", true), want...)
			near := slices.DeleteFunc(slices.Clone(want), func(p string) bool { return strings.Count(p, "/") > 1 })
			wantPaths(t, "not recursive", all(t, e, "in", false), near...)
		}
	}
	for _, recursive := range []bool{false, true} {
		whole, tokens := rest(t, e, "in", recursive, "")
		if again := all(t, e, "in", recursive); !slices.Equal(again, whole) {
			t.Errorf("another order:\n%+v\n%+v", again, whole)
		}
		for _, token := range tokens {
			end, _ := rest(t, e, "in", recursive, token)
			if len(end) >= len(whole) || !slices.Equal(end, whole[len(whole)-len(end):]) {
				t.Errorf("from %q:\ngot    %+v\nout of %+v", token, end, whole)
			}
		}
	}
}

// What comes and goes while a listing is under way does not touch the rest.
func testChanges(t *testing.T, e Env) {
	for _, recursive := range []bool{false, true} {
		folder := fmt.Sprintf("in %t", recursive)
		var want []string
		for n := range 3 * e.Page {
			want = append(want, fmt.Sprintf("%s/%02d", folder, n))
			e.Write(t, want[n], "x")
		}
		page, err := e.Source.List(t.Context(), folder, recursive, "")
		if err != nil || page.Next == "" || len(page.Files) == 0 {
			t.Fatalf("%+v, %v", page, err)
		}
		for _, f := range page.Files {
			e.Remove(t, f.Path)
		}
		e.Write(t, folder+"/"+"!", "x") // before all others
		end, _ := rest(t, e, folder, recursive, page.Next)
		end = slices.DeleteFunc(end, func(f source.File) bool { return f.Path == folder+"/!" })
		wantPaths(t, folder, append(page.Files, end...), want...)
	}
}

// Each content has an ETag of its own, even of the same size within the same second, and nothing else changes it.
func testETags(t *testing.T, e Env) {
	e.Write(t, "in/a", "0000")
	e.Write(t, "in/b", "0000")
	b, seen := stat(t, e, "in/b"), map[string]bool{}
	for n := range 30 {
		e.Write(t, "in/a", fmt.Sprintf("%04d", n))
		f := stat(t, e, "in/a")
		if seen[f.ETag] {
			t.Fatalf("content %d has the ETag of an earlier one: %+v", n, f)
		}
		seen[f.ETag] = true
		if again := stat(t, e, "in/a"); again != f {
			t.Errorf("unchanged, but %+v is now %+v", f, again)
		}
		want := []source.File{f, b}
		for _, recursive := range []bool{false, true} {
			if got := all(t, e, "in", recursive); !slices.Equal(got, want) {
				t.Errorf("the listing gives %+v, stat %+v", got, want)
			}
		}
	}
}

func testNothing(t *testing.T, e Env) {
	for _, recursive := range []bool{false, true} {
		wantPaths(t, "nothing", all(t, e, "", recursive))
	}
	e.Write(t, "in/a", "x")
	for _, path := range []string{"b", "in/b", "in/a/b", "in", "in/", "/in/a", "in//", "", "/", strings.Repeat("x", 200)} {
		if f, err := e.Source.Stat(t.Context(), path); !errors.Is(err, source.ErrNotFound) {
			t.Errorf("stat %q gives %+v, %v", path, f, err)
		}
	}
	stat(t, e, "in/a")
	e.Remove(t, "in/a")
	if f, err := e.Source.Stat(t.Context(), "in/a"); !errors.Is(err, source.ErrNotFound) {
		t.Errorf("removed, and still %+v, %v", f, err)
	}
	wantPaths(t, "removed", all(t, e, "in", false))
}

func testMissing(t *testing.T, e Env) {
	for _, recursive := range []bool{false, true} {
		if page, err := e.Missing.List(t.Context(), "in", recursive, ""); !errors.Is(err, source.ErrMissing) {
			t.Errorf("list gives %+v, %v", page, err)
		}
	}
	if f, err := e.Missing.Stat(t.Context(), "in/a"); !errors.Is(err, source.ErrMissing) {
		t.Errorf("stat gives %+v, %v", f, err)
	}
}

func testTokens(t *testing.T, e Env) {
	for n := range 2 * e.Page {
		e.Write(t, fmt.Sprintf("in/%02d", n), "x")
	}
	for _, recursive := range []bool{false, true} {
		page, err := e.Source.List(t.Context(), "in", recursive, "")
		if err != nil || page.Next == "" {
			t.Fatalf("%+v, %v", page, err)
		}
		for _, token := range []string{"x", "x" + page.Next, page.Next[:1], "\x00", strings.Repeat("x", 5000)} {
			if page, err := e.Source.List(t.Context(), "in", recursive, token); !errors.Is(err, source.ErrToken) {
				t.Errorf("from the token %.20q: %+v, %v", token, page, err)
			}
		}
		if page, err := e.Source.List(t.Context(), "in", !recursive, page.Next); !errors.Is(err, source.ErrToken) {
			t.Errorf("from another kind of listing: %+v, %v", page, err)
		}
	}
}

func testCancelled(t *testing.T, e Env) {
	e.Write(t, "in/a", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if page, err := e.Source.List(ctx, "in", true, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("list gives %+v, %v", page, err)
	}
	if f, err := e.Source.Stat(ctx, "in/a"); !errors.Is(err, context.Canceled) {
		t.Errorf("stat gives %+v, %v", f, err)
	}
}

func testConcurrent(t *testing.T, e Env) {
	var want []string
	for n := range 3 * e.Page {
		want = append(want, fmt.Sprintf("in/%02d", n))
		e.Write(t, want[n], "x")
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			token := ""
			var got []source.File
			for {
				page, err := e.Source.List(t.Context(), "in", true, token)
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, page.Files...)
				if token = page.Next; token == "" {
					break
				}
			}
			wantPaths(t, "at once", got, want...)
			for _, f := range got {
				if at, err := e.Source.Stat(t.Context(), f.Path); err != nil || at != f {
					t.Errorf("stat %s: %+v, %v", f.Path, at, err)
				}
			}
		})
	}
	group.Wait()
}

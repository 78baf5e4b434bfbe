package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"carillon/shared/source"
)

// list returns the paths that a listing gives, of however many pages.
func list(t *testing.T, d *Dir, folder string, recursive bool) (paths []string) {
	t.Helper()
	for token := ""; ; {
		page, err := d.List(t.Context(), folder, recursive, token)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Files {
			if !f.Unsettled {
				paths = append(paths, f.Path)
			}
		}
		if token = page.Next; token == "" {
			return paths
		}
	}
}

func wantStat(t *testing.T, d *Dir, want error, paths ...string) {
	t.Helper()
	for _, at := range paths {
		if f, err := d.Stat(t.Context(), at); !errors.Is(err, want) {
			t.Errorf("stat %q: %+v, %v, want %v", at, f, err, want)
		}
	}
}

// Names come in order, those of a folder where the folder's stands.
func TestOrder(t *testing.T) {
	root := t.TempDir()
	want := []string{"a/2", "a/a/1", "a/b/3", "a/c", "a.", "b", "c", "d/4"}
	for _, at := range want {
		put(t, root, at, "x")
	}
	for page := 1; page < 10; page++ {
		if got := list(t, settled(root, page), "", true); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %q, want %q", page, got, want)
		}
	}
}

// More names than two pages hold, in the order in which the system gives them.
func TestManyNames(t *testing.T) {
	root := t.TempDir()
	var want []string
	for n := range 300 {
		want = append(want, fmt.Sprintf("%04d", n*7919%300))
		for _, at := range []string{filepath.Join(root, want[n]), filepath.Join(root, "in", want[n], "f")} {
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(at, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(want)
	if got := list(t, settled(root, 7), "", false); !slices.Equal(got, want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for n := range want {
		want[n] = "in/" + want[n] + "/f"
	}
	if got := list(t, settled(root, 7), "in", true); !slices.Equal(got, want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
}

func TestLinks(t *testing.T) {
	root := filepath.Join(t.TempDir(), "inbox")
	outside := filepath.Dir(root)
	put(t, root, "in/a", "content")
	put(t, root, "other/sub/b", "content")
	put(t, outside, "secret", "x")
	put(t, outside, "secrets/c", "x")
	put(t, outside, "inbox2/c", "x")
	for name, target := range map[string]string{
		"good": "a", "up": "../other/sub/b", "round": "../in/../in/good",
		"out": filepath.Join(outside, "secret"), "outside": "../../secret", "far": filepath.Join(outside, "secrets"), "farther": "../../inbox2/c",
		"absolute": filepath.Join(root, "in/a"), "dangling": "none", "self": "self", "circle": "..", "folder": "../other",
	} {
		if err := os.Symlink(target, filepath.Join(root, "in", name)); err != nil {
			t.Skip(err)
		}
	}
	d := settled(root, 3)
	shown := []string{"in/a", "in/good", "in/round", "in/up"}
	for _, recursive := range []bool{false, true} {
		if got := list(t, d, "in", recursive); !slices.Equal(got, shown) {
			t.Errorf("%q, want %q", got, shown)
		}
	}
	for _, folder := range []string{"in/folder", "in/folder/sub", "in/far", "in/circle", "in/circle/in", "in/self", "in/good"} {
		if got := list(t, d, folder, true); got != nil {
			t.Errorf("%s: %q", folder, got)
		}
	}
	wantStat(t, d, source.ErrNotFound, "in/out", "in/outside", "in/far", "in/far/c", "in/farther", "in/absolute", "in/dangling", "in/self",
		"in/circle", "in/circle/in/a", "in/folder", "in/folder/sub/b", "in/self/a", "in/../../secret", "../secret")
	for _, at := range shown {
		if f, err := d.Stat(t.Context(), at); err != nil || f.Path != at || f.Size != 7 {
			t.Errorf("%+v, %v", f, err)
		}
	}
	before, _ := d.Stat(t.Context(), "in/up")
	put(t, root, "other/sub/b", "changed")
	if after, err := d.Stat(t.Context(), "in/up"); err != nil || after.ETag == before.ETag {
		t.Errorf("%+v, %v, before %+v", after, err, before)
	}
}

func TestLeftOut(t *testing.T) {
	root := t.TempDir()
	for _, at := range []string{".a", ".in/b", "in/.c", "in/.d/e", "in/f", "in/g~", "in/h.part", "in/i.tmp", "in/..j", "in/k/.l/m/n"} {
		put(t, root, at, "x")
	}
	want := []string{"in/f", "in/g~", "in/h.part", "in/i.tmp"}
	if runtime.GOOS == "linux" {
		put(t, root, "in/\xff", "x")
		put(t, root, "in/\xff2/x", "x")
		socket, err := net.Listen("unix", filepath.Join(root, "in/socket"))
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
	}
	d := settled(root, 2)
	if got := list(t, d, "", true); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, folder := range []string{".in", "in/.d", "in/k/.l", "in/k/.l/m", ".", "..", "/", "in/", "in//k", "\x00", "in/\xff2"} {
		if got := list(t, d, folder, true); got != nil {
			t.Errorf("%q: %q", folder, got)
		}
	}
	wantStat(t, d, source.ErrNotFound, ".a", ".in/b", "in/.c", "in/.d/e", "in/socket", "in/\xff", "in/\xff2/x", ".", "..", "in/.", "./in/f", "in/../in/f",
		"a\x00b", strings.Repeat("x", 10_000))
}

// A file is listed when it has been left alone for Settle, to the nanosecond; Stat does not wait.
func TestSettle(t *testing.T) {
	root := t.TempDir()
	put(t, root, "in/a", "x")
	put(t, root, "in/b", "x")
	old := time.Unix(1, 0)
	if err := os.Chtimes(filepath.Join(root, "in/b"), old, old); err != nil { // the content has just come
		t.Fatal(err)
	}
	a, b := changed(t, filepath.Join(root, "in/a")), changed(t, filepath.Join(root, "in/b"))
	for _, c := range []struct {
		now  time.Time
		want []string
	}{
		{a, nil},
		{a.Add(Settle - 1), nil},
		{a.Add(Settle), []string{"in/a"}},
		{b.Add(Settle - 1), []string{"in/a"}},
		{b.Add(Settle), []string{"in/a", "in/b"}},
		{b.Add(-Settle + 1), nil},
		{a.Add(-time.Hour), []string{"in/a", "in/b"}}, // the clock of another machine
	} {
		if runtime.GOOS == "windows" && b.Equal(old) {
			t.Skip("this system knows no time of change")
		}
		d := &Dir{root, 1, func() time.Time { return c.now }}
		if got := list(t, d, "in", true); !slices.Equal(got, c.want) {
			t.Errorf("%v after a: %q, want %q", c.now.Sub(a), got, c.want)
		}
		wantStat(t, d, nil, "in/a", "in/b")
	}
}

// What an ETag tells apart, even with the same size and time of modification.
func TestETag(t *testing.T) {
	root := t.TempDir()
	d, at := settled(root, 10), filepath.Join(root, "in/a")
	then := time.Unix(1_700_000_000, 0)
	seen := map[string]string{}
	check := func(what string) {
		t.Helper()
		if err := os.Chtimes(at, then, then); err != nil {
			t.Fatal(err)
		}
		tick(t, root, at)
		f, err := d.Stat(t.Context(), "in/a")
		if err != nil || f.Modified.Before(then) {
			t.Fatal(f, err)
		}
		if before, ok := seen[f.ETag]; ok {
			t.Errorf("%s: has the ETag of %s", what, before)
		}
		seen[f.ETag] = what
	}
	put(t, root, "in/a", "0000")
	check("written")
	put(t, root, "in/a", "1111")
	check("written in place")
	put(t, root, "in/b", "2222")
	if err := os.Rename(filepath.Join(root, "in/b"), at); err != nil {
		t.Fatal(err)
	}
	check("replaced")
	if err := os.Rename(filepath.Join(root, "in"), filepath.Join(root, "away")); err != nil {
		t.Fatal(err)
	}
	put(t, root, "in/a", "3333")
	check("another folder of that name")

	// A folder that is moved keeps its files' ETags; their paths are new.
	before, _ := d.Stat(t.Context(), "in/a")
	if err := os.Rename(filepath.Join(root, "in"), filepath.Join(root, "moved")); err != nil {
		t.Fatal(err)
	}
	if after, err := d.Stat(t.Context(), "moved/a"); err != nil || after.ETag != before.ETag {
		t.Errorf("%+v, %v, before %+v", after, err, before)
	}
}

// A datastore that comes, goes and comes again is looked at as it is now.
func TestRootComesAndGoes(t *testing.T) {
	root := filepath.Join(t.TempDir(), "inbox")
	d := settled(root, 10)
	for range 2 {
		if _, err := d.List(t.Context(), "", true, ""); !errors.Is(err, source.ErrMissing) || !strings.Contains(err.Error(), root) {
			t.Error(err)
		}
		wantStat(t, d, source.ErrMissing, "a")
		put(t, root, "a", "x")
		if got := list(t, d, "", true); !slices.Equal(got, []string{"a"}) {
			t.Errorf("%q", got)
		}
		if err := os.RemoveAll(root); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(root, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wantStat(t, d, source.ErrMissing, "a")
}

// What may not be read is an error, not an empty folder.
func TestDenied(t *testing.T) {
	root := t.TempDir()
	put(t, root, "in/shut/a", "x")
	d := settled(root, 10)
	if err := d.failed("in/shut", &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}); !errors.Is(err, source.ErrDenied) ||
		!strings.Contains(err.Error(), filepath.Join(root, "in", "shut")) {
		t.Error(err)
	}
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("this user may read everything")
	}
	for _, shut := range []string{"in/shut", ""} {
		at := filepath.Join(root, shut)
		if err := os.Chmod(at, 0); err != nil {
			t.Fatal(err)
		}
		if page, err := d.List(t.Context(), "", true, ""); !errors.Is(err, source.ErrDenied) {
			t.Errorf("%q: %+v, %v", shut, page, err)
		}
		wantStat(t, d, source.ErrDenied, "in/shut/a")
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDatastores(t *testing.T) {
	root := filepath.Join(t.TempDir(), "datastores")
	if all, err := Datastores(root); err != nil || all != nil {
		t.Errorf("%v, %v", all, err)
	}
	for _, name := range []string{"b", "A-1_x", ".hidden", "a b", "-x", "ü", strings.Repeat("x", 255)} {
		put(t, root, name+"/in/file", name)
	}
	put(t, root, "file", "x")
	put(t, filepath.Dir(root), "elsewhere/in/file", "x")
	want := []string{"A-1_x", "b", strings.Repeat("x", 255)}
	if os.Symlink("../elsewhere", filepath.Join(root, "linked")) == nil {
		want = []string{"A-1_x", "b", "linked", strings.Repeat("x", 255)}
	}
	_ = os.Symlink("nowhere", filepath.Join(root, "dangling"))
	all, err := Datastores(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range all {
		got = append(got, d.Name)
		if f, err := d.Source.Stat(t.Context(), "in/file"); err != nil || f.Path != "in/file" {
			t.Errorf("%s: %+v, %v", d.Name, f, err)
		}
		if d.Account != "" || d.Container != "" || d.Events {
			t.Errorf("%+v", d)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Listing 100,000 files in one folder.
func BenchmarkList(b *testing.B) {
	root := b.TempDir()
	const count = 100_000
	for n := range count {
		if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("%06d.csv", n)), nil, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	d := settled(root, source.MaxPage)
	b.ReportAllocs()
	for b.Loop() {
		files := 0
		for token := ""; files == 0 || token != ""; {
			page, err := d.List(b.Context(), "", true, token)
			if err != nil {
				b.Fatal(err)
			}
			files, token = files+len(page.Files), page.Next
		}
		if files != count {
			b.Fatal(files)
		}
	}
}

package dir

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"carillon/shared/source/sourcetest"
)

// put writes a file in place, and does not return before the file system's clock has moved on.
func put(t testing.TB, root, path, content string) {
	t.Helper()
	at := filepath.Join(root, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	tick(t, filepath.Dir(root), at)
}

// tick waits until what is written is later than a file.
func tick(t testing.TB, scratch, at string) {
	t.Helper()
	for probe := filepath.Join(scratch, ".tick"); !changed(t, probe).After(changed(t, at)); {
		if err := os.WriteFile(probe, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// changed is when a file was last changed; there need not be one.
func changed(t testing.TB, at string) time.Time {
	t.Helper()
	info, err := os.Stat(at)
	if os.IsNotExist(err) {
		return time.Time{}
	}
	if err != nil {
		t.Fatal(err)
	}
	_, changed := stamp(info)
	return changed
}

// settled opens a datastore for which every file has long been left alone.
func settled(root string, page int) *Dir {
	return &Dir{root, page, func() time.Time { return time.Now().Add(time.Hour) }}
}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Env {
		root := filepath.Join(t.TempDir(), "inbox")
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		return sourcetest.Env{
			Source: settled(root, 4),
			Page:   4,
			Write:  func(t *testing.T, path, content string) { put(t, root, path, content) },
			Remove: func(t *testing.T, path string) {
				if err := os.Remove(filepath.Join(root, path)); err != nil {
					t.Fatal(err)
				}
			},
			Folder: func(t *testing.T, path string) {
				if err := os.MkdirAll(filepath.Join(root, path), 0o755); err != nil {
					t.Fatal(err)
				}
			},
			Lacks: func(path string) bool {
				switch runtime.GOOS {
				case "windows":
					return strings.ContainsAny(path, `\:*?"<>|`) || strings.HasSuffix(path, ".") || strings.HasPrefix(filepath.Base(path), "UPPER")
				case "darwin": // has one file of both
					return strings.Contains(path, "e\u0301") || strings.HasPrefix(filepath.Base(path), "UPPER") || len(path) > 900
				}
				return false
			},
			Missing: New(root + "-missing"),
		}
	})
}

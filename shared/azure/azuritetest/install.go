package azuritetest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Version is the Azurite that tests run against; scripts/emulators takes it from this line.
const Version = "3.35.0"

// install returns the path of Azurite's program. What is missing it installs into .cache at the root of the tree;
// processes that do so at once wait for one another, and one that is killed leaves nothing half done.
func install(t testing.TB) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed: these tests run against Azurite, which needs Node.js 18 or newer with npm; see https://nodejs.org", tool)
		}
	}
	cache := filepath.Join(root(t), ".cache")
	folder := filepath.Join(cache, "azurite-"+Version)
	program := filepath.Join(folder, "node_modules", "azurite", "dist", "src", "azurite.js")
	if exists(program) {
		return program
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(filepath.Join(cache, "azurite.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if exists(program) {
		return program
	}
	begun, err := os.MkdirTemp(cache, "azurite-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(begun)
	npm := exec.Command("npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", begun, "azurite@"+Version)
	if text, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm cannot install azurite@%s (is its registry within reach?): %v\n%s", Version, err, text)
	}
	if err := os.Rename(begun, folder); err != nil && !exists(program) {
		t.Fatal(err)
	}
	return program
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// root finds the folder of go.mod, above the test's.
func root(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !exists(filepath.Join(folder, "go.mod")) {
		above := filepath.Dir(folder)
		if above == folder {
			t.Fatal("there is no go.mod above the test's folder")
		}
		folder = above
	}
	return folder
}

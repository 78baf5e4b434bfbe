// Command bundle stages what a team deploys into its Azure function app: host.json, the program, and a folder with a
// function.json for each function, flat, and makes a zip of it. The same commit and the same datastores give the same bytes.
//
// Datastores whose changes a blob trigger tells of have to be known here, as each has a function of its own. They are read
// from CARILLON_DATASTORES, which the app has among its settings, too.
package main

import (
	"archive/zip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"carillon/shared/source"
)

func main() {
	out := flag.String("out", "dist/azure", "the folder to stage in; it is emptied first. The zip stands beside it")
	datastores := flag.String("datastores", os.Getenv("CARILLON_DATASTORES"), "`list` of name=CONNECTION/container, with :events behind those that get a blob trigger")
	flag.Parse()
	if err := run(*out, *datastores); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(out, datastores string) error {
	named, err := source.ParseNamed(datastores)
	if err != nil {
		return fmt.Errorf("the datastores (CARILLON_DATASTORES): %w", err)
	}
	files, err := stage(out, triggers(named))
	if err != nil {
		return err
	}
	archive := strings.TrimSuffix(out, "/") + ".zip"
	if err := pack(archive, out, files); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(out, "carillon"))
	if err != nil {
		return err
	}
	fmt.Printf("%s is staged: %d files, the program has %.1f MB; %s\n", out, len(files), float64(info.Size())/1e6, archive)
	return nil
}

// stage fills the folder and returns the files in it, in order. made are functions besides those in the tree.
func stage(out string, made map[string]binding) ([]string, error) {
	if err := os.RemoveAll(out); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	files := []string{"carillon", "host.json"}
	if err := build(filepath.Join(out, "carillon")); err != nil {
		return nil, err
	}
	if err := copyFile("host.json", filepath.Join(out, "host.json")); err != nil {
		return nil, err
	}
	err := filepath.WalkDir("functions", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "function.json" {
			return err
		}
		name := filepath.Base(filepath.Dir(path))
		if slices.Contains(files, name+"/function.json") {
			return fmt.Errorf("two functions are called %s", name)
		}
		files = append(files, name+"/function.json")
		return copyFile(path, filepath.Join(out, name, "function.json"))
	})
	if err != nil {
		return nil, err
	}
	for name, trigger := range made {
		files = append(files, name+"/function.json")
		if err := trigger.write(filepath.Join(out, name)); err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	return files, nil
}

// build makes the program for the host's Linux, static.
func build(to string) error {
	version, err := exec.Command("git", "describe", "--always", "--dirty", "--tags").Output()
	if err != nil {
		version = []byte("unknown")
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+strings.TrimSpace(string(version)), "-o", to, "./functions")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return os.Chmod(to, 0o755)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// pack writes the zip: files in order, one time for all, and the mode that lets the host start the program.
func pack(archive, folder string, files []string) (err error) {
	f, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := zip.NewWriter(f)
	for _, name := range files {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		header.SetMode(0o644)
		if name == "carillon" {
			header.SetMode(0o755)
		}
		if err := add(w, header, filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return w.Close()
}

func add(w *zip.Writer, header *zip.FileHeader, path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := w.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return err
}

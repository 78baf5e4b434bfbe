package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed is what each folder may import of Carillon itself, and whether it may import libraries. The arrows all point
// the way a fact travels; a folder that is not here fails the test.
var allowed = map[string]struct {
	own       []string
	libraries bool
}{
	"shared/recur":    {nil, false},
	"shared/schedule": {[]string{"shared/recur"}, false},
	"shared/problem":  {nil, false},
	"shared/migrate":  {[]string{"shared/recur", "shared/schedule"}, true},
	"shared/queue":    {nil, false},
	"shared/store":    {[]string{"shared/recur", "shared/schedule"}, false},
	"shared/pipeline": {[]string{"shared/recur", "shared/schedule"}, false},
	"shared/source":   {[]string{"shared/schedule"}, false},
	"shared/host":     {[]string{"shared/schedule"}, false},

	"shared/local":            {[]string{"shared/schedule", "shared/store", "shared/queue", "shared/host", "shared/problem"}, true},
	"shared/aws":              {[]string{"shared/host", "shared/problem"}, true},
	"shared/azure":            {[]string{"shared/store", "shared/queue", "shared/host", "shared/problem"}, true},
	"shared/pipeline/local":   {[]string{"shared/schedule", "shared/pipeline"}, true},
	"shared/pipeline/azureml": {[]string{"shared/recur", "shared/schedule", "shared/pipeline"}, true},
	"shared/source/azblob":    {[]string{"shared/source"}, true},
	"shared/source/dir":       {[]string{"shared/schedule", "shared/source"}, true},
	"shared/cli":              {[]string{"shared/recur", "shared/schedule", "shared/problem"}, true},

	"functions/recurrence": {verbs, false},
	"functions/datastore":  {verbs, false},
	"functions/submit":     {verbs, false},
	"functions/follow":     {verbs, false},
	"functions/api":        {verbs, false},
	"functions/studio":     {verbs, false},
	"functions/facade":     {verbs, false},
	"functions":            {[]string{"*"}, true},

	"shared/pipeline/azureml/azuremltest": {[]string{"shared/pipeline"}, true},
	"shared/aws/runtimetest":              {nil, false},
	"shared/azure/azuritetest":            {nil, false},
	"shared/azure/hostdouble":             {[]string{"shared/recur"}, true},
	"shared/host/hosttest":                {[]string{"shared/host"}, false},

	"shared/store/storetest":          {[]string{"shared/store"}, false},
	"shared/source/azblob/listdouble": {nil, false},
	"shared/source/sourcetest":        {[]string{"shared/source"}, false},
	"shared/queue/queuetest":          {[]string{"shared/queue"}, false},
	"shared/pipeline/pipelinetest":    {[]string{"shared/schedule", "shared/pipeline"}, false},
}

var verbs = []string{"shared/recur", "shared/schedule", "shared/problem", "shared/store", "shared/queue", "shared/pipeline", "shared/source", "shared/migrate"}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, top := range []string{"functions", "shared"} {
		err := filepath.WalkDir(filepath.Join("..", top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			folder := filepath.ToSlash(filepath.Dir(path))[len("../"):]
			seen[folder] = true
			rule, ok := allowed[folder]
			if !ok {
				t.Errorf("%s is in no row of the table: say what it may import", folder)
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, spec := range file.Imports {
				name, _ := strconv.Unquote(spec.Path.Value)
				own, isOwn := strings.CutPrefix(name, "carillon/")
				library := strings.Contains(strings.Split(name, "/")[0], ".")
				switch {
				case isOwn && !slices.Contains(rule.own, own) && !slices.Contains(rule.own, "*"):
					t.Errorf("%s imports %s", path, own)
				case library && !rule.libraries:
					t.Errorf("%s imports the library %s", path, name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for folder := range allowed {
		if !seen[folder] {
			t.Errorf("%s has a row in the table and no code", folder)
		}
	}
}

package schedule

import (
	"path"
	"regexp"
	"strings"
)

// Misses says why a change of a file in the folder's datastore does not count; "" when it does. The path goes from the
// datastore's root.
func (f Folder) Misses(file string) string {
	below := file
	if f.Path != "" {
		var inside bool
		if below, inside = strings.CutPrefix(file, f.Path+"/"); !inside {
			return "it is not in the folder " + f.Path
		}
	}
	if !f.Recursive && strings.Contains(below, "/") {
		return "it is in a subfolder, and the schedule is not recursive"
	}
	if len(f.Include) > 0 && anyGlob(f.Include, below) == "" {
		return "none of include (" + strings.Join(f.Include, ", ") + ") matches " + below
	}
	if glob := anyGlob(f.Exclude, below); glob != "" {
		return "exclude has " + glob
	}
	return ""
}

// FoldersOf are the folders that a file is in, from its own to the datastore's root "".
func FoldersOf(file string) []string {
	var out []string
	for {
		i := strings.LastIndexByte(file, '/')
		if i < 0 {
			return append(out, "")
		}
		file = file[:i]
		out = append(out, file)
	}
}

func anyGlob(globs []string, below string) string {
	for _, g := range globs {
		if globMatch(g, below) {
			return g
		}
	}
	return ""
}

// globMatch matches a path against a glob: *, ? and [a-z] within one part of it, ** for any number of parts. It takes
// time in proportion to the parts of the glob times those of the path: a mismatch goes back to the last ** only.
func globMatch(glob, name string) bool {
	return partsMatch(strings.Split(glob, "/"), strings.Split(name, "/"))
}

func partsMatch(g, n []string) bool {
	star, from := -1, 0
	i, j := 0, 0
	for j < len(n) {
		switch {
		case i < len(g) && g[i] == "**":
			star, from = i, j
			i++
		case i < len(g) && partMatch(g[i], n[j]):
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	for i < len(g) && g[i] == "**" {
		i++
	}
	return i == len(g)
}

func partMatch(glob, part string) bool {
	ok, err := path.Match(glob, part)
	return ok && err == nil
}

// badGlob says what is wrong with a glob; "" when nothing is.
func badGlob(glob string, recursive bool) string {
	if glob == "" {
		return "is empty; leave it out, or write a glob such as *.csv"
	}
	if wrong := badPath(glob); wrong != "" {
		return wrong
	}
	if !recursive && strings.Contains(strings.TrimPrefix(glob, "**/"), "/") {
		return "matches in subfolders only, and the trigger is not recursive: set recursive, or leave out what is before the last /"
	}
	for part := range strings.SplitSeq(glob, "/") {
		if strings.Contains(part, "**") && part != "**" {
			return "** has to stand alone between slashes: **/*.csv"
		}
		if _, err := path.Match(part, ""); err != nil {
			return "is not a glob: a [ has no ]"
		}
	}
	return ""
}

// BadFile says what is wrong with the path of a file from a datastore's root; "" when nothing is.
func BadFile(file string) string {
	if file == "" {
		return "is empty: give a file's path from the datastore's root"
	}
	return badPath(file)
}

// badPath says what is wrong with a path below a root; "" when nothing is. "" is the root itself.
func badPath(p string) string {
	switch {
	case strings.Contains(p, `\`):
		return `has a backslash; folders are separated by /`
	case strings.HasPrefix(p, "/"):
		return "begins with a slash; it is counted from the datastore's root as it is"
	case strings.ContainsRune(p, 0):
		return "has a zero byte"
	case len(p) > maxPath:
		return "is too long: it may have 1024 bytes"
	}
	if p == "" {
		return ""
	}
	for part := range strings.SplitSeq(p, "/") {
		switch part {
		case "":
			return "has an empty part: two slashes in a row, or one at its end"
		case ".", "..":
			return "may not have . or .. in it"
		}
	}
	return ""
}

const maxPath = 1024

// covers reports that whatever one glob matches, the other does, as far as that is certain: of a wide one without ? and
// [ only. What narrow leaves open, a [ ] or a **, is taken for something that no glob has, so that only what matches
// anything in its place matches it.
func covers(wide, narrow string) bool {
	if wide == narrow {
		return true
	}
	parts := strings.Split(class.ReplaceAllString(narrow, "\x00"), "/")
	for i, part := range parts {
		if part == "**" {
			parts[i] = "/"
		}
	}
	return !strings.ContainsAny(wide, "?[") && partsMatch(strings.Split(wide, "/"), parts)
}

var class = regexp.MustCompile(`\[[^\]]*\]`)

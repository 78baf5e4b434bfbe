package source

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"carillon/shared/schedule"
)

// Named is a container that the setting CARILLON_DATASTORES gives a name. The program reads the setting to know its
// datastores, and packaging to know which of them get a blob trigger: both have to be given the same one.
type Named struct {
	Name       string
	Connection string // as the Functions host takes it: the setting of that name, or those that begin with it and __
	Container  string
	Events     bool // the host is told of every change: there is a blob trigger
}

// maxTrigger is how long a datastore's name may be to be in the name of a function, after blob_.
const maxTrigger = 128 - len("blob_")

var (
	connectionPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,99}$`)
	containerPattern  = regexp.MustCompile(`^(\$root|\$web|[a-z0-9](-?[a-z0-9]){2,62})$`)
)

// ParseNamed reads a list of name=CONNECTION/container or name=CONNECTION/container:events, with commas between them and
// space wherever one likes. The error names everything that is wrong.
func ParseNamed(text string) ([]Named, error) {
	var all []Named
	var wrong []error
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		n, err := parseNamed(entry)
		for _, other := range all {
			if strings.EqualFold(other.Name, n.Name) { // names of functions do not tell a from A
				err = errors.Join(err, fmt.Errorf("there is a datastore %s already", other.Name))
			}
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%q: %w", entry, err))
		}
		all = append(all, n)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return all, nil
}

func parseNamed(entry string) (Named, error) {
	name, rest, named := strings.Cut(entry, "=")
	connection, rest, connected := strings.Cut(rest, "/")
	container, kind, told := strings.Cut(rest, ":")
	n := Named{strings.TrimSpace(name), strings.TrimSpace(connection), strings.TrimSpace(container), told}
	if !named || !connected {
		return n, errors.New("has to be name=CONNECTION/container, or that with :events behind it")
	}
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	check(schedule.ValidName(n.Name), "a datastore's name is a letter or digit, then up to 254 letters, digits, _ or -, not %q", n.Name)
	check(!n.Events || len(n.Name) <= maxTrigger, "the name of a datastore with :events has %d characters at most", maxTrigger)
	check(connectionPattern.MatchString(n.Connection), "a connection is the beginning of a setting's name, such as AzureWebJobsStorage, not %q", n.Connection)
	check(containerPattern.MatchString(n.Container) && len(n.Container) <= 63, "a container's name is 3 to 63 of a-z, 0-9 and single hyphens, not %q", n.Container)
	check(!told || strings.TrimSpace(kind) == "events", "after the container stands :events or nothing, not %q", ":"+kind)
	return n, errors.Join(wrong...)
}

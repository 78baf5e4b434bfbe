package migrate

import (
	"regexp"
	"strings"
)

// maxName is how many bytes a schedule's name may have.
const maxName = 255

var misfits = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// fitting is what remains of a text as a schedule's name; "" for nothing.
func fitting(text string) string {
	name := strings.TrimLeft(misfits.ReplaceAllString(text, "-"), "-_")
	return name[:min(len(name), maxName)]
}

// called reads an old schedule's name. What people say themselves is taken as it is.
func (o *old) called(name string, own Own) {
	o.source.Name, o.name = name, own.Name
	if own.Name == "" {
		o.name = fitting(name)
	}
}

// tellApart lengthens names that several would have by as much of their ids as tells these apart.
func tellApart(olds []*old) {
	same := map[string][]*old{}
	for _, o := range olds {
		same[o.name] = append(same[o.name], o)
	}
	for name, group := range same {
		if len(group) == 1 || name == "" {
			continue
		}
		for _, o := range group {
			part := "-" + fitting(o.source.ID)
			if short := part[:min(len(part), 9)]; unique(short, group) {
				part = short
			}
			o.name = name[:max(0, min(len(name), maxName-len(part)))] + part[:min(len(part), maxName)]
			o.differ("%d old schedules would be called %.100s here: this one becomes %s, with its id or the beginning of that", len(group), name, o.name)
		}
	}
}

// unique reports whether the id of one of them alone begins so.
func unique(part string, olds []*old) bool {
	n := 0
	for _, o := range olds {
		if strings.HasPrefix("-"+fitting(o.source.ID), part) {
			n++
		}
	}
	return n == 1
}

// renamed says that a name cannot be kept, where nobody has given another.
func (o *old) renamed(own Own) {
	switch {
	case own.Name != "" || o.name == "" || fitting(o.source.Name) == o.source.Name && o.source.Name != "":
	case o.source.Name == "":
		o.differ("it has no name: it becomes %s, as its id is", o.name)
	default:
		o.differ("its name %.100q cannot be one here: it becomes %s", o.source.Name, o.name)
	}
}

package hostdouble

import (
	"crypto/subtle"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// route is where an httpTrigger answers, and to whom.
type route struct {
	methods  []string // none: all
	segments []segment
	level    string // anonymous or function
}

// segment is a part of a route between two slashes.
type segment struct {
	literal  string         // when it is no parameter
	optional bool           // {name?}
	all      bool           // {*name}
	pattern  *regexp.Regexp // {name:regex(…)}
}

func readRoute(name string, b bindingJSON, wrong *problems) route {
	r := route{level: strings.ToLower(b.AuthLevel)}
	if r.level == "" {
		r.level = "function"
	}
	if r.level != "function" && r.level != "anonymous" {
		wrong.add("%s: this host does not know authLevel %q", name, b.AuthLevel)
	}
	for _, method := range b.Methods {
		r.methods = append(r.methods, strings.ToUpper(method))
	}
	template := name
	if b.Route != nil && *b.Route != "" {
		template = *b.Route
	}
	parts := strings.Split(template, "/")
	for i, part := range parts {
		s := segment{literal: part}
		if inner, ok := strings.CutPrefix(part, "{"); ok && strings.HasSuffix(inner, "}") {
			inner = strings.TrimSuffix(inner, "}")
			if name, constraint, ok := strings.Cut(inner, ":regex("); ok && strings.HasSuffix(constraint, ")") {
				inner = name
				s.pattern = regexp.MustCompile("(?i)" + strings.TrimSuffix(constraint, ")"))
			}
			s = segment{optional: strings.HasSuffix(inner, "?"), all: strings.HasPrefix(inner, "*"), pattern: s.pattern}
			part = strings.Trim(inner, "*?")
		}
		if part == "" || strings.ContainsAny(part, "{}:*?=") || (s.optional || s.all) && i < len(parts)-1 {
			wrong.add("%s: this host does not know routes as %q", name, template)
		}
		r.segments = append(r.segments, s)
	}
	return r
}

// matches a path below the prefix. Literals are matched in any case, and a slash at the end does not matter.
func (r route) matches(method, path string) bool {
	if len(r.methods) > 0 && !slices.Contains(r.methods, method) {
		return false
	}
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i, s := range r.segments {
		switch {
		case s.all:
			return true
		case i == len(parts):
			return s.optional
		case parts[i] == "" || s.literal != "" && !strings.EqualFold(s.literal, parts[i]):
			return false
		case s.pattern != nil && !s.pattern.MatchString(parts[i]):
			return false
		}
	}
	return len(parts) == len(r.segments)
}

// RouteTakes reports whether a route, as function.json writes it, takes a path below the prefix.
func RouteTakes(template, path string) bool {
	var wrong problems
	r := readRoute("", bindingJSON{Route: &template}, &wrong)
	return r.matches("", path)
}

// admits reports whether a request brings the function's key, where one is asked for.
func (r route) admits(key string, request *http.Request) bool {
	if r.level == "anonymous" {
		return true
	}
	got := request.Header.Get("x-functions-key")
	if got == "" {
		got = request.URL.Query().Get("code")
	}
	return subtle.ConstantTimeCompare([]byte(got), []byte(key)) == 1
}

func cutPrefixFold(text, prefix string) (rest string, ok bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}

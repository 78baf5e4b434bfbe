package migrate

import (
	"regexp"
	"strings"
)

// braces is how a template writes them.
const braces = `{{"{{"}}`

// theirs is a macro that templates leave as it is: Azure ML fills it in.
var theirs = regexp.MustCompile(`\$\{\{\s*[A-Za-z_][A-Za-z0-9_.]*\s*\}\}`)

// literal is a text as a template that is filled in with it.
func literal(text string) (out string) {
	rest := text
	for {
		at := theirs.FindStringIndex(rest)
		if at == nil {
			return out + strings.ReplaceAll(rest, "{{", braces)
		}
		out += strings.ReplaceAll(rest[:at[0]], "{{", braces) + rest[at[0]:at[1]]
		rest = rest[at[1]:]
	}
}

// macro is what the v2 service fills in when it makes a job.
var macro = regexp.MustCompile(`\$\{\{\s*([^{}]*?)\s*\}\}`)

// macros are those with something like them here. A job was named after its schedule and time.
var macros = map[string]string{
	"creation_context.trigger_time": `{{ .Nominal }}`,
	"name":                          `{{ .Schedule.Name }}-{{ format "20060102T150405Z" (utc .Nominal) }}`,
}

// template is a text of v2 as a template of ours. It names the macros that it has replaced, and those that it could not.
func template(text string) (out string, replaced, unknown []string) {
	rest := text
	for {
		at := macro.FindStringSubmatchIndex(rest)
		if at == nil {
			return join(out, literal(rest)), replaced, unknown
		}
		name := rest[at[2]:at[3]]
		ours, known := macros[name]
		if known {
			replaced = append(replaced, name)
		} else {
			ours, unknown = literal(rest[at[0]:at[1]]), append(unknown, name)
		}
		out = join(join(out, literal(rest[:at[0]])), ours)
		rest = rest[at[1]:]
	}
}

// timed is the address of an output as a template of ours. Macros that the service fills in for every job stay.
func timed(address string) string {
	parts := strings.Split(address, "${{creation_context.trigger_time}}")
	for i, part := range parts {
		parts[i] = literal(part)
	}
	return strings.Join(parts, macros["creation_context.trigger_time"])
}

// join puts parts of a template together: a brace before an action would be read as part of it.
func join(a, b string) string {
	if strings.HasSuffix(a, "{") && strings.HasPrefix(b, "{") {
		a = strings.TrimSuffix(a, "{") + `{{"{"}}`
	}
	return a + b
}

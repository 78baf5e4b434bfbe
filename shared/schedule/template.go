package schedule

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"
	"time"
	"unicode/utf8"
)

const templateName = "parameter"

// readTemplate parses a template and finds the type of all that it evaluates, so that nothing is left that could go wrong
// when it is filled in. Nothing in it can make a text longer, run more often than there are changes, or call
// anything but signatures: what it does is bounded by its length and the number of changes.
func readTemplate(text string, uses Uses) (templateReader, error) {
	text = macro.ReplaceAllString(text, `$${{"{{"}}$1}}`)
	r := templateReader{uses: uses, vars: []variable{{"$", dataType}}}
	if len(text) > maxRendered {
		return r, fmt.Errorf("may have %d bytes as a template, this has %d", maxRendered, len(text))
	}
	trees := map[string]*parse.Tree{}
	r.tree = parse.New(templateName)
	r.tree.Mode = parse.SkipFuncCheck
	if _, err := r.tree.Parse(text, "", "", trees); err != nil {
		line, message, _ := strings.Cut(strings.TrimPrefix(err.Error(), "template: "+templateName+":"), ": ")
		return r, fmt.Errorf("cannot be read as a template, line %s: %s. The braces themselves are written {{\"{{\"}}", line, message)
	}
	if len(trees) > 1 || trees[templateName] != r.tree {
		return r, errors.New("{{define}} and {{block}} are not for parameters")
	}
	r.list(r.tree.Root, dataType)
	return r, r.err
}

// macro is what Azure ML itself fills in, such as ${{name}}: it is no template, and stays as it is. One of ours would be
// wrong there in any case.
var macro = regexp.MustCompile(`\$\{\{(\s*[A-Za-z_][A-Za-z0-9_.]*\s*)\}\}`)

// templateReader walks a template as text/template does when it executes it. dot is always the type of the cursor.
type templateReader struct {
	uses  Uses
	tree  *parse.Tree
	vars  []variable
	loop  bool
	steps int // evaluations for each change
	need  Need
	err   error // the first one; after it nothing that is found counts
}

type variable struct {
	name string
	of   reflect.Type
}

func (r *templateReader) fail(format string, args ...any) reflect.Type {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	return nil
}

func (r *templateReader) step() {
	if r.loop {
		r.steps++
	}
}

// list reads nodes; variables that they declare end with them.
func (r *templateReader) list(l *parse.ListNode, dot reflect.Type) {
	if l == nil {
		return
	}
	mark := len(r.vars)
	for _, n := range l.Nodes {
		if r.err == nil {
			r.node(n, dot)
		}
	}
	r.vars = r.vars[:mark]
}

func (r *templateReader) node(n parse.Node, dot reflect.Type) {
	r.step()
	mark := len(r.vars)
	switch n := n.(type) {
	case *parse.TextNode:
		return
	case *parse.ActionNode:
		if of := r.pipe(n.Pipe, dot); len(n.Pipe.Decl) == 0 {
			r.printed(n, of)
		}
		return // what it declares stays
	case *parse.IfNode:
		r.tested(n.Pipe, r.pipe(n.Pipe, dot))
		r.list(n.List, dot)
		r.list(n.ElseList, dot)
	case *parse.WithNode:
		of := r.pipe(n.Pipe, dot)
		if n.ElseList != nil {
			r.tested(n.Pipe, of)
		}
		r.list(n.List, of)
		r.list(n.ElseList, dot)
	case *parse.RangeNode:
		r.ranges(n, dot)
	default:
		r.fail("%.80s is not for parameters", n)
	}
	r.vars = r.vars[:mark]
}

func (r *templateReader) ranges(n *parse.RangeNode, dot reflect.Type) {
	mark := len(r.vars)
	of := r.pipe(n.Pipe, dot)
	switch {
	case of != changesType:
		r.fail("{{range %.80s}}: range goes over .Changes only", n.Pipe)
	case r.loop:
		r.fail("{{range %.80s}} stands within another range", n.Pipe)
	}
	for i := range r.vars[mark:] {
		r.vars[mark+i].of = changeType
	}
	if len(r.vars) == mark+2 {
		r.vars[mark].of = numberType
	}
	r.loop = true
	r.steps++
	r.list(n.List, changeType)
	r.loop = false
	r.vars = r.vars[:mark]
	r.list(n.ElseList, dot)
}

func (r *templateReader) printed(n parse.Node, of reflect.Type) {
	if !testable(of) {
		r.fail("%.80s cannot be written: %s", n, r.exist(of))
	}
}

func (r *templateReader) tested(n parse.Node, of reflect.Type) {
	if !testable(of) {
		r.fail("%.80s is always there: %s", n, r.exist(of))
	}
}

func (r *templateReader) pipe(p *parse.PipeNode, dot reflect.Type) (of reflect.Type) {
	if p.IsAssign {
		return r.fail("%.80s: a variable is set once, with :=", p)
	}
	for _, cmd := range p.Cmds {
		of = r.command(cmd, dot, of)
	}
	for _, v := range p.Decl {
		r.vars = append(r.vars, variable{v.Ident[0], of})
	}
	return of
}

// command reads one part of a pipeline; piped is the type of what comes from the part before it, nil for none.
func (r *templateReader) command(cmd *parse.CommandNode, dot, piped reflect.Type) reflect.Type {
	if id, ok := cmd.Args[0].(*parse.IdentifierNode); ok {
		return r.call(id.Ident, cmd.Args[1:], dot, piped)
	}
	if len(cmd.Args) > 1 || piped != nil {
		return r.fail("%.80s is no function: there are %s", cmd.Args[0], functionNames)
	}
	return r.value(cmd.Args[0], dot)
}

func (r *templateReader) value(n parse.Node, dot reflect.Type) reflect.Type {
	r.step()
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.FieldNode:
		return r.fields(dot, n.Ident)
	case *parse.VariableNode:
		return r.fields(r.variable(n.Ident[0]), n.Ident[1:])
	case *parse.ChainNode:
		return r.fields(r.value(n.Node, dot), n.Field)
	case *parse.IdentifierNode:
		return r.call(n.Ident, nil, dot, nil)
	case *parse.PipeNode:
		if len(n.Decl) > 0 { // it might never be evaluated
			return r.fail("(%.80s): variables are not declared within parentheses", n)
		}
		return r.pipe(n, dot)
	}
	return r.constant(n)
}

var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,8})$`)

func (r *templateReader) constant(n parse.Node) reflect.Type {
	switch n := n.(type) {
	case *parse.StringNode:
		if strings.ContainsRune(n.Text, 0) || !utf8.ValidString(n.Text) {
			return r.fail("%.80s holds a zero byte, or is not UTF-8", n)
		}
		return textType
	case *parse.BoolNode:
		return flagType
	case *parse.NumberNode:
		if wholeNumber.MatchString(n.Text) {
			return numberType
		}
	}
	return r.fail("%.80s cannot be used: values are texts, whole numbers of up to 9 digits, true and false", n)
}

func (r *templateReader) variable(name string) reflect.Type {
	for _, v := range slices.Backward(r.vars) {
		if v.name == name {
			return v.of
		}
	}
	return r.fail("%s is not known here: a variable ends with the if, with or range in which it is set", name)
}

func (r *templateReader) fields(of reflect.Type, names []string) reflect.Type {
	for _, name := range names {
		of = r.field(of, name)
	}
	return of
}

// field lets nothing through but the fields that are shown: not what else a type has, nor its methods.
func (r *templateReader) field(of reflect.Type, name string) reflect.Type {
	switch {
	case of == nil:
		return nil
	case slices.Contains(shown(of), name):
	case slices.Contains(shown(dataType), name):
		return r.fail(".%s does not exist here: write $.%s", name, name)
	default:
		return r.fail(".%s does not exist: %s", name, r.exist(of))
	}
	if of == dataType {
		if why := r.absent(name); why != "" {
			return r.fail("%s", why)
		}
		r.need.Window = r.need.Window || name == "Window"
		r.need.Changes = r.need.Changes || name == "Changes"
		r.need.Previous = r.need.Previous || name == "Previous"
	}
	f, _ := of.FieldByName(name)
	return f.Type
}

// absent is why runs of the trigger do not have a field, "" when they do.
func (r *templateReader) absent(name string) string {
	switch {
	case name == "Change" && !r.uses.Change && r.uses.Changes:
		return ".Change does not exist: in mode batch a run is for many changes. There is .Changes"
	case name == "Change" && !r.uses.Change:
		return ".Change does not exist: only triggers of type datastore have changes"
	case name == "Changes" && !r.uses.Changes && r.uses.Change:
		return ".Changes does not exist: in mode each a run is for one change. There is .Change"
	case name == "Changes" && !r.uses.Changes:
		return ".Changes does not exist: only triggers of type datastore have changes"
	case name == "Window" && !r.uses.Window:
		return ".Window does not exist: the runs of this trigger are for no span of time (those of recurrence, cron, batch and all_of are)"
	}
	return ""
}

// shown are the fields of a type that templates can use.
func shown(of reflect.Type) (names []string) {
	switch {
	case of == changeType:
		return []string{"Path", "ETag", "Datastore"}
	case of.Kind() == reflect.Struct:
		for _, f := range reflect.VisibleFields(of) {
			names = append(names, f.Name)
		}
	}
	return names
}

// exist tells what there is instead.
func (r *templateReader) exist(of reflect.Type) string {
	switch {
	case of == dataType:
		return "there are " + strings.Join(r.all(), ", ")
	case of == momentType:
		return `a time has no parts; format "15:04" .Nominal writes them`
	case of == changesType:
		return "each of the changes has it, see range"
	case of != nil && of.Kind() == reflect.Struct:
		return "use its ." + strings.Join(shown(of), ", .")
	}
	return "it has no parts"
}

// all are the values that runs of the trigger have.
func (r *templateReader) all() (names []string) {
	for _, name := range shown(dataType) {
		f, _ := dataType.FieldByName(name)
		inner := shown(f.Type)
		switch {
		case r.absent(name) != "":
		case inner == nil:
			names = append(names, "."+name)
		}
		for _, in := range inner {
			if r.absent(name) == "" {
				names = append(names, "."+name+"."+in)
			}
		}
	}
	return names
}

const functionNames = "utc, format, len, index, eq, ne, lt, le, gt, ge, and, or, not"

// call reads the call of a function; what is piped into it is its last argument.
func (r *templateReader) call(name string, args []parse.Node, dot, piped reflect.Type) reflect.Type {
	r.step()
	known, ok := signatures[name]
	if !ok {
		return r.fail("%.80s is no function here: there are %s", name, functionNames)
	}
	var types []reflect.Type
	for _, arg := range args {
		types = append(types, r.value(arg, dot))
	}
	if piped != nil {
		types = append(types, piped)
	}
	of := known.result(types)
	if of == nil {
		return r.fail("%s cannot take these: write %s", name, known.usage)
	}
	if name == "format" {
		r.layout(args[0])
	}
	return of
}

// misread are what other languages write for parts of a time.
var misread = regexp.MustCompile(`YYYY|yyyy|MM|DD|HH|%[A-Za-z]`)

// layout checks the layout of format. It has to be written there: one that is itself made by format could grow.
func (r *templateReader) layout(n parse.Node) {
	layout, ok := n.(*parse.StringNode)
	switch {
	case !ok:
		r.fail("format %.80s: write the layout there, as in format \"2006-01-02\" .Nominal", n)
	case len(layout.Text) > maxLayout:
		r.fail("format: a layout may have %d bytes, this has %d; other text can stand around it", maxLayout, len(layout.Text))
	case misread.MatchString(layout.Text), showsNothing(layout.Text):
		r.fail("format %s: a layout shows how 2 January 2006 15:04:05 is written, as Go has it: \"2006-01-02\", \"20060102T150405\", \"Mon 2 Jan\"", n)
	}
}

// showsNothing reports whether a layout writes two times alike that have nothing in common.
func showsNothing(layout string) bool {
	one := time.Date(2023, 12, 30, 23, 58, 57, 987654321, time.FixedZone("NPT", 20700))
	other := time.Date(1999, 1, 4, 3, 4, 5, 123456789, time.FixedZone("EST", -18000))
	return one.Format(layout) == other.Format(layout)
}

// These are the types of all that can be evaluated, beside the groups of fields in data.
var (
	textType    = reflect.TypeFor[string]()
	numberType  = reflect.TypeFor[int]()
	flagType    = reflect.TypeFor[bool]()
	momentType  = reflect.TypeFor[*moment]()
	changeType  = reflect.TypeFor[Change]()
	changesType = reflect.TypeFor[changes]()
	mixedType   = reflect.TypeFor[any]() // one or another of those that count as true or false
	dataType    = reflect.TypeFor[data]()
)

// signature is which types a function takes: result is nil when it does not take them.
type signature struct {
	usage  string
	result func(args []reflect.Type) reflect.Type
}

var signatures = map[string]signature{
	"utc":    {`utc .Nominal`, takes(momentType, momentType)},
	"format": {`format "2006-01-02" .Nominal`, takes(textType, textType, momentType)},
	"index":  {`(index .Changes 0).Path`, takes(changeType, changesType, numberType)},
	"len":    {`len .Changes, or of a text`, oneOfThese(numberType, changesType, textType)},
	"not":    {`not .Change.Path`, oneOfThese(flagType, textType, numberType, flagType, momentType, changesType, mixedType)},
	"and":    {`and .Change.Path .Previous.RunID`, choice},
	"or":     {`or .Previous.RunID "none"`, choice},
	"eq":     comparison("eq", 100), "ne": comparison("ne", 2), "lt": comparison("lt", 2),
	"le": comparison("le", 2), "gt": comparison("gt", 2), "ge": comparison("ge", 2),
}

func takes(result reflect.Type, want ...reflect.Type) func([]reflect.Type) reflect.Type {
	return func(args []reflect.Type) reflect.Type {
		if slices.Equal(args, want) {
			return result
		}
		return nil
	}
}

func oneOfThese(result reflect.Type, want ...reflect.Type) func([]reflect.Type) reflect.Type {
	return func(args []reflect.Type) reflect.Type {
		if len(args) == 1 && slices.Contains(want, args[0]) {
			return result
		}
		return nil
	}
}

// choice is the type of and, or: that of all arguments.
func choice(args []reflect.Type) reflect.Type {
	if len(args) == 0 || !testable(args...) {
		return nil
	}
	for _, of := range args {
		if of != args[0] {
			return mixedType
		}
	}
	return args[0]
}

func comparison(name string, most int) signature {
	usage := name + ` .Schedule.Name "daily", or of two numbers; times are compared as texts: ` + name + ` (format "15" .Nominal) "06"`
	return signature{usage, func(args []reflect.Type) reflect.Type {
		if len(args) < 2 || len(args) > most {
			return nil
		}
		for _, of := range args {
			if of != args[0] || of != textType && of != numberType {
				return nil
			}
		}
		return flagType
	}}
}

// testable reports whether if, and, or, not can tell true from false: nothing does of a struct.
func testable(types ...reflect.Type) bool {
	return !slices.ContainsFunc(types, func(of reflect.Type) bool { return of == nil || of.Kind() == reflect.Struct })
}

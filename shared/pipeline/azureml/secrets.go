package azureml

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"carillon/shared/pipeline"
)

// signature is the secret in a signed address of Azure Storage, also where that stands in another address or in JSON.
var signature = regexp.MustCompile(`(?i)(sig(?:=|%3d))[^&\s"'<>]+`)

// shortestSecret is how many bytes a parameter's value has at least that is kept out of errors: a shorter one is no
// secret, and stands in any text.
const shortestSecret = 6

type hidingKey struct{}

// hiding keeps the values of a submission's parameters out of what is told of the requests under ctx. Services quote
// what they refuse, what they say is logged and kept, and which values are secrets nobody knows here.
func hiding(ctx context.Context, s pipeline.Submission) context.Context {
	return context.WithValue(ctx, hidingKey{}, s.Parameters)
}

// hide takes out of a service's error what is not to be told under ctx.
func (b *errorBody) hide(ctx context.Context) {
	parameters, _ := ctx.Value(hidingKey{}).(map[string]string)
	values := hidden(parameters)
	e := &b.Error
	e.Code, e.Message = values.Replace(e.Code), values.Replace(e.Message)
	for i := range e.Details {
		e.Details[i].Message = values.Replace(e.Details[i].Message)
	}
}

// hidden puts the names of parameters in the place of their values. The longest go first: one may stand in another.
func hidden(parameters map[string]string) *strings.Replacer {
	var pairs [][2]string
	for name, text := range parameters {
		for _, form := range forms(text) {
			if len(form) >= shortestSecret {
				pairs = append(pairs, [2]string{form, "[value of " + name + "]"})
			}
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int {
		return cmp.Or(len(b[0])-len(a[0]), strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	})
	var words []string
	for _, p := range pairs {
		words = append(words, p[0], p[1])
	}
	return strings.NewReplacer(words...)
}

// forms are the ways in which a service may quote a value: as it was given or, without what says its type, sent; in
// JSON; and in an address.
func forms(text string) []string {
	sent := strings.TrimPrefix(text, "dataset:")
	if v, ok := marked(text); ok {
		sent = v.text
	}
	quoted, _ := json.Marshal(sent)
	return []string{text, sent, string(quoted[1 : len(quoted)-1]), url.QueryEscape(sent), url.PathEscape(sent)}
}

package azureml

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"carillon/shared/pipeline"
)

// asset is a version of a data asset: what it is, and where.
type asset struct{ kind, uri string }

// assetReference is how people write a data asset as an input's value, in the words of Microsoft's command line:
// azureml:NAME@latest or azureml:NAME:VERSION, maybe behind the type that it is to be taken for, and its mode.
var assetReference = regexp.MustCompile(`^(?:((?:uri_file|uri_folder|mltable)(?:\([a-z_]*\))?):)?azureml:/?(` + entityName + `)(?:@latest|:(` + entityName + `))$`)

// resolved is the submission with addresses in the place of data assets, each with the type that the asset has. So a run
// gets what was the latest version when it was submitted, and bears that on it. Values of inputs that are declared as
// something else than data stay as they are.
//
// The address is sent, not the asset's id: that jobs and batch endpoints take the first is documented, and recordings of
// the second contradict each other.
func (w *Workspace) resolved(ctx context.Context, s pipeline.Submission, d declaration) (pipeline.Submission, error) {
	found := map[string]asset{}
	parameters := maps.Clone(s.Parameters)
	for _, name := range slices.Sorted(maps.Keys(s.Parameters)) {
		declared := strings.ToLower(d.inputs[name].kind)
		parts := assetReference.FindStringSubmatch(s.Parameters[name])
		if parts == nil || declared != "" && !slices.Contains(data[:3], declared) {
			continue
		}
		as, reference := parts[1], strings.TrimPrefix(s.Parameters[name], parts[1]+":")
		a, known := found[reference]
		if !known {
			var err error
			if a, err = w.asset(ctx, parts[2], parts[3]); err != nil {
				return s, unresolved(s, name, reference, err)
			}
			found[reference] = a
		}
		if as == "" && declared != "" && declared != a.kind {
			return s, pipeline.Refusef("pipeline %s: its input %s is a %s, and %s is a %s: give another data asset, or write %s:%s to have it taken for one",
				s.Pipeline, name, declared, reference, a.kind, declared, reference)
		}
		if as == "" {
			as = a.kind
		}
		parameters[name] = as + ":" + a.uri
	}
	s.Parameters = parameters
	return s, nil
}

// errAsset is why a data asset that there is cannot be given to a run.
var errAsset = errors.New("it cannot be used")

// asset reads a version; with "" the latest.
func (w *Workspace) asset(ctx context.Context, name, version string) (asset, error) {
	if version == "" {
		var container struct {
			Properties struct{ LatestVersion string }
		}
		if err := w.get(ctx, "/data/"+name, &container); err != nil {
			return asset{}, err
		}
		if version = container.Properties.LatestVersion; !versionName.MatchString(version) {
			return asset{}, fmt.Errorf("%w: the workspace names no latest version of it (%q); write the version that is meant, as azureml:%s:VERSION", errAsset, tidy(version), name)
		}
	}
	var v struct {
		Name       string
		Properties struct{ DataType, DataURI string }
	}
	if err := w.get(ctx, "/data/"+name+"/versions/"+version, &v); err != nil {
		return asset{}, err
	}
	a := asset{kind: strings.ToLower(v.Properties.DataType), uri: v.Properties.DataURI}
	if !slices.Contains(data[:3], a.kind) || a.uri == "" {
		return asset{}, fmt.Errorf("%w: version %s of it is a %q at %q, and only a uri_file, uri_folder or mltable with an address is data", errAsset, version, tidy(a.kind), tidy(a.uri))
	}
	return a, nil
}

// unresolved is the error of a submission with a data asset that could not be read. Nothing was sent.
func unresolved(s pipeline.Submission, name, reference string, err error) error {
	switch {
	case errors.Is(err, errAsset):
		return pipeline.Refusef("pipeline %s: its input %s is to be the data asset %s: %w", s.Pipeline, name, reference, err)
	case answered(err, http.StatusNotFound):
		return pipeline.Refusef("pipeline %s: its input %s is to be the data asset %s, which is not in the workspace: register it there (az ml data create), or name one that is: %w",
			s.Pipeline, name, reference, err)
	}
	return unread(s, fmt.Errorf("the data asset %s of its input %s could not be read: %w", reference, name, err))
}

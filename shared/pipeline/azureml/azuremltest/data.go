package azuremltest

import (
	"net/http"
	"slices"
)

// DataAsset is a version of a registered data asset.
type DataAsset struct {
	Name    string
	Version string // "" for an asset without versions
	Type    string // uri_file, uri_folder or mltable
	URI     string
}

// PutData registers data assets. Of one name the one that was put last is the latest.
func (s *Service) PutData(assets ...DataAsset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = append(s.data, assets...)
}

// The functions below do the work of the routes. The caller holds s.mu.

func (s *Service) lastData(matches func(DataAsset) bool) (DataAsset, bool) {
	for _, a := range slices.Backward(s.data) {
		if matches(a) {
			return a, true
		}
	}
	return DataAsset{}, false
}

func (s *Service) getData(c call) reply {
	a, ok := s.lastData(func(a DataAsset) bool { return a.Name == c.name })
	if !ok {
		return refuse(http.StatusNotFound, "UserError", "there is no data asset "+c.name)
	}
	return reply{http.StatusOK, map[string]any{
		"id": s.scope() + "/data/" + a.Name, "name": a.Name, "type": "Microsoft.MachineLearningServices/workspaces/data",
		"properties": map[string]any{"description": nil, "isArchived": false, "dataType": a.Type, "latestVersion": text(a.Version), "nextVersion": nil},
	}}
}

func (s *Service) getDataVersion(c call) reply {
	a, ok := s.lastData(func(a DataAsset) bool { return a.Name == c.name && a.Version == c.part })
	if !ok {
		return refuse(http.StatusNotFound, "UserError", "there is no version "+c.part+" of data asset "+c.name)
	}
	return reply{http.StatusOK, map[string]any{
		"id": s.scope() + "/data/" + a.Name + "/versions/" + a.Version, "name": a.Version,
		"type":       "Microsoft.MachineLearningServices/workspaces/data/versions",
		"properties": map[string]any{"description": nil, "isArchived": false, "isAnonymous": false, "dataType": a.Type, "dataUri": text(a.URI)},
	}}
}

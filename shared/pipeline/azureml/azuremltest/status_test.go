package azuremltest

import (
	"io"
	"strings"
	"testing"
)

func TestTheSwitchOfAPipeline(t *testing.T) {
	for body, want := range map[string]int{
		`"Disabled"`: 200, `"Active"`: 200, `"Deprecated"`: 200, `"disabled"`: 400, `2`: 400, `{"Status":"Disabled"}`: 400, ``: 400,
	} {
		s := newService()
		r := good(t, s)
		r.Method, r.URL.Path = "PUT", "/pipelines/v1.0"+s.scope()+"/Pipelines/"+train+"/Status"
		r.Body = io.NopCloser(strings.NewReader(body))
		w, complaints := send(s, r)
		if w.Code != want || (len(complaints) == 0) != (want == 200) {
			t.Errorf("%s: %d %s, %q", body, w.Code, w.Body, complaints)
		}
		if got := s.pipelines[train].Status; want == 200 && `"`+got+`"` != body {
			t.Errorf("%s: it is %s", body, got)
		}
	}
}

package submit_test

import (
	"strings"
	"testing"
	"time"

	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// What was claimed is not submitted so late that somebody else may have claimed it meanwhile: it is put off, and starts once.
func TestClaimedForTooLong(t *testing.T) {
	rows := &storetest.Faulty{Driver: store.NewMem(), Fail: func(storetest.Call) storetest.Fault { return storetest.Works }}
	s := newStageOver(t, rows, func(*schedule.Definition) {})
	s.play("lost, lost")
	var ids []string
	for _, which := range []string{"1", "2"} {
		ids = append(ids, s.find(which).Value.ID)
	}
	asked := 0
	rows.Fail = func(c storetest.Call) storetest.Fault { // reading the second takes its time, and fails
		if c.Method == "Get" && strings.HasPrefix(c.Sort, "occ|") && asked > 0 {
			s.now = s.now.Add(100 * time.Second)
			asked++
			return storetest.Refused
		}
		if c.Method == "Apply" && len(c.Ops) > 0 && strings.HasPrefix(c.Ops[0].Sort, "occ|") {
			asked = 1
		}
		return storetest.Works
	}
	_ = s.submit.Handle(t.Context(), queue.Messages(ids)[0])
	rows.Fail = func(storetest.Call) storetest.Fault { return storetest.Works }
	if asked > 20 {
		t.Errorf("the store is asked again %d times", asked)
	}
	if runs := s.fake.Runs(); len(runs) > 0 {
		t.Errorf("%d runs were submitted late", len(runs))
	}
	s.play("quarter, quarter")
	if got := len(s.fake.Runs()); got != 2 {
		t.Errorf("%d runs in the end: %s", got, s.says())
	}
}

package submit_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// A process is killed while a workspace answers it, and the next one starts at once. The run is looked for when it can be found,
// and not before: nobody has to decide.
func TestKilledWhileAWorkspaceAnswers(t *testing.T) {
	server := azuremltest.Start(t)
	ref := schedule.PipelineRef{Kind: azureml.Published, ID: "aaaaaaaa-0000-4000-8000-000000000001"}
	server.Put(azuremltest.Pipeline{ID: ref.ID, Name: "train"})
	w, err := azureml.Open(azureml.Config{
		Subscription: server.Subscription, ResourceGroup: server.ResourceGroup, Workspace: server.Workspace, BaseURL: server.URL,
		Credential: &azuremltest.Credential{}, Transport: server.Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	var killed atomic.Bool
	rows := &storetest.Faulty{Driver: store.NewMem(), Fail: func(c storetest.Call) storetest.Fault {
		if killed.Load() && c.Method == "Apply" {
			return storetest.Refused
		}
		return storetest.Works
	}}
	s := newStageOver(t, rows, func(d *schedule.Definition) { d.Pipeline = ref })
	s.submit.Targets[ref.Kind] = w.Targets()[ref.Kind]
	server.Fail(azuremltest.Submit, azuremltest.Fault{AfterWork: true, Hold: func(context.Context) { killed.Store(true) }})
	s.play("lost")
	message := queue.Messages([]string{s.find("1").Value.ID})[0]
	if err := s.submit.Handle(t.Context(), message); err == nil || server.Submissions(s.find("1").Value.ID) != 1 {
		t.Fatalf("it was not killed in the middle: %v", err)
	}

	killed.Store(false)
	server.Behave(azuremltest.Manners{HistoryLags: true})
	s.submit.Owner, s.submit.Void = "you", func(owner string) bool { return owner != "you" }
	for _, wait := range []time.Duration{time.Second, schedule.Lease} {
		s.now = s.now.Add(wait)
		s.handle(s.submit.Handle, message)
		if o := s.find("1").Value; o.Status != schedule.Submitting || server.Asked(azuremltest.FindRuns) != 0 {
			t.Errorf("after %v more it is %s (%s), and was looked for %d times", wait, o.Status, o.Error, server.Asked(azuremltest.FindRuns))
		}
	}
	server.Behave(azuremltest.Manners{})
	s.now = s.now.Add(time.Minute)
	s.tick() // the message is lost
	for _, body := range s.submits.Take(s.now) {
		s.handle(s.submit.Handle, body)
	}
	if o := s.find("1").Value; o.Status != schedule.Queued || o.Error != "" || server.Submissions(o.ID) != 1 {
		t.Errorf("at last it is %s (%s), with %d runs", o.Status, o.Error, server.Submissions(o.ID))
	}
}

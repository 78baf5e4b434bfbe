package local

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

const hourLayout = "2006-01-02T15"

// Prune removes what is kept of at most max runs that ended before an instant, oldest hours first, and returns
// how many it removed: fewer than max when there are no more. A Submit under such a run's name makes a new run.
func (t *Target) Prune(ctx context.Context, before time.Time, max int) (removed int, err error) {
	hours, err := os.ReadDir(filepath.Join(t.disk.root, "ended"))
	if err != nil {
		return 0, err
	}
	for _, e := range hours {
		hour, err := time.Parse(hourLayout, e.Name())
		if err != nil {
			continue
		}
		if removed >= max || !hour.Before(before) {
			break
		}
		n, err := t.pruneHour(ctx, hour, before, max-removed)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (t *Target) pruneHour(ctx context.Context, hour, before time.Time, max int) (removed int, err error) {
	dir := filepath.Join(t.disk.root, "ended", hour.Format(hourLayout))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	whole := !hour.Add(time.Hour).After(before)
	for _, e := range entries {
		if removed >= max {
			return removed, nil
		}
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		if !whole && t.endedSince(e.Name(), before) {
			continue
		}
		// The entry goes last: a removal that was cut off is gone on with.
		if err := os.RemoveAll(t.disk.run(e.Name())); err != nil {
			return removed, err
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return removed, err
		}
		removed++
	}
	os.Remove(dir) // when it is empty
	return removed, nil
}

func (t *Target) endedSince(name string, before time.Time) bool {
	e, err := t.disk.readEnd(name)
	return err == nil && !e.Ended.Before(before)
}

package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that people write as 5m, 1h30m or 2d. A day is 24 hours.
type Duration time.Duration

// ParseDuration reads a duration of whole seconds or more, such as 90s, 5m, 1h30m, 2d or 1d12h.
func ParseDuration(s string) (time.Duration, error) {
	days, rest, found := strings.Cut(s, "d")
	total := time.Duration(0)
	if found {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 36500 {
			return 0, badDuration(s)
		}
		total = time.Duration(n) * 24 * time.Hour
	} else {
		rest = s
	}
	if rest != "" || !found {
		d, err := time.ParseDuration(rest)
		if err != nil || strings.ContainsAny(rest, "+-") {
			return 0, badDuration(s)
		}
		total += d
	}
	if total%time.Second != 0 {
		return 0, badDuration(s)
	}
	return total, nil
}

func badDuration(s string) error {
	return fmt.Errorf("%q is not a duration; write whole seconds or more as 90s, 5m, 1h30m or 2d", s)
}

// String writes the duration as people do: 2d, 1h30m, 45s.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := time.Duration(d) / unit.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			d -= Duration(n * unit.size)
		}
	}
	return b.String()
}

func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

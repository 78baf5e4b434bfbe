package recur

import (
	"errors"
	"time"
)

var errTime = errors.New("not a time: write it as 2026-01-31T10:30 or 2026-01-31T10:30:00; with Z or an offset (+01:00) it is that instant")

// ParseTime reads a time as people write it: YYYY-MM-DDThh:mm[:ss], the wall time in zone, or with Z or an offset
// that instant. A wall time that clocks put forward left out is moved forward by the gap; one that comes twice is
// its first coming. Years are 1 to 9999; parts of a second have to be zero. The result is in zone (nil is UTC).
// Zones from LoadZone make it fast.
func ParseTime(s string, zone *time.Location) (time.Time, error) {
	c, err := parseClock(s)
	if err != nil {
		return time.Time{}, err
	}
	z := zoneOf(zone)
	return time.Unix(c.instant(z), 0).In(z.loc), nil
}

// clock is a time as written.
type clock struct {
	wall   int64
	fixed  bool // an offset was written
	offset int64
}

func (c clock) instant(z *zone) int64 {
	if c.fixed {
		return c.wall - c.offset
	}
	return z.resolve(c.wall)
}

// in is the wall time in z: what was written, or what clocks there show at the instant.
func (c clock) in(z *zone) int64 {
	if !c.fixed {
		return c.wall
	}
	u := c.wall - c.offset
	return u + z.offset(z.find(u))
}

func parseClock(s string) (clock, error) {
	date, ok := parseDate(s)
	if !ok || len(s) < len("2026-01-31T10:30") || s[10] != 'T' {
		return clock{}, errTime
	}
	sec, ok := parseHourMinute(s[11:16])
	rest := s[16:]
	if len(rest) >= 3 && rest[0] == ':' {
		n, good := digits(rest[1:3], 59)
		ok = ok && good
		sec, rest = sec+n, zeroFraction(rest[3:])
	}
	c := clock{wall: date*day + sec}
	if rest != "" {
		c.fixed = true
		var good bool
		c.offset, good = parseOffset(rest)
		ok = ok && good
	}
	if u := c.wall - c.offset; !ok || u < minWall || u > maxWall {
		return clock{}, errTime
	}
	return c, nil
}

// zeroFraction cuts ".000" off: some programs cannot write times without.
func zeroFraction(s string) string {
	if len(s) < 2 || s[0] != '.' || s[1] != '0' {
		return s
	}
	n := 1
	for n < len(s) && s[n] == '0' {
		n++
	}
	return s[n:]
}

func parseOffset(s string) (int64, bool) {
	if s == "Z" {
		return 0, true
	}
	if len(s) != len("+01:00") || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	sec, ok := parseHourMinute(s[1:])
	if s[0] == '-' {
		sec = -sec
	}
	return sec, ok
}

// parseDate reads the YYYY-MM-DD that s begins with.
func parseDate(s string) (date int64, ok bool) {
	if len(s) < len("2026-01-31") || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	y, ok1 := digits(s[:4], 9999)
	m, ok2 := digits(s[5:7], 12)
	d, ok3 := digits(s[8:10], 31)
	if !ok1 || !ok2 || !ok3 || y == 0 || m == 0 || d == 0 {
		return 0, false
	}
	month := y*12 + m - 1
	if d > monthLength(month) {
		return 0, false
	}
	return dateOf(month, d), true
}

// parseHourMinute reads hh:mm and gives seconds.
func parseHourMinute(s string) (int64, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	h, ok1 := digits(s[:2], 23)
	m, ok2 := digits(s[3:], 59)
	return h*3600 + m*60, ok1 && ok2
}

// digits reads a number that is all digits.
func digits(s string, most int64) (n int64, ok bool) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
		if n > most {
			return 0, false
		}
	}
	return n, s != ""
}

package recur

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones are known on machines without a tz database, too
)

// LoadZone finds a time zone by its IANA name (Europe/Vienna) or its Windows id (W. Europe Standard Time, in any
// letter case). The empty name is UTC. Local, and whatever else depends on the machine, is refused. Zones that
// were found are kept for the life of the process: there are some 600 of them.
func LoadZone(name string) (*time.Location, error) {
	z, err := loadZone(name)
	if err != nil {
		return nil, err
	}
	return z.loc, nil
}

var errZone = errors.New(`unknown time zone: give an IANA name such as "Europe/Vienna" or a Windows id such as "W. Europe Standard Time"`)

// zones holds what loadZone has found: name -> *zone.
var zones sync.Map

var utc = &zone{loc: time.UTC, at: []int64{math.MinInt64}, off: []int64{0}}

func loadZone(name string) (*zone, error) {
	if name == "" || name == "UTC" {
		return utc, nil
	}
	if z, ok := zones.Load(name); ok {
		return z.(*zone), nil
	}
	if iana, ok := WindowsZone(name); ok {
		name = iana
		if z, ok := zones.Load(name); ok {
			return z.(*zone), nil
		}
	}
	if !plainName(name) {
		return nil, fmt.Errorf("%q: %w", shorten(name), errZone)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", shorten(name), errZone)
	}
	z, _ := zones.LoadOrStore(name, newZone(loc))
	return z.(*zone), nil
}

// plainName keeps away from the loader what it would take for a file of the machine: paths, "localtime",
// "posix/…", and "right/…", whose clocks count leap seconds.
func plainName(name string) bool {
	if name == "Local" || len(name) > 64 {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] < 'A' || part[0] > 'Z' {
			return false
		}
		for _, c := range []byte(part) {
			if !isAlnum(c) && !strings.ContainsRune("_-+", rune(c)) {
				return false
			}
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func shorten(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "") + "…"
}

// zone is a location's offsets as a table: asking package time for each of them takes more than all the rest of
// Next. Segment i runs from start(i) to start(i+1) with one offset; neighbours differ. After cycleStart
// the rules of every zone repeat with the Gregorian calendar, in 400 years, so segments go on for ever.
// A zone does not change once it is built.
type zone struct {
	loc   *time.Location
	at    []int64 // Unix seconds at which a segment starts; the first since ever
	off   []int64 // seconds to add to UTC
	cycle int     // how many segments at the end repeat; 0: the last one has no end
}

const (
	day        = 86400
	cycleStart = 4102444800 // 2100-01-01: later than the last single transition that any zone lists (Morocco, 2087)
	cycleLen   = 146097 * day
)

func newZone(loc *time.Location) *zone {
	z := &zone{loc: loc}
	t := time.Unix(minWall-2*day, 0).In(loc)
	for t.Unix() < cycleStart+cycleLen {
		_, off := t.Zone()
		z.add(t.Unix(), int64(off))
		_, end := t.ZoneBounds()
		if end.IsZero() {
			break
		}
		if !end.After(t) { // on 31 December of leap years package time gives the end of a year of 365 days
			end = t.Add(day * time.Second)
		}
		t = end
	}
	z.at[0] = math.MinInt64
	for z.cycle < len(z.at) && z.at[len(z.at)-1-z.cycle] >= cycleStart {
		z.cycle++
	}
	return z
}

func (z *zone) add(at, off int64) {
	if n := len(z.off); n > 0 && z.off[n-1] == off {
		return
	}
	z.at, z.off = append(z.at, at), append(z.off, off)
}

// start is the instant at which segment i begins; math.MaxInt64 when there is none.
func (z *zone) start(i int) int64 {
	n := len(z.at)
	if i < n {
		return z.at[i]
	}
	if z.cycle == 0 {
		return math.MaxInt64
	}
	i -= n
	return z.at[n-z.cycle+i%z.cycle] + int64(i/z.cycle+1)*cycleLen
}

func (z *zone) offset(i int) int64 {
	n := len(z.at)
	if i < n {
		return z.off[i]
	}
	return z.off[n-z.cycle+(i-n)%z.cycle]
}

// find is the segment that holds the instant u.
func (z *zone) find(u int64) int {
	turns := 0
	if z.cycle > 0 && u >= cycleStart+cycleLen {
		k := (u - cycleStart) / cycleLen
		u, turns = u-k*cycleLen, int(k)*z.cycle
	}
	lo, hi := 0, len(z.at)
	for hi-lo > 1 {
		mid := int(uint(lo+hi) >> 1)
		if z.at[mid] <= u {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo + turns
}

// resolve gives the instant of a wall time: its first coming, or, in a gap, the time moved forward by the gap.
func (z *zone) resolve(wall int64) int64 {
	const most = 17 * 3600 // no zone has ever been further from UTC
	i := z.find(wall - most)
	for wall >= z.end(i) {
		if next := z.start(i + 1); wall < next+z.offset(i+1) {
			return wall - z.offset(i)
		}
		i++
	}
	return wall - z.offset(i)
}

// end is the wall time at which segment i is over.
func (z *zone) end(i int) int64 {
	next := z.start(i + 1)
	if next == math.MaxInt64 {
		return next
	}
	return next + z.offset(i)
}

// zoneOf is the table of any location; those that LoadZone gives have theirs already.
func zoneOf(loc *time.Location) *zone {
	if loc == nil || loc == time.UTC {
		return utc
	}
	if z, ok := zones.Load(loc.String()); ok && z.(*zone).loc == loc {
		return z.(*zone)
	}
	return newZone(loc)
}

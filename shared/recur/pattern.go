package recur

import (
	"math"
	"math/bits"
)

// Wall times are seconds since 1970-01-01T00:00:00 on a clock that shows the zone's time: every date has 86,400
// of them, and no clock change is seen here.
const (
	minWall = -62135596800 // 0001-01-01
	maxWall = 253402300799 // 9999-12-31T23:59:59
	never   = math.MaxInt64
)

type unit uint8

const (
	byDay unit = iota
	byWeek
	byMonth
)

// pattern is the set of wall times of a definition: the times of a day, on the days of every interval-th day,
// week or month from the first.
type pattern struct {
	minutes  uint64 // bit m: minute m
	hours    uint32
	weekdays uint8  // byWeek; bit 0 is Monday
	months   uint16 // byMonth; bit 0 is January
	unit     unit
	second   int64
	first    int64 // number of period 0: of its day, its week or its month
	interval int64 // in periods
	last     int64 // byMonth: number of the last month that is looked at
	days     *monthTable
}

// from is the first wall time of the pattern at or after wall, or never. It looks at no more than the months up to
// last.
func (p *pattern) from(wall int64) int64 {
	date := floorDiv(wall, day)
	next := p.date(date)
	if next == date {
		if t := p.time(wall - date*day); t >= 0 {
			return date*day + t
		}
		next = p.date(date + 1)
	}
	if next == never {
		return never
	}
	return next*day + p.time(0)
}

// time is the first time of day, in seconds, at or after second s; negative when there is none.
func (p *pattern) time(s int64) int64 {
	m := int64(0)
	if s > p.second {
		m = (s - p.second + 59) / 60
	}
	if m >= 1440 {
		return -1
	}
	hour := uint(m) / 60
	if p.hours>>hour&1 == 1 {
		if late := p.minutes >> (uint(m) % 60); late != 0 {
			return (m+int64(bits.TrailingZeros64(late)))*60 + p.second
		}
	}
	late := p.hours >> (hour + 1)
	if late == 0 {
		return -1
	}
	hour += 1 + uint(bits.TrailingZeros32(late))
	return int64(hour)*3600 + int64(bits.TrailingZeros64(p.minutes))*60 + p.second
}

// date is the first day of the pattern at or after date, in days since 1970-01-01, or never.
func (p *pattern) date(date int64) int64 {
	switch p.unit {
	case byDay:
		return p.align(date)
	case byWeek:
		return p.weekDate(date)
	}
	return p.monthDate(date)
}

// align is the first period of the pattern that is not before n.
func (p *pattern) align(n int64) int64 {
	if n <= p.first {
		return p.first
	}
	if p.interval == 1 {
		return n
	}
	if late := (n - p.first) % p.interval; late > 0 {
		return n + p.interval - late
	}
	return n
}

func (p *pattern) weekDate(date int64) int64 {
	week := weekOf(date)
	if aligned := p.align(week); aligned > week {
		return mondayOf(aligned) + int64(bits.TrailingZeros8(p.weekdays))
	}
	weekday := uint(date - mondayOf(week))
	if late := p.weekdays >> weekday; late != 0 {
		return date + int64(bits.TrailingZeros8(late))
	}
	return mondayOf(week+p.interval) + int64(bits.TrailingZeros8(p.weekdays))
}

func (p *pattern) monthDate(date int64) int64 {
	month, dom := monthOf(date)
	if aligned := p.align(month); aligned > month {
		month, dom = aligned, 1
	}
	for ; month <= p.last; month, dom = month+p.interval, 1 {
		if late := bits.TrailingZeros32((uint32(p.months)<<12 | uint32(p.months)) >> (uint64(month) % 12)); late > 0 {
			month, dom = month+int64(late), 1
		}
		start := dateOf(month, 1)
		days := p.days[monthLength(month)-28][weekday(start)] >> dom << dom
		if days != 0 {
			return start + int64(bits.TrailingZeros32(days)) - 1
		}
	}
	return never
}

// has reports whether wall is one of the pattern's times.
func (p *pattern) has(wall int64) bool { return p.from(wall) == wall }

// All dates here are days since 1970-01-01, none before the year 0. With bias they are never negative, and unsigned
// division by a constant is cheap.
const (
	bias      = 5 * 146097 // 2,000 years, which are whole weeks
	firstDate = 719468     // days from 0000-03-01 to 1970-01-01
)

// weekOf numbers the weeks, which begin on Monday.
func weekOf(date int64) int64 { return int64(uint64(date+3+bias)/7) - bias/7 }

func mondayOf(week int64) int64 { return week*7 - 3 }

// weekday is 0 for Monday.
func weekday(date int64) uint { return uint(uint64(date+3+bias) % 7) }

// monthOf numbers the months, January of the year 0 being 0, and gives the day of the month. As in the next function
// years are counted from 1 March, which puts the leap day at their end.
func monthOf(date int64) (month, dom int64) {
	z := uint64(date + firstDate + bias)
	era := z / 146097
	doe := uint32(z - era*146097)
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	month = int64(era*4800) + int64(yoe*12+mp) + 2 - bias/146097*4800
	return month, int64(doy - (153*mp+2)/5 + 1)
}

// dateOf is the day of a month; day of month 1 is the first.
func dateOf(month, dom int64) int64 {
	march := uint64(month - 2)
	year := march / 12
	days := year*365 + year/4 - year/100 + year/400 + (153*(march-year*12)+2)/5
	return int64(days) + dom - 1 - firstDate
}

// monthLength is 28 to 31.
func monthLength(month int64) int64 {
	year := uint64(month) / 12
	m := uint64(month) % 12
	if m == 1 {
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 30 + int64(0b101011010101>>m&1)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// monthTable is a choice of days for months of every shape, by their length less 28 and the weekday of their first
// day: bit d is day d.
type monthTable [4][7]uint32

// add chooses a day of the month; -1 is the last one.
func (t *monthTable) add(d int) {
	for i := range t {
		length := 28 + i
		if d < 0 {
			t.addShape(i, length+1+d)
		} else {
			t.addShape(i, d)
		}
	}
}

func (t *monthTable) addShape(i, d int) {
	if d < 1 || d > 28+i {
		return
	}
	for first := range t[i] {
		t[i][first] |= 1 << d
	}
}

// addWeekday chooses a weekday by its place in the month; -1 is the last one, 0 is every one.
func (t *monthTable) addWeekday(weekday, place int) {
	for i := range t {
		length := 28 + i
		for first := range t[i] {
			d := (weekday-first+7)%7 + 1 // its first one
			all := uint32(1|1<<7|1<<14|1<<21|1<<28) << d & (1<<(length+1) - 1)
			last := d + (length-d)/7*7
			switch {
			case place > 0:
				all &= 1 << (d + 7*(place-1))
			case place < 0 && last+7*(place+1) > 0:
				all &= 1 << (last + 7*(place+1))
			case place < 0:
				all = 0
			}
			t[i][first] |= all
		}
	}
}

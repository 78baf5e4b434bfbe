package recur

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// windowsIDs are the 139 ids of CLDR windowsZones and the two of Azure ML v1.
const windowsIDs = `Dateline Standard Time|UTC-11|Aleutian Standard Time|Hawaiian Standard Time|Marquesas Standard Time
Alaskan Standard Time|UTC-09|Pacific Standard Time (Mexico)|UTC-08|Pacific Standard Time
US Mountain Standard Time|Mountain Standard Time (Mexico)|Mountain Standard Time|Yukon Standard Time
Central America Standard Time|Central Standard Time|Easter Island Standard Time|Central Standard Time (Mexico)
Canada Central Standard Time|SA Pacific Standard Time|Eastern Standard Time (Mexico)|Eastern Standard Time
Haiti Standard Time|Cuba Standard Time|US Eastern Standard Time|Turks And Caicos Standard Time
Paraguay Standard Time|Atlantic Standard Time|Venezuela Standard Time|Central Brazilian Standard Time
SA Western Standard Time|Pacific SA Standard Time|Newfoundland Standard Time|Tocantins Standard Time
E. South America Standard Time|SA Eastern Standard Time|Argentina Standard Time|Greenland Standard Time
Montevideo Standard Time|Magallanes Standard Time|Saint Pierre Standard Time|Bahia Standard Time|UTC-02
Azores Standard Time|Cape Verde Standard Time|UTC|GMT Standard Time|Greenwich Standard Time
Sao Tome Standard Time|Morocco Standard Time|W. Europe Standard Time|Central Europe Standard Time
Romance Standard Time|Central European Standard Time|W. Central Africa Standard Time|Jordan Standard Time
GTB Standard Time|Middle East Standard Time|Egypt Standard Time|E. Europe Standard Time|Syria Standard Time
West Bank Standard Time|South Africa Standard Time|FLE Standard Time|Israel Standard Time
South Sudan Standard Time|Kaliningrad Standard Time|Sudan Standard Time|Libya Standard Time
Namibia Standard Time|Arabic Standard Time|Turkey Standard Time|Arab Standard Time|Belarus Standard Time
Russian Standard Time|E. Africa Standard Time|Iran Standard Time|Arabian Standard Time|Astrakhan Standard Time
Azerbaijan Standard Time|Russia Time Zone 3|Mauritius Standard Time|Saratov Standard Time
Georgian Standard Time|Volgograd Standard Time|Caucasus Standard Time|Afghanistan Standard Time
West Asia Standard Time|Ekaterinburg Standard Time|Pakistan Standard Time|Qyzylorda Standard Time
India Standard Time|Sri Lanka Standard Time|Nepal Standard Time|Central Asia Standard Time
Bangladesh Standard Time|Omsk Standard Time|Myanmar Standard Time|SE Asia Standard Time|Altai Standard Time
W. Mongolia Standard Time|North Asia Standard Time|N. Central Asia Standard Time|Tomsk Standard Time
China Standard Time|North Asia East Standard Time|Singapore Standard Time|W. Australia Standard Time
Taipei Standard Time|Ulaanbaatar Standard Time|Aus Central W. Standard Time|Transbaikal Standard Time
Tokyo Standard Time|North Korea Standard Time|Korea Standard Time|Yakutsk Standard Time
Cen. Australia Standard Time|AUS Central Standard Time|E. Australia Standard Time|AUS Eastern Standard Time
West Pacific Standard Time|Tasmania Standard Time|Vladivostok Standard Time|Lord Howe Standard Time
Bougainville Standard Time|Russia Time Zone 10|Magadan Standard Time|Norfolk Standard Time
Sakhalin Standard Time|Central Pacific Standard Time|Russia Time Zone 11|New Zealand Standard Time|UTC+12
Fiji Standard Time|Chatham Islands Standard Time|UTC+13|Tonga Standard Time|Samoa Standard Time
Line Islands Standard Time|Kamchatka Standard Time|Mid-Atlantic Standard Time`

func TestWindowsZones(t *testing.T) {
	ids := strings.FieldsFunc(windowsIDs, func(r rune) bool { return r == '|' || r == '\n' })
	if len(ids) != 141 || len(windowsZones) != 141 {
		t.Errorf("%d ids, %d in the table, want 141", len(ids), len(windowsZones))
	}
	for _, id := range ids {
		iana, ok := WindowsZone(id)
		if !ok {
			t.Errorf("%s is missing", id)
			continue
		}
		loc, err := LoadZone(id)
		if err != nil || loc.String() != iana && id != "UTC" {
			t.Errorf("%s: %v, %v, want %s", id, loc, err, iana)
		}
	}
}

// TestWindowsOffsets checks the table against what the ids stand for in Windows: minutes on 1 January and 1 July 2025.
func TestWindowsOffsets(t *testing.T) {
	for _, c := range []struct {
		id        string
		jan, july int
	}{
		{"Dateline Standard Time", -720, -720}, {"Hawaiian Standard Time", -600, -600}, {"Pacific Standard Time", -480, -420},
		{"US Mountain Standard Time", -420, -420}, {"Eastern Standard Time", -300, -240}, {"Newfoundland Standard Time", -210, -150},
		{"Mid-Atlantic Standard Time", -120, -120}, {"UTC", 0, 0}, {"GMT Standard Time", 0, 60}, {"W. Europe Standard Time", 60, 120},
		{"Morocco Standard Time", 60, 60}, {"South Africa Standard Time", 120, 120}, {"Iran Standard Time", 210, 210},
		{"India Standard Time", 330, 330}, {"Nepal Standard Time", 345, 345}, {"Central Asia Standard Time", 360, 360},
		{"China Standard Time", 480, 480}, {"Aus Central W. Standard Time", 525, 525}, {"Lord Howe Standard Time", 660, 630},
		{"Kamchatka Standard Time", 720, 720}, {"Chatham Islands Standard Time", 825, 765}, {"Line Islands Standard Time", 840, 840},
		{"w. europe standard time", 60, 120},
	} {
		loc, err := LoadZone(c.id)
		if err != nil {
			t.Error(err)
			continue
		}
		_, jan := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).In(loc).Zone()
		_, july := time.Date(2025, 7, 1, 0, 0, 0, 0, time.UTC).In(loc).Zone()
		if jan/60 != c.jan || july/60 != c.july {
			t.Errorf("%s: %d and %d, want %d and %d", c.id, jan/60, july/60, c.jan, c.july)
		}
	}
}

func TestLoadZone(t *testing.T) {
	for _, name := range []string{"", "UTC", "Europe/Vienna", "Etc/GMT+12", "America/Port-au-Prince", "EST5EDT", "America/Argentina/Buenos_Aires"} {
		if loc, err := LoadZone(name); err != nil || name != "" && loc.String() != name {
			t.Errorf("%q: %v, %v", name, loc, err)
		}
	}
	for _, name := range []string{
		"Local", "localtime", "posixrules", "right/Europe/Vienna", "posix/Europe/Vienna", "/etc/localtime", "../zoneinfo/UTC", "Europe/../UTC",
		"Europe", "Europe/", "Europe//Vienna", "Europe\\Vienna", "Vienna", "Europe/Wien", "W. Europe", " UTC", "GMT+1", "+01:00", "zone.tab",
		"Europe/Vienna\x00", strings.Repeat("A", 1000),
	} {
		if loc, err := LoadZone(name); err == nil {
			t.Errorf("%q: %v", name, loc)
		}
	}
}

// TestZoneTable compares the table with package time, at random instants and on both sides of every entry.
func TestZoneTable(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, name := range append(windowsNames(), awkward...) {
		loc, err := LoadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		z := zoneOf(loc)
		check := func(u int64) {
			_, want := time.Unix(u, 0).In(loc).Zone()
			if got := z.offset(z.find(u)); got != int64(want) {
				t.Fatalf("%s at %v: %d, want %d", name, time.Unix(u, 0).UTC(), got, want)
			}
			if i := z.find(u); u < z.start(i) || u >= z.start(i+1) {
				t.Fatalf("%s: segment %d does not hold %d", name, i, u)
			}
		}
		for i := 1; i < len(z.at)+3*z.cycle; i++ {
			check(z.start(i))
			check(z.start(i) - 1)
		}
		for range 1000 {
			check(minWall + r.Int64N(maxWall-minWall))
		}
	}
}

func windowsNames() (names []string) {
	for _, iana := range windowsZones {
		names = append(names, iana)
	}
	return names
}

// TestZoneShape is what the walk along the segments takes for granted: clocks are not put back to what an earlier
// segment has shown before, and a gap is over before the next change.
func TestZoneShape(t *testing.T) {
	for _, name := range append(windowsNames(), awkward...) {
		loc, err := LoadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		z := zoneOf(loc)
		for i := 1; i < len(z.at)-1; i++ {
			if jump := z.offset(i) - z.offset(i-1); max(jump, -jump) > z.start(i+1)-z.start(i) {
				t.Errorf("%s: the change at %v is longer than the time to the next", name, time.Unix(z.start(i), 0).UTC())
			}
		}
	}
}

func TestParseTime(t *testing.T) {
	for _, c := range []struct{ in, zone, want string }{
		{"2026-01-31T10:30", "", "2026-01-31T10:30:00Z"},
		{"2026-01-31T10:30:15", "Europe/Vienna", "2026-01-31T10:30:15+01:00"},
		{"2026-01-31T10:30Z", "Europe/Vienna", "2026-01-31T11:30:00+01:00"},
		{"2026-01-31T10:30:15-05:00", "Europe/Vienna", "2026-01-31T16:30:15+01:00"},
		{"2026-01-31T10:30:15.000Z", "", "2026-01-31T10:30:15Z"},
		{"2026-01-31T10:30:15.0000000", "Asia/Kathmandu", "2026-01-31T10:30:15+05:45"},
		{"2026-03-29T02:30", "Europe/Vienna", "2026-03-29T03:30:00+02:00"},
		{"2026-03-29T02:00", "Europe/Vienna", "2026-03-29T03:00:00+02:00"},
		{"2026-10-25T02:30", "Europe/Vienna", "2026-10-25T02:30:00+02:00"},
		{"2026-10-25T02:00", "Europe/Vienna", "2026-10-25T02:00:00+02:00"},
		{"2026-10-25T03:00", "Europe/Vienna", "2026-10-25T03:00:00+01:00"},
		{"2011-12-30T10:00", "Pacific/Apia", "2011-12-31T10:00:00+14:00"},
		{"2028-02-29T00:00", "", "2028-02-29T00:00:00Z"},
		{"0001-01-01T00:00", "", "0001-01-01T00:00:00Z"},
		{"9999-12-31T23:59:59", "", "9999-12-31T23:59:59Z"},
	} {
		loc, err := LoadZone(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseTime(c.in, loc)
		if err != nil || got.Format(time.RFC3339) != c.want {
			t.Errorf("%s in %q: %v, %v, want %s", c.in, c.zone, got.Format(time.RFC3339), err, c.want)
		}
	}
	for _, in := range []string{
		"", "2026-01-31", "2026-01-31T", "2026-01-31 10:30", "2026-01-31t10:30", "2026-01-31T10", "2026-01-31T1030", "2026-01-31T24:00",
		"2026-01-31T10:60", "2026-01-31T10:30:60", "2026-02-29T10:30", "2026-00-01T10:30", "2026-13-01T10:30", "2026-01-00T10:30",
		"0000-01-01T10:30", "2026-01-31T10:30:15.5Z", "2026-01-31T10:30:15.", "2026-01-31T10:30z", "2026-01-31T10:30+1", "2026-01-31T10:30+0100",
		"2026-01-31T10:30+24:00", "2026-01-31T10:30 Z", "2026-01-31T10:30:1", "+026-01-31T10:30", "2026-1-31T10:30", "0001-01-01T00:00+01:00",
	} {
		if got, err := ParseTime(in, time.UTC); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
	if got, err := ParseTime("2026-01-31T10:30", time.FixedZone("x", 1800)); err != nil || got.Unix() != 1769853600 {
		t.Error(got.Unix(), err)
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("2026-03-29T02:30:00", uint8(0))
	f.Add("2011-12-30T10:00Z", uint8(2))
	f.Add("0001-01-01T00:00", uint8(0))
	f.Fuzz(func(t *testing.T, s string, zone uint8) {
		loc, err := LoadZone(awkward[int(zone)%len(awkward)])
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseTime(s, loc)
		if year := got.UTC().Year(); err != nil || year < 1 || year > 9999 { // an edge that only the zone can see
			return
		}
		again, err := ParseTime(got.UTC().Format(time.RFC3339), loc)
		if err != nil || !again.Equal(got) {
			t.Fatalf("%q: %v, then %v %v", s, got, again, err)
		}
	})
}

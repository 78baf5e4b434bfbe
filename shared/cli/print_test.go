package cli

import (
	"strings"
	"testing"
	"time"
)

func TestSafe(t *testing.T) {
	tests := []struct{ text, want string }{
		{"plain, Grüße, 日本, ✓ \\", "plain, Grüße, 日本, ✓ \\"},
		{"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"a\nb\tc\rd\x00\x7f", `a\nb\tc\rd\x00\x7f`},
		{"\u009b2J", `\u009b2J`},
		{"right\u202eleft\u2028\u200b", `right\u202eleft\u2028\u200b`},
		{"broken\xff\xfe", `broken\xff\xfe`},
		{"\uFFFD", "\uFFFD"},
		{"it's \"quoted\"", "it's \"quoted\""},
	}
	for _, test := range tests {
		if got := safe(test.text); got != test.want {
			t.Errorf("safe(%q) is %s, want %s", test.text, got, test.want)
		}
	}
}

// Columns stay where they are on later pages, or get wider.
func TestTable(t *testing.T) {
	var b strings.Builder
	out := &table{w: &b, head: []string{"A", "B"}}
	for _, rows := range [][][]string{{{"äö", "x"}, {"12345", "\x1b"}}, nil, {{"1", ""}, {"1", "y"}}, {{"1234567", "z"}}} {
		if err := out.print(rows); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, "the table", b.String(), "A       B\näö      x\n12345   \\x1b\n1\n1       y\n1234567   z\n")
}

func TestTexts(t *testing.T) {
	long := strings.Repeat("ü", 61)
	tests := []struct{ got, want string }{
		{cut(long[2:]), long[2:]},
		{cut(long), strings.Repeat("ü", 59) + "…"},
		{away(testNow, testNow), "now"},
		{away(testNow.Add(-time.Hour), testNow), "now"},
		{away(testNow.Add(59*time.Second), testNow), "in 59s"},
		{away(testNow.Add(5*time.Minute-1), testNow), "in 4m"},
		{away(testNow.Add(47*time.Hour), testNow), "in 47h"},
		{away(testNow.Add(48*time.Hour), testNow), "in 2d"},
		{took(time.Time{}, testNow, testNow), ""},
		{took(testNow.Add(-90*time.Second), time.Time{}, testNow), "1m30s so far"},
		{took(testNow, testNow.Add(1234*time.Millisecond), testNow), "1.2s"},
		{took(testNow, testNow.Add(-time.Second), testNow), "0.0s"}, // clocks differ
		{took(testNow, testNow.Add(26*time.Hour), testNow), "1d2h"},
		{clock(time.Time{}), ""},
		{clock(inZone(testNow, "Europe/Vienna")), "2026-11-22 20:10:24 CET"},
		{clock(inZone(testNow, "W. Europe Standard Time")), "2026-11-22 20:10:24 CET"},
		{clock(inZone(testNow, "America/Sao_Paulo")), "2026-11-22 16:10:24 -03"},
		{clock(inZone(testNow, "Nowhere/Land")), "2026-11-22 19:10:24 UTC"},
		{quotedTag("a.1"), `"a.1"`},
		{quotedTag(`"a.1"`), `"a.1"`},
		{quotedTag("*"), "*"},
	}
	for i, test := range tests {
		if test.got != test.want {
			t.Errorf("%d: %q, want %q", i, test.got, test.want)
		}
	}
}

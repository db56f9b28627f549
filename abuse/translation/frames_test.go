package translation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// all are the messages of a stream, and how it ended.
func all(r io.Reader) (out []string, err error) {
	f := NewFrames(r)
	for {
		line, err := f.Next()
		switch {
		case errors.Is(err, ErrLong):
			out = append(out, "long")
		case err != nil:
			return out, err
		default:
			out = append(out, string(line))
		}
	}
}

func TestFrames(t *testing.T) {
	long := strings.Repeat("x", MaxLine+1)
	for _, tt := range []struct {
		name, stream string
		want         []string
		end          error // nil: any that is invalid
	}{
		{"nothing", "", nil, io.EOF},
		{"octet counting", "4 <1>a10 <1>b\n5 c d", []string{"<1>a", "<1>b\n5 c d"}, io.EOF},
		{"lines", "<1>a\n<1>b\r\n\n<1>c\x00", []string{"<1>a", "<1>b", "<1>c"}, io.EOF},
		{"a line that begins with a digit", "<1>a\n4 <1>b\n", []string{"<1>a", "4 <1>b"}, io.EOF},
		{"a torn line", "<1>a\n203.0.113.7:2048-25", []string{"<1>a"}, io.ErrUnexpectedEOF},
		{"a torn message", "4 <1>a9 <1>b", []string{"<1>a"}, io.ErrUnexpectedEOF},
		{"a torn length", "4 <1>a9", []string{"<1>a"}, io.ErrUnexpectedEOF},
		{"a long line", "<1>" + long + "\n<1>a\n", []string{"long", "<1>a"}, io.EOF},
		{"a long message", fmt.Sprintf("%d %s4 <1>a", len(long), long), []string{"long", "<1>a"}, io.EOF},
		{"the longest line", long[1:] + "\n", []string{long[1:]}, io.EOF},
		{"no length", "4 <1>ab", []string{"<1>a"}, nil},
		{"a length of nothing", "4 <1>a0 ", []string{"<1>a"}, nil},
		{"a length that is none", "99999999999 x", nil, nil},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			for how, r := range map[string]io.Reader{"whole": strings.NewReader(tt.stream), "octet by octet": iotest.OneByteReader(strings.NewReader(tt.stream))} {
				got, err := all(r)
				if !slices.Equal(got, tt.want) || tt.end != nil && err != tt.end || tt.end == nil && (err == io.EOF || err == io.ErrUnexpectedEOF) {
					t.Errorf("%s: got %.80q, %v", how, got, err)
				}
			}
		})
	}
}

func TestWhen(t *testing.T) {
	brussels, err := time.LoadLocation("Europe/Brussels")
	if err != nil {
		t.Fatal(err)
	}
	came := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		line string
		zone *time.Location
		came time.Time
		want string // empty: none
	}{
		{"<14>1 2026-11-27T11:59:58.25+00:00 cgn1 - - - - x", nil, came, "2026-11-27T11:59:58.25Z"},
		{"<14>2026-11-27T12:59:58+01:00 cgn1 x", nil, came, "2026-11-27T11:59:58Z"},
		{"<14>1 - cgn1 - - - - x", nil, came, ""},
		{"<14>Nov 27 12:59:58 cgn1 x", nil, came, ""},
		{"<14>Nov 27 12:59:58 cgn1 x", brussels, came, "2026-11-27T11:59:58Z"},
		{"<14>Nov  7 12:59:58 cgn1 x", brussels, came, ""}, // three weeks late
		{"<14>Nov 27 14:59:58 cgn1 x", brussels, came, ""}, // two hours early
		{"<14>Dec 31 23:59:58 cgn1 x", time.UTC, time.Date(2027, 1, 1, 0, 0, 1, 0, time.UTC), "2026-12-31T23:59:58Z"},
		{"<14>Jan  1 00:00:01 cgn1 x", time.UTC, time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC), "2027-01-01T00:00:01Z"},
		// Twice there: 02:30 of 25 October, in summer time and after it.
		{"<14>Oct 25 02:30:00 cgn1 x", brussels, time.Date(2026, 10, 25, 0, 30, 2, 0, time.UTC), "2026-10-25T00:30:00Z"},
		{"<14>Oct 25 02:30:00 cgn1 x", brussels, time.Date(2026, 10, 25, 1, 30, 2, 0, time.UTC), "2026-10-25T01:30:00Z"},
		{"", brussels, came, ""},
		{"<14>", brussels, came, ""},
	} {
		at, err := When([]byte(tt.line), tt.zone, tt.came)
		if got := at.Format(time.RFC3339Nano); (err == nil) != (tt.want != "") || err == nil && got != tt.want {
			t.Errorf("%s: got %s (%v), want %s", tt.line, got, err, tt.want)
		}
	}
}

func FuzzFrames(f *testing.F) {
	for _, s := range []string{"4 <1>a10 <1>b\n5 c d", "<1>a\n<1>b\r\n\n<1>c\x00", "4 <1>a99999999999 ", "2049 ", "<14>Nov 27 12:59:58 cgn1 x\n", "<14>1 2026-11-27T11:59:58.25+00:00 cgn1 - - - - x\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := all(bytes.NewReader(b))
		pieces, err2 := all(iotest.OneByteReader(bytes.NewReader(b)))
		if !slices.Equal(whole, pieces) || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Errorf("whole: %q, %v; octet by octet: %q, %v", whole, err, pieces, err2)
		}
		for _, line := range whole {
			if len(line) > MaxLine {
				t.Errorf("a message of %d octets", len(line))
			}
			if at, err := When([]byte(line), time.UTC, noon); err == nil && (noon.Sub(at) > maxLate || at.Sub(noon) > maxEarly) {
				t.Errorf("%q: %s", line, at)
			}
		}
	})
}

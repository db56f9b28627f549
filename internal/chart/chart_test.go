package chart

import (
	"encoding/xml"
	"flag"
	"html/template"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden pictures")

func v(n float64) Value { return Value{N: n, Text: plain(n)} }

func before(n float64) *Value { x := v(n); return &x }

func TestPictures(t *testing.T) {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, svg := range map[string]template.HTML{
		"bars": Bars{About: About{"channels", "Reports per channel", "Most by mail."}, Rows: []Row{{Label: "mail", Value: v(1204)}, {Label: "web form", Value: v(301)},
			{Label: "API", Value: Value{N: 3, Text: "< 5", Hidden: true}}, {Label: "none", Value: v(0)}}}.SVG(),
		"bars-before": Bars{About: About{"brands", "Campaigns per brand", ""}, Now: "2026", Before: "2025", Rows: []Row{
			{Label: "Merelbank", Value: v(12), Before: before(17)}, {Label: "A brand with a name that is far too long for a chart of this size", Value: v(7), Before: before(0)}}}.SVG(),
		"columns": Columns{About: About{"months", "Reports per month", "Most in March."}, Now: "2026", Before: "2025", Steps: []Step{
			{"Jan", v(400), before(500)}, {"Feb", v(800), before(300)}, {"Mar", v(1204), before(100)}, {"Apr", Value{Hidden: true, Text: "< 5"}, &Value{None: true}}}}.SVG(),
		"lines": Lines{About: About{"ttb", "Time to block", ""}, Steps: []string{"Jan", "Feb", "Mar", "Apr"}, Series: []Line{
			{"p95", []Value{v(60), v(55), {None: true}, v(48)}}, {"p50", []Value{v(12), v(11), {Hidden: true}, v(10)}}}}.SVG(),
		"spark":        Spark{About: About{Title: "Last 7 days"}, Points: []float64{1, 4, 2, 8, 5}}.SVG(),
		"stages":       Stages{About: About{"life", "Life of B-2026-000001", ""}, Steps: []Stage{{"reported", "14:05", "", ""}, {"decided", "14:17", "12 min", "harm"}, {Label: "ended"}}}.SVG(),
		"stages-small": Stages{About: About{Title: "reported, decided"}, Small: true, Steps: []Stage{{"reported", "14:05", "", ""}, {"decided", "14:17", "12 min", "harm"}, {Label: "ended"}}}.SVG(),
		"timeline": Timeline{About: About{"names", "Names of the campaign", ""}, From: day, To: day.AddDate(0, 0, 4), Rows: []TimeRow{
			{"merelbank-login.example", []Span{{day.Add(6 * time.Hour), time.Time{}, "blocked", "harm"}}, []Moment{{day.Add(5 * time.Hour), "reported", ""}}},
			{"merelbank-safe.example", []Span{{day.AddDate(0, 0, -3), day.AddDate(0, 0, 2), "blocked", "done"}}, nil}}}.SVG(),
		"empty": Columns{About: About{"none", "Nothing", ""}}.SVG(),
	} {
		wellFormed(t, string(svg))
		path := "testdata/" + name + ".svg"
		got := strings.ReplaceAll(string(svg), "><", ">\n<") + "\n"
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

func wellFormed(t interface{ Fatalf(string, ...any) }, svg string) {
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
}

var widths = regexp.MustCompile(`class="c-now" x="[\d.]+" y="[\d.]+" width="([\d.]+)"`)

var noNumber = regexp.MustCompile(`(x|y|width|height|r|d)="[^"]*(NaN|Inf)`)

// What strangers named (a brand, a host) stays text, and no number breaks a picture.
func TestAnyInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		value := rapid.Custom(func(t *rapid.T) Value {
			return Value{N: rapid.Float64().Draw(t, "n"), Text: text.Draw(t, "text"), Hidden: rapid.Bool().Draw(t, "hidden"), None: rapid.Bool().Draw(t, "none")}
		})
		about := About{text.Draw(t, "id"), text.Draw(t, "title"), text.Draw(t, "desc")}
		b, c, l := Bars{About: about}, Columns{About: about}, Lines{About: about}
		var points []Value
		for range rapid.IntRange(0, 6).Draw(t, "rows") {
			x, y, label := value.Draw(t, "value"), value.Draw(t, "before"), text.Draw(t, "label")
			b.Rows = append(b.Rows, Row{Label: label, Value: x, Before: &y, Class: label})
			c.Steps = append(c.Steps, Step{label, x, &y})
			l.Steps, points = append(l.Steps, label), append(points, x)
		}
		l.Series = []Line{{text.Draw(t, "name"), points}}
		for _, svg := range []template.HTML{b.SVG(), c.SVG(), l.SVG()} {
			wellFormed(t, string(svg))
			if noNumber.MatchString(string(svg)) {
				t.Fatalf("not a number in %s", svg)
			}
		}
	})
}

// Bars are from zero: their lengths are in the ratio of the numbers.
func TestBarsFromZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.IntRange(1, 1e6).Draw(t, "a"), rapid.IntRange(1, 1e6).Draw(t, "b")
		svg := Bars{Rows: []Row{{Value: Value{N: float64(a)}}, {Value: Value{N: float64(b)}}}}.SVG()
		m := widths.FindAllStringSubmatch(string(svg), -1)
		x, _ := strconv.ParseFloat(m[0][1], 64)
		y, _ := strconv.ParseFloat(m[1][1], 64)
		most, long := float64(max(a, b)), max(x, y)
		if dx, dy := x-float64(a)/most*long, y-float64(b)/most*long; dx > 0.11 || dx < -0.11 || dy > 0.11 || dy < -0.11 {
			t.Fatalf("bars of %d and %d are %v and %v long", a, b, x, y)
		}
	})
}

// A hidden number does not show in the picture.
func TestHiddenIsNotDrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n float64) string {
			h := Value{N: n, Text: "< 5", Hidden: true}
			return string(Bars{Rows: []Row{{Label: "a", Value: h, Before: &h}, {Label: "b", Value: v(20)}}}.SVG() +
				Columns{Steps: []Step{{"a", h, &h}, {"b", v(20), nil}}}.SVG() + Lines{Steps: []string{"a", "b"}, Series: []Line{{"x", []Value{h, v(20)}}}}.SVG())
		}
		if a, b := draw(rapid.Float64Range(0, 1e9).Draw(t, "a")), draw(rapid.Float64Range(0, 1e9).Draw(t, "b")); a != b {
			t.Fatalf("%s\nis not\n%s", a, b)
		}
	})
}

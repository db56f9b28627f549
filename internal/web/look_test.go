package web

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/brand"
)

func folder(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func in4(text string) map[string]string {
	return map[string]string{"nl.toml": text, "fr.toml": text, "de.toml": text, "en.toml": text}
}

// The name under which a visitor comes says which brand he sees.
func TestSubBrand(t *testing.T) {
	logo := filepath.Join(folder(t, map[string]string{"l.svg": "<svg/>"}), "l.svg")
	s := newFrame(t, func(s *Site) {
		s.Config.Brand = brand.Brand{Name: "Main", Accent: "#0b4a7d", Logo: logo}
		s.Config.Subs = []brand.Sub{{ID: "sub", Hosts: []string{"safe.sub.example"}, Brand: brand.Brand{Name: "Sub <b>", Accent: "#5c2d91",
			Texts: folder(t, in4("problem.404.title = \"Sub has no such page\"")), Legal: map[string]string{"nl": "Sub & Co"}}}}
	})
	h := s.Handler(s.mux)
	main, sub := s.do(h, "GET", "/nowhere", "Host", "console.bolwerk.example"), s.do(h, "GET", "/nowhere", "Host", "safe.sub.example")
	css := s.looks[1].paths["bolwerk.css"]
	for _, want := range []string{"Sub &lt;b&gt;", "Sub has no such page", "Sub &amp; Co", css} {
		if !strings.Contains(sub.Body.String(), want) || strings.Contains(main.Body.String(), want) {
			t.Errorf("%q is not on the sub-brand's page alone: %d %s", want, sub.Code, sub.Body)
		}
	}
	if !strings.Contains(main.Body.String(), s.Files()["logo"]) || strings.Contains(sub.Body.String(), s.Files()["logo"]) {
		t.Error("the logo is not on the main brand's page alone")
	}
	if w := s.do(h, "GET", css, "Host", "safe.sub.example"); w.Code != 200 || !strings.Contains(w.Body.String(), "--accent:#5c2d91") || strings.Contains(w.Body.String(), "--accent:#0b4a7d") {
		t.Errorf("got %d", w.Code)
	}
	if w := s.do(h, "GET", "/nowhere", "Host", "other.example"); w.Code != 421 {
		t.Errorf("a name that is nobody's: got %d", w.Code)
	}
	if w := s.do(h, "POST", "/form", "Host", "safe.sub.example", "Origin", "https://safe.sub.example"); w.Code != 200 {
		t.Errorf("a form of the sub-brand's own page: got %d", w.Code)
	}
}

// Each problem of replaced texts names its file and line.
func TestReplacements_Check(t *testing.T) {
	texts, err := OwnTexts()
	if err != nil {
		t.Fatal(err)
	}
	good := "[problem]\n404.title = \"Niets\"\nafter = { one = \"nog {0} s\", other = \"nog {0} s\" }\n"
	for what, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"an unknown key":     {in4("\n[web]\nskip = \"x\"\nshoe = \"x\"\n"), []string{"nl.toml, line 4: text \"web.shoe\" is in no page"}},
		"wrong places":       {in4("\"date.day\" = \"{0} {1}\""), []string{"fr.toml, line 1: text \"date.day\" has places \"{0}{1}\", want \"{0}{1}{2}{3}\""}},
		"a missing language": {map[string]string{"nl.toml": "# only Dutch\nweb.skip = \"x\""}, []string{"nl.toml, line 2: text \"web.skip\" is not replaced in fr", "not replaced in de", "not replaced in en"}},
		"an empty text":      {in4("web.skip = \" \""), []string{"de.toml, line 1: text \"web.skip\" is empty"}},
		"one form":           {in4("problem.after = \"over {0}\""), []string{"needs two forms"}},
		"two forms":          {in4("web.skip = { one = \"x\", other = \"y\" }"), []string{"has one form"}},
		"a novel":            {in4("web.skip = \"" + strings.Repeat("x", 601) + "\""), []string{"more than 600 characters"}},
		"good":               {in4(good), nil},
		"none":               {nil, nil},
	} {
		r, err := ReadReplacements(folder(t, c.files))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		err = r.Check(texts)
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v", what, err)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %s", what, err, want)
			}
		}
		if c.want == nil && c.files != nil {
			if got := texts.Replaced(r).T(bolwerk.NL, "problem.after", 1); got != "nog 1 s" {
				t.Errorf("got %q", got)
			}
			if got := texts.Replaced(r).T(bolwerk.NL, "problem.home"); got != texts.T(bolwerk.NL, "problem.home") {
				t.Errorf("what is not replaced: got %q", got)
			}
		}
	}
	for what, files := range map[string]map[string]string{"not TOML": {"fr.toml": "a = 1\nb = \"x\nc"}, "not a text": {"fr.toml": "web.skip = 3"}} {
		if _, err := ReadReplacements(folder(t, files)); err == nil || !strings.Contains(err.Error(), "fr.toml") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := ReadReplacements("/nowhere/at/all"); err == nil {
		t.Error("a folder that is not there is no problem")
	}
}

package brand

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func file(t *testing.T, name, text string) string {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestValidate(t *testing.T) {
	good := Brand{Name: "Sub", Accent: "#5c2d91", AccentDark: "#d9c2f5", Logo: file(t, "l.svg", "<svg/>"), Legal: map[string]string{"nl": "a", "fr": "b", "de": "c", "en": "d"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Brand){
		"accent #ff7900: its contrast with the page (#ffffff)": func(b *Brand) { b.Accent = "#ff7900" },
		"accent: \"red\" is not a colour":                      func(b *Brand) { b.Accent = "red" },
		"accent: \"#fff;}body{display:none\"":                  func(b *Brand) { b.Accent = "#fff;}body{display:none" },
		"accent_dark #0b4a7d":                                  func(b *Brand) { b.AccentDark = "#0b4a7d" },
		"want an .svg or a .png":                               func(b *Brand) { b.Logo = file(t, "l.gif", "GIF") },
		"no such file":                                         func(b *Brand) { b.Logo = "/nowhere/l.svg" },
		"at most 5120":                                         func(b *Brand) { b.Logo = file(t, "l.svg", "<svg/>"+strings.Repeat(" ", 5120)) },
		"is not what its name says":                            func(b *Brand) { b.Logo = file(t, "l.png", "<svg/>") },
		"legal: has no text in fr":                             func(b *Brand) { b.Legal = map[string]string{"nl": "a"} },
		"legal: \"es\"":                                        func(b *Brand) { b.Legal["es"] = "x" },
		"name: want one line":                                  func(b *Brand) { b.Name = "a\nb" },
	} {
		b := good
		b.Legal = map[string]string{"nl": "a", "fr": "b", "de": "c", "en": "d"}
		change(&b)
		if err := b.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestOver(t *testing.T) {
	main := Brand{Name: "Main", Accent: "#0b4a7d", Logo: "l.svg", Legal: map[string]string{"nl": "x"}}
	got := Brand{Name: "Sub", AccentDark: "#d9c2f5"}.Over(main)
	if got.Name != "Sub" || got.Accent != "#0b4a7d" || got.AccentDark != "#d9c2f5" || got.Logo != "l.svg" || got.Legal["nl"] != "x" {
		t.Errorf("got %+v", got)
	}
}

func TestDataURI(t *testing.T) {
	for name, want := range map[string]string{"l.svg": "data:image/svg+xml;base64,PHN2ZyBhPSInPCIvPg==", "l.png": "data:image/png;base64,iVBORw0K"} {
		text := `<svg a="'<"/>`
		if name == "l.png" {
			text = "\x89PNG\r\n"
		}
		if got, err := (Brand{Logo: file(t, name, text)}).DataURI(); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	if got, err := (Brand{}).DataURI(); err != nil || got != "" {
		t.Errorf("got %s, %v", got, err)
	}
}

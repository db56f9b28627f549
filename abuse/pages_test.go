package abuse

import (
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"bolwerk/internal/account"
)

func TestFind(t *testing.T) {
	for text, want := range map[string]string{"AB-2026-000001": "/abuse/case/AB-2026-000001", " ar-2026-000017 ": "/abuse/report/AR-2026-000017", "Q-2026-000003": "/abuse/quarantine/Q-2026-000003", "C-2026-000001": "", "AB-2026-1": "", "example.com": "", "": ""} {
		if got := Find(text); got != want {
			t.Errorf("Find(%q) = %q, want %q", text, got, want)
		}
	}
}

// Each word for what was done is said where a page is asked for with it, and no other is.
func TestWhatWasDoneIsSaid(t *testing.T) {
	b, err := os.ReadFile("texts/en.toml")
	if err != nil {
		t.Fatal(err)
	}
	said := func(what string) string {
		return commonOf(httptest.NewRequest("GET", "/abuse?done="+what, nil), account.Person{}).Done
	}
	all := regexp.MustCompile(`(?m)^"abuse\.done\.([a-z_]+)"`).FindAllSubmatch(b, -1)
	for _, m := range all {
		if what := string(m[1]); said(what) != "abuse.done."+what {
			t.Errorf("%s: a page says %q", what, said(what))
		}
	}
	if len(all) < 10 || said("another") != "" {
		t.Errorf("%d words; for another a page says %q", len(all), said("another"))
	}
}

package app

import (
	"regexp"
	"testing"
	"time"

	"bolwerk/internal/demo"
)

// Everybody of the demo has the same password, and none may have a log-in name
// in it: no digit is in any, and "demo-" is in none.
func TestDemoPasswordSuitsEverybody(t *testing.T) {
	dir := t.TempDir()
	p, err := demoPassword(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^demo-[0-9]{12}$`).MatchString(p.Reveal()) {
		t.Fatalf("the password is %q", p.Reveal())
	}
	if again, err := demoPassword(dir); err != nil || again != p {
		t.Fatalf("the folder's second password is %q (%v), its first %q", again.Reveal(), err, p.Reveal())
	}
	for _, a := range demo.New(time.Now()).Accounts {
		if !regexp.MustCompile(`^[a-z]{2,}$`).MatchString(a.Login) || regexp.MustCompile(a.Login).MatchString("demo-") {
			t.Errorf("the log-in name %q can be part of a password", a.Login)
		}
	}
}

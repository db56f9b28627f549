package corpus

import (
	"os"
	"strings"
	"testing"

	"bolwerk/test/forms"
)

// Of the phishing mails that have a link, the page that it leads to is found: in 99
// of 100 as the mail itself, in 97 in each form in which people hand it in.
func TestReading(t *testing.T) {
	data := os.Getenv("BOLWERK_DATA")
	if data == "" {
		t.Skip("skipped: BOLWERK_DATA names no folder of real mails")
	}
	mails, err := forms.Load(data, "phish")
	if err != nil {
		t.Fatal(err)
	}
	var third []forms.Mail // bench/reading wraps all
	for i, m := range mails {
		if i%3 == 0 {
			third = append(third, m)
		}
	}
	for _, f := range forms.All() {
		of, want := third, 0.97
		if !strings.Contains(f.Name, ":") {
			of, want = mails, 0.99
		}
		r := f.Measure(of)
		t.Logf("%-28s %d of %d landing addresses found, %d of %d mails read as what they are", f.Name, r.Landing, r.WithLink, r.Kind, r.Mails)
		if r.Share() < want || r.WithLink < len(of)/2 || r.Kind*100 < r.Mails*99 {
			t.Errorf("%s: %d of %d found, %d of %d read as such; want %.0f %% and 99 %%:\n%s", f.Name, r.Landing, r.WithLink, r.Kind, r.Mails, 100*want, strings.Join(r.Missed, "\n"))
		}
	}
}

package shield

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
)

// warnForm is a warning in four languages, as the form sends it.
func warnForm() url.Values {
	f := url.Values{"for": {"72h"}, "brand": {"Anchor Bank"}, "names": {"help-desk[.]example"}}
	for _, lang := range bolwerk.Langs() {
		f.Set("title_"+string(lang), "Calls "+string(lang))
		f.Set("text_"+string(lang), "Somebody calls you.\r\n\r\nHang up. "+string(lang))
	}
	return f
}

func TestWarning_of_a_person_is_public_audited_and_ends(t *testing.T) {
	c := newConsole(t)
	c.post(c.anna, "/warnings", warnForm())
	w, ok := public[door.Warning](c.testShield, door.WarningEntry+"W-2026-000001")
	if !ok || len(w.Texts) != 4 || w.Texts[1].Lang != bolwerk.FR || w.Texts[1].Text != "Somebody calls you.\n\nHang up. fr" || !w.Until.Equal(start.Add(72*time.Hour)) || w.Names[0] != "help-desk.example" {
		t.Fatalf("got %+v, %t", w, ok)
	}
	c.tellNow() // what campaigns say leaves it alone
	if _, ok := public[door.Warning](c.testShield, door.WarningEntry+w.Ref); !ok {
		t.Fatal("the written warning went with those of campaigns")
	}
	wantText(t, c.get(c.anna, "/warnings"), "1 warning", "Calls en", "on the site", "anna", "help-desk.example")
	wantText(t, c.get(c.dora, "/audit"), "shield.warning.write", w.Ref)
	if csv := c.get(c.anna, "/warnings?format=csv"); !strings.Contains(csv, "W-2026-000001,Anchor Bank,help-desk.example,Calls en,person:") {
		t.Errorf("csv: %s", csv)
	}
	// Whoever may write one may take it down, at once.
	c.post(c.dora, "/warnings/"+w.Ref+"/end", url.Values{})
	if err := c.db.Read(t.Context(), func(tx *store.Tx) error {
		e, err := publish.Entry(tx, CopyPublic, door.WarningEntry+w.Ref)
		if err == nil && !e.Removed {
			t.Error("it is still published")
		}
		if errors.Is(err, bolwerk.ErrNotFound) {
			return nil
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	wantText(t, c.get(c.anna, "/warnings"), "over", "dora")
	wantText(t, c.get(c.dora, "/audit"), "shield.warning.end")
	if got := c.do(c.dora, "/warnings/"+w.Ref+"/end", url.Values{}); got.Code != http.StatusConflict {
		t.Errorf("ending it twice: got %d, want 409", got.Code)
	}
}

func TestWarning_refuses(t *testing.T) {
	c := newConsole(t)
	for name, change := range map[string]func(url.Values){
		"a language without text":       func(f url.Values) { f.Set("text_de", " ") },
		"a title of two lines too long": func(f url.Values) { f.Set("title_nl", strings.Repeat("x", maxHead+1)) },
		"a text that is too long":       func(f url.Values) { f.Set("text_nl", strings.Repeat("x", maxWords+1)) },
		"letters that turn the text":    func(f url.Values) { f.Set("text_nl", "a\u202eb") },
		"more than two weeks":           func(f url.Values) { f.Set("for", "337h") },
		"no end":                        func(f url.Values) { f.Set("for", "") },
		"an end in the past":            func(f url.Values) { f.Set("for", "-1h") },
		"what is no name":               func(f url.Values) { f.Set("names", "not_a name!") },
		"more names than are shown":     func(f url.Values) { f.Set("names", "a.example b.example c.example d.example") },
	} {
		f := warnForm()
		change(f)
		w := c.do(c.anna, "/warnings", f)
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `value="Calls fr"`) {
			t.Errorf("%s: got %d; what was typed must stay", name, w.Code)
		}
	}
	if w := c.do(c.victor, "/warnings", warnForm()); w.Code != http.StatusForbidden {
		t.Errorf("a viewer: got %d", w.Code)
	}
	for range maxWarnings {
		c.post(c.anna, "/warnings", warnForm())
	}
	if w := c.do(c.anna, "/warnings", warnForm()); w.Code != http.StatusConflict {
		t.Errorf("one more than the public can read: got %d", w.Code)
	}
	c.clock.Add(73 * time.Hour)
	c.anna = c.session("anna")
	c.post(c.anna, "/warnings", warnForm()) // those before are over
}

// A campaign's warning says what its sites ask for.
func TestWarning_of_a_campaign_says_what_is_asked(t *testing.T) {
	c := newConsole(t)
	name := "login.anchorbank-pay7.example"
	c.report(lure("Your card is stopped", "https://"+name+"/in"))
	c.post(c.anna, "/case/"+c.caseOf(name)+"/confirm", url.Values{"scope": {""}, "reason": {"asks for the PIN"}, "asks": {"1"}, "asked_for": {"card", "otp"}})
	c.tellNow()
	w, ok := public[door.Warning](c.testShield, door.WarningEntry+"K-2026-000001")
	if !ok || strings.Join(w.Asked, " ") != "card otp" {
		t.Errorf("got %+v, %t", w, ok)
	}
}

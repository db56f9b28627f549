//go:build peers

package peers

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"bolwerk/abuse/enforce/standin"
)

const liesConfig = `
[abuse]
addresses = ['abuse@bolwerk.example']
networks = ['198.51.100.0/24']
[abuse.accounting]
listen = '%[1]s:1813'
[[abuse.accounting.client]]
name = 'aaa1'
from = ['127.0.0.0/8']
secret_file = '%[2]s'
[abuse.enforce]
listen = 'LOGIN'
token_file = 'TOKEN'
[[abuse.enforce.nas]]
name = 'bng1'
address = '%[1]s:3799'
secret_file = '%[2]s'
normal = 'normal'
leaky = 'bolwerk-leaky'
canary = 'canary1'
[[abuse.enforce.nas]]
name = 'bng2'
address = '%[1]s:3800'
secret_file = '%[2]s'
normal = 'normal'
leaky = 'bolwerk-leaky'
canary = 'canary2'
[[abuse.enforce.nas]]
name = 'radius'
address = 'COA'
secret_file = 'OTHER'
normal = 'normal'
leaky = 'bolwerk-leaky'
canary = 'canary3'
timeout = '500ms'
tries = 2
[abuse.quarantine]
mode = 'on'
[[abuse.playbook]]
name = 'mail'
classes = ['abusive-content/spam']
  [[abuse.playbook.step]]
  do = 'inform'
`

// Two access servers acknowledge and do not act, which their accounting shows over UDP, one
// on the way in, one on the way back; FreeRADIUS has another secret than the one that
// the desk was given. Each is an alarm by name, its page says what it is about, nobody
// goes in there any more, and who logs in has the normal profile.
func TestAccessServersThatLieOrHaveAnotherSecret(t *testing.T) {
	door := FreePort(t)
	const token = "a token of aaa1, long"
	aaa := StartFreeRADIUS(t, door, token)
	d := newAbuseDesk(t, aaa.Secret, strings.NewReplacer("LOGIN", door.String(), "TOKEN", secretOf(t, token), "COA", aaa.CoA.String(), "OTHER", secretOf(t, "not the secret of it")).Replace(liesConfig))
	bng1, bng2 := accessServer(t, d.ip+":3799", aaa.Secret), accessServer(t, d.ip+":3800", aaa.Secret)
	addrs := map[string]string{}
	for i, s := range []struct {
		at             *standin.Server
		nas, id, whose string
	}{{bng1, "bng1", "c1", "canary1"}, {bng1, "bng1", "a1", "anna"}, {bng1, "bng1", "a2", "ada"}, {bng2, "bng2", "c2", "canary2"}, {bng2, "bng2", "b1", "bert"}, {nil, "radius", "c3", "canary3"}, {nil, "radius", "r1", "cleo"}} {
		if s.at != nil {
			s.at.Add(standin.Session{ID: s.id, User: s.whose, Filter: "normal"})
		}
		addrs[s.whose] = netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + i)}).String()
		d.tell(alive(s.whose, s.nas, s.id, addrs[s.whose]))
	}
	nas := func(name string) string {
		for line := range strings.Lines(d.MustRun("abuse", "nas", "list", "--data", d.Data("desk"))) {
			if strings.HasPrefix(line, name+" ") {
				return line
			}
		}
		return ""
	}
	is := func(name, what string) {
		t.Helper()
		d.until(name+" is "+what, time.Minute, func() bool { return strings.Contains(nas(name), what) }, func() string { return nas(name) })
	}
	alarm := func(parts ...string) {
		t.Helper()
		for line := range strings.Lines(d.Log("desk")) {
			all := strings.Contains(line, "alarm=true")
			for _, p := range parts {
				all = all && strings.Contains(line, p)
			}
			if all {
				return
			}
		}
		t.Errorf("no alarm with %q", parts)
	}
	browser := d.LogIn("dora")
	page := func(q quarantined, want string) {
		t.Helper()
		res, err := browser.Get(d.Console + "/abuse/quarantine/" + q.Ref)
		must(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		must(t, err)
		if !strings.Contains(string(b), want) {
			t.Errorf("the page of %s does not say %q", q.Ref, want)
		}
	}

	// Another secret: FreeRADIUS drops what we ask and we are told what to look at.
	is("bng1", "acknowledged, not looked at")
	is("bng2", "acknowledged, not looked at")
	is("radius", "is the secret the same on both sides?")
	alarm("an access server is not used", "name=radius", "is the secret the same")
	cleo := d.ask(d.report(addrs["cleo"]))
	if strings.Join(cleo.Waits, " ") != "canary" {
		t.Errorf("cleo's quarantine waits for %q", cleo.Waits)
	}
	page(cleo, "bolwerk abuse nas list")
	if b, err := os.ReadFile(aaa.Changes); err == nil {
		t.Errorf("FreeRADIUS took changes of another secret:\n%s", b)
	}

	// On the way in: it acknowledges, and each record of accounting tells of the normal
	// profile. Its clock is ahead: so no time has to pass here.
	bng2.Behave(standin.Lazy)
	bert := d.ask(d.report(addrs["bert"]))
	d.becomes(bert.ID, "active")
	told := time.Now()
	account := func(q quarantined, user, nas, id, filter, state string) {
		t.Helper()
		for range 9 {
			told = told.Add(31 * time.Second)
			d.tell(alive(user, nas, id, addrs[user], fmt.Sprintf(`Filter-Id = "%s", Event-Timestamp = %d`, filter, told.Unix())))
			for range 20 {
				if d.show(q.ID).State == state {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
		t.Fatalf("%s is not %s: %+v", q.Ref, state, d.show(q.ID))
	}
	account(bert, "bert", "bng2", "b1", "normal", "failed")
	alarm("does not put a line into quarantine", "quarantine="+bert.Ref, "nas=bng2", "accounting tells of normal")
	alarm("acknowledges and does not act", "name=bng2")
	page(bert, "acknowledged, but accounting tells of normal")
	is("bng2", "believe what it acknowledges")
	if out := aaa.login(t, "bert", "bng2"); strings.Contains(out, "bolwerk-leaky") {
		t.Errorf("bert logs in at a server that is not believed:\n%s", out)
	}

	// On the way back: somebody is locked in.
	anna := d.ask(d.report(addrs["anna"]))
	d.becomes(anna.ID, "active")
	if out := aaa.login(t, "anna", "bng1"); !strings.Contains(out, `Filter-Id = "bolwerk-leaky"`) {
		t.Errorf("anna logs in:\n%s", out)
	}
	bng1.Behave(standin.Lazy)
	_, err := d.Call("POST", d.Console+"/api/v1/abuse/quarantines/"+anna.ID+"/release", "", map[string]string{"text": "clean"}, nil)
	must(t, err)
	d.becomes(anna.ID, "released") // it says so
	told = time.Now()
	account(anna, "anna", "bng1", "a1", "bolwerk-leaky", "stuck")
	alarm("A CUSTOMER IS LOCKED IN", "quarantine="+anna.Ref, "nas=bng1", "accounting tells of leaky")
	page(anna, "acknowledged, but accounting tells of leaky")
	is("bng1", "believe what it acknowledges")
	if out := aaa.login(t, "anna", "bng1"); strings.Contains(out, "bolwerk-leaky") {
		t.Errorf("anna logs in after her release:\n%s", out)
	}
	if ada := d.ask(d.report(addrs["ada"])); ada.State != "requested" || strings.Join(ada.Waits, " ") != "canary" {
		t.Errorf("a further line goes in there: %+v", ada)
	}

	// It acts again: accounting lets anna out of the list of who is locked in.
	bng1.Behave(standin.Well)
	d.until("bng1 acts", time.Minute, func() bool { f, _ := bng1.Filter("a1"); return f == "normal" }, func() string { return fmt.Sprintf("%+v", d.show(anna.ID)) })
	account(anna, "anna", "bng1", "a1", "normal", "released")

	// Answers of another secret are dropped, and named.
	bng1.Behave(standin.Forged)
	if out := d.MustRun("abuse", "nas", "prove", "bng1", "--data", d.Data("desk")); !strings.Contains(out, "its answers are of another secret") {
		t.Errorf("proved again: %s", out)
	}
}

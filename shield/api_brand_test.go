package shield_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/shield"
)

// ofBrand gives a token of somebody of a brand.
func (d *apiDesk) ofBrand(login, brand string) string {
	d.t.Helper()
	d.accounts.OfBrands(shield.DefaultConfig().BrandNames())
	code, _, err := d.accounts.InviteOwner(d.t.Context(), bolwerk.Socket(), login, []string{brand})
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.accounts.Accept(d.t.Context(), code, bolwerk.NewSecret("seven quiet lamps 41"), account.Entry{}); err != nil {
		d.t.Fatal(err)
	}
	return d.token(login, account.BrandScope)
}

// A brand's own program lists what looks like the brand, answers and gives domains;
// another brand's are not there, and nothing of the desk opens to it.
func TestAPIOfABrand(t *testing.T) {
	d := newAPIDesk(t)
	ann := d.token("ann", account.Read, account.DecideScope)
	d.ask(ann, "POST", "/blocks", `{"name":"rabobank-inloggen.example","reason":"seen by me, for r1@home.example","brand":"Rabobank"}`).want(t, 201)
	d.ask(ann, "POST", "/blocks", `{"name":"ing-inloggen.example","reason":"seen by me","brand":"ING"}`).want(t, 201)
	of := map[string]string{}
	for _, c := range d.ask(ann, "GET", "/cases", "").items() {
		of[fmt.Sprint(c["name"])] = fmt.Sprint(c["ref"])
	}
	ours, theirs := of["rabobank-inloggen.example"], of["ing-inloggen.example"]
	if ours == "" || theirs == "" {
		t.Fatalf("cases: %v", of)
	}
	bea := d.ofBrand("bea", "Rabobank")

	list := d.ask(bea, "GET", "/brand/lookalikes", "").want(t, 200, `"name":"rabobank-inloggen.example"`, `"state":"blocked"`)
	one := d.ask(bea, "GET", "/brand/lookalikes/"+ours, "").want(t, 200, `"answers":[]`, `"name_tells":[`)
	for _, r := range []reply{list, one} {
		for _, secret := range []string{"ing-inloggen", "ING", "seen by me", "home.example", "ann", "person:", "priority", "verdict", "reporters"} {
			if strings.Contains(r.raw, secret) {
				t.Errorf("%q is in %s", secret, r.raw)
			}
		}
	}
	if items := d.ask(bea, "GET", "/brand/lookalikes?brand=ING", "").want(t, 200).items(); len(items) != 0 {
		t.Errorf("another brand's: %v", items)
	}
	for _, path := range []string{"/brand/lookalikes/" + theirs, "/brand/lookalikes/C-2026-999999", "/brand/lookalikes?cursor=" + theirs} {
		d.ask(bea, "GET", path, "").want(t, 404, "no such look-alike of your brands")
	}
	d.ask(bea, "POST", "/brand/lookalikes/"+theirs+"/answer", `{"answer":"ours","reason":"it is ours"}`).want(t, 404)
	d.ask(bea, "POST", "/brand/certificates/ing-help.example/answer", `{"answer":"imitates"}`).want(t, 404)
	d.ask(bea, "POST", "/brand/domains", `{"brand":"ING","name":"ing-extra.example","why":"it is ours"}`).want(t, 404)

	// An answer is kept, and neither ends nor makes a block.
	d.ask(bea, "POST", "/brand/lookalikes/"+ours+"/answer", `{"answer":"ours"}`).want(t, 400, "say why")
	d.ask(bea, "POST", "/brand/lookalikes/"+ours+"/answer", `{"answer":"block it"}`).want(t, 422)
	d.ask(bea, "POST", "/brand/lookalikes/"+ours+"/answer", `{"answer":"ours","reason":"our new page"}`).want(t, 200, ours, `"answer":"ours"`)
	d.ask(bea, "GET", "/brand/lookalikes/"+ours, "").want(t, 200, `"state":"blocked"`, "our new page", `"answer":"ours"`)
	d.ask(bea, "GET", "/brand/certificates", "").want(t, 200, `"items":[]`)

	// Domains.
	x := d.ask(bea, "POST", "/brand/domains", `{"brand":"Rabobank","name":"Rabo-Extra.example","why":"see our imprint"}`).want(t, 200, `"name":"rabo-extra.example"`, `"state":"given"`)
	d.ask(bea, "GET", "/brand/domains", "").want(t, 200, x.id(), "see our imprint")
	inga := d.ofBrand("inga", "ING")
	if items := d.ask(inga, "GET", "/brand/domains", "").want(t, 200).items(); len(items) != 0 {
		t.Errorf("another brand's domains: %v", items)
	}
	d.ask(inga, "POST", "/brand/domains/"+x.id()+"/end", `{"why":"not theirs"}`).want(t, 404)
	d.ask(bea, "POST", "/brand/domains/"+x.id()+"/end", `{"why":"we let it lapse"}`).want(t, 200, `"state":"ended"`)
	d.ask(bea, "POST", "/brand/domains/"+x.id()+"/end", `{"why":"we let it lapse"}`).want(t, 409)

	// The doors between the two sides.
	d.ask(ann, "GET", "/brand/lookalikes", "").want(t, 403, "somebody of a brand")
	d.ask("", "GET", "/brand/lookalikes", "").want(t, 401)
	for _, path := range []string{"/cases", "/cases/" + ours, "/blocks", "/today", "/audit", "/figures", "/feeds/blocks"} {
		if r := d.ask(bea, "GET", path, ""); r.status != 403 && r.status != 404 {
			t.Errorf("%s: got %d", path, r.status)
		}
	}
	for _, path := range []string{"/cases/" + ours + "/confirm", "/cases/" + ours + "/reject", "/blocks/rabobank-inloggen.example/withdraw"} {
		d.ask(bea, "POST", path, `{"reason":"it is ours"}`).want(t, 403)
	}

	// Its brands are those of this moment, and an account that ends ends its token.
	if err := d.accounts.SetBrands(t.Context(), bolwerk.Socket(), "bea", []string{"ING"}, "moved"); err != nil {
		t.Fatal(err)
	}
	d.ask(bea, "GET", "/brand/lookalikes/"+ours, "").want(t, 404)
	d.clock.Add(25 * time.Hour)
	d.ask(bea, "GET", "/brand/lookalikes", "").want(t, 401)
}

// Who asks too often is told when to come again.
func TestAPIOfABrandIsBraked(t *testing.T) {
	d := newAPIDesk(t)
	bea := d.ofBrand("bea", "Rabobank")
	for i := range 30 {
		d.ask(bea, "POST", "/brand/domains", fmt.Sprintf(`{"brand":"Rabobank","name":"rabo-%d.example","why":"see our imprint"}`, i)).want(t, 200)
	}
	r := d.ask(bea, "POST", "/brand/domains", `{"brand":"Rabobank","name":"rabo-more.example","why":"see our imprint"}`).want(t, 429, "in an hour")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

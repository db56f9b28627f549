package shield_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"bolwerk/internal/account"
)

func TestTheLogFollowsTheLifeOfABlock(t *testing.T) {
	d := newAPIDesk(t)
	duty := d.token("dora", account.Read, account.DecideScope)
	analyst := d.token("ann", account.Read, account.DecideScope)
	d.ask(analyst, "POST", "/blocks", `{"name":"bad.example","reason":"seen"}`).want(t, 201)
	d.ask(analyst, "GET", "/log/leaves/bad.example", "").want(t, 200, `\"kind\":\"placed\"`, `"salt":"`, `\"serial\":2`)
	d.ask(analyst, "GET", "/log/openings", "").want(t, 200, `"name":"bad.example"`, `"state":"in_force"`)
	d.ask(duty, "POST", "/log/leaves/bad.example/forget", `{"reason":"asked for"}`).want(t, 409, "in force")
	d.ask(analyst, "POST", "/blocks/bad.example/withdraw", `{"reason":"wrong","cause":"false_positive"}`).want(t, 200)
	view := d.ask(analyst, "GET", "/log/leaves/bad.example", "").want(t, 200, `\"kind\":\"ended\"`, `\"cause\":\"false_positive\"`, `\"of\":1`)
	if strings.Contains(view.raw, `bad.example\"`) {
		t.Errorf("a leaf holds the name: %s", view.raw)
	}
	d.ask(duty, "POST", "/log/leaves/bad.example/forget", `{"reason":"asked for"}`).want(t, 409, "until every resolver")
	d.ask(analyst, "POST", "/log/leaves/bad.example/forget", `{"reason":"asked for"}`).want(t, 403)
	d.ask(duty, "POST", "/log/leaves/bad.example/forget", `{"reason":" "}`).want(t, 400)
	d.clock.Add(2 * time.Minute) // no resolver is told of: after a minute it no longer passes
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Sweep(ctx) }()
	for d.ask(duty, "POST", "/log/leaves/bad.example/forget", `{"reason":"asked for"}`).status != 200 {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	<-ended
	if raw := d.ask(duty, "GET", "/log/openings", "").want(t, 200).raw; strings.Contains(raw, "bad.example") {
		t.Errorf("still open: %s", raw)
	}
	d.ask(duty, "GET", "/log/leaves/bad.example", "").want(t, 200, `\"kind\":\"ended\"`)
	d.ask(duty, "GET", "/log", "").want(t, 200, `"size":3`, "shield.bolwerk.example/log+")
}

func TestAnExemptionIsInTheLog(t *testing.T) {
	d := newAPIDesk(t)
	who := d.token("ann", account.Read, account.DecideScope)
	d.ask(who, "POST", "/exemptions", `{"name":"good.example","reason":"ours"}`).want(t, 201)
	d.ask(who, "GET", "/log/leaves/good.example", "").want(t, 200, `\"pass\":true`)
}

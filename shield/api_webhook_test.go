package shield_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"bolwerk/internal/account"
	"bolwerk/internal/webhook"
)

func TestAPIWebhooksFromAddToRemove(t *testing.T) {
	d := newAPIDesk(t)
	var got http.Header
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer to.Close()
	admin := d.token("root", account.Administrate)
	body := `{"url":"` + to.URL + `","subjects":["shield.block"],"note":"SIEM"}`
	d.ask(d.token("ann", account.Read, account.DecideScope), "POST", "/webhooks", body).want(t, 403, "administrator")
	d.ask(admin, "POST", "/webhooks", `{"url":"https://10.0.0.1/","subjects":["shield.block"]}`).want(t, 403, "public Internet")
	d.ask(admin, "POST", "/webhooks", `{"url":"https://a.example/","subjects":["nothing"]}`).want(t, 400, "shield.block.placed")
	made := d.ask(admin, "POST", "/webhooks", body).want(t, 201, `"key":"`, `"state":"on"`)
	id := made.body["id"].(string)
	d.ask(admin, "GET", "/webhooks", "").want(t, 200, id, `"note":"SIEM"`)
	d.ask(admin, "POST", "/webhooks/"+id+"/test", "").want(t, 200, `"state":"done"`)
	if got.Get(webhook.HeaderSubject) != webhook.Test || got.Get(webhook.HeaderSignature) == "" {
		t.Errorf("the test came with %v", got)
	}
	d.ask(admin, "POST", "/webhooks/"+id+"/rotate", `{}`).want(t, 200, `"state":"both"`, `"key":"`)
	d.ask(admin, "POST", "/webhooks/"+id+"/rotate", `{"finish":true}`).want(t, 200, `"state":"finished"`)
	d.ask(admin, "POST", "/webhooks/"+id+"/replay", `{"since":"2026-11-01T00:00:00Z"}`).want(t, 200, `"state":"replayed"`)
	d.ask(admin, "GET", "/webhooks/"+id+"/deliveries", "").want(t, 200, `"items":[]`)
	d.ask(admin, "POST", "/webhooks/"+id+"/pause", `{}`).want(t, 200, `"state":"paused"`)
	d.ask(admin, "POST", "/webhooks/"+id+"/pause", `{"resume":true}`).want(t, 200, `"state":"on"`)
	d.ask(admin, "POST", "/webhooks/"+id+"/remove", "").want(t, 200, `"state":"removed"`)
	d.ask(admin, "POST", "/webhooks/"+id+"/test", "").want(t, 404)
}

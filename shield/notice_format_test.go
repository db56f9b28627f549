package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/idem"
	"bolwerk/internal/terminal"
	"bolwerk/internal/web"
)

// lists is a stand-in for two lists of browsers, as strict as their public
// descriptions: a field that they do not know, or one that is missing, is refused.
// Netcraft's is "report/urls" of version 3 of its report API; Google's the method
// projects.uris.submit of Web Risk, version 1.
type browserLists struct {
	t        *testing.T
	refused  []string
	netcraft []string // addresses that were taken
	webrisk  []string
	kinds    []string // of abuse
}

func strict[T any](body []byte) (v T, err error) {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	err = d.Decode(&v)
	return v, err
}

func (l *browserLists) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	no := func(why string) {
		l.refused = append(l.refused, r.URL.Path+": "+why)
		w.WriteHeader(http.StatusBadRequest)
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		no(r.Method + " " + r.Header.Get("Content-Type"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/api/v3/report/urls":
		in, err := strict[struct {
			Email  string `json:"email"`
			Reason string `json:"reason"`
			URLs   []struct {
				URL     string `json:"url"`
				Country string `json:"country"`
			} `json:"urls"`
		}](body)
		if err != nil || !strings.Contains(in.Email, "@") || len(in.URLs) == 0 || in.Reason == "" || len(in.Reason) > 10_000 {
			no(string(body))
			return
		}
		for _, u := range in.URLs {
			l.netcraft = append(l.netcraft, u.URL)
		}
		io.WriteString(w, `{"message":"Successfully reported","uuid":"sP5oxhVWfMLI0Ngx5BVMqQG4WlzNkTNv"}`)
	case "/v1/projects/4711/uris:submit":
		in, err := strict[struct {
			Submission struct {
				URI string `json:"uri"`
			} `json:"submission"`
			ThreatInfo struct {
				AbuseType           string `json:"abuseType"`
				ThreatJustification struct {
					Labels   []string `json:"labels"`
					Comments []string `json:"comments"`
				} `json:"threatJustification"`
			} `json:"threatInfo"`
		}](body)
		u, bad := url.Parse(in.Submission.URI)
		labels := in.ThreatInfo.ThreatJustification.Labels
		switch {
		case err != nil, bad != nil, u.Host == "":
			no(string(body))
		case in.ThreatInfo.AbuseType != "MALWARE" && in.ThreatInfo.AbuseType != "SOCIAL_ENGINEERING" && in.ThreatInfo.AbuseType != "UNWANTED_SOFTWARE":
			no(in.ThreatInfo.AbuseType)
		case len(labels) != 1 || labels[0] != "MANUAL_VERIFICATION":
			no(strings.Join(labels, " "))
		case r.Header.Get("Authorization") != "Bearer the token":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			l.webrisk, l.kinds = append(l.webrisk, in.Submission.URI), append(l.kinds, in.ThreatInfo.AbuseType)
			io.WriteString(w, `{"name":"projects/4711/operations/op-1","metadata":{"state":"RUNNING"}}`)
		}
	default:
		no("no such method")
	}
}

func TestBrowsersListsTakeWhatTheyAreTold(t *testing.T) {
	p := telling(t)
	l := &browserLists{t: t}
	srv := httptest.NewTLSServer(l)
	t.Cleanup(srv.Close)
	c := p.c
	c.asker = srv.Client()
	c.cfg.Notices = NoticeConfig{Lang: bolwerk.EN, PerHour: 100, From: c.cfg.Notices.From, To: []NoticeTo{
		{Name: "netcraft", Kind: ToBrowsers, URL: srv.URL + "/api/v3/report/urls", Format: formatNetcraft},
		{Name: "webrisk", Kind: ToBrowsers, URL: srv.URL + "/v1/projects/4711/uris:submit", Format: formatWebRisk, KeyFile: filepath.Join(c.dir, "key")},
	}}
	for name, class := range map[string]string{"in.anchorbank-pay1.example": "phishing", "in.anchorbank-pay2.example": "malware", "in.anchorbank-pay3.example": "fake_shop"} {
		c.report(lure("Your card is stopped", "https://"+name+"/in?r=r1@home.example"))
		c.post(c.anna, "/case/"+c.caseOf(name)+"/confirm", url.Values{"scope": {"host"}, "reason": {"seen"}, "class": {class}})
		p.run()
		p.letAll()
		p.run()
	}
	if len(l.refused) != 0 {
		t.Fatalf("refused: %q", l.refused)
	}
	// A false shop is told to the one list that takes it.
	if len(l.netcraft) != 3 || len(l.webrisk) != 2 || strings.Contains(strings.Join(append(l.netcraft, l.webrisk...), " "), "home.example") {
		t.Errorf("told %q and %q", l.netcraft, l.webrisk)
	}
	for i, at := range l.webrisk {
		if want := map[bool]string{true: "MALWARE", false: "SOCIAL_ENGINEERING"}[strings.Contains(at, "pay2")]; l.kinds[i] != want {
			t.Errorf("%s is told as %s", at, l.kinds[i])
		}
	}
	all, err := c.Notices(t.Context(), NoticeFilter{Limit: 10})
	if err != nil || len(all) != 5 {
		t.Fatalf("%d notices, %v", len(all), err)
	}
	for _, n := range all {
		if want := map[string]string{"netcraft": "sP5oxhVWfMLI0Ngx5BVMqQG4WlzNkTNv", "webrisk": "projects/4711/operations/op-1"}[n.Who]; n.Receipt != want || n.Say != NoticeReceipt {
			t.Errorf("%s: %s with receipt %q, want %q (%s)", n.Who, n.Say, n.Receipt, want, n.Error)
		}
	}
	// Neither takes anything back: the correction stands as refused, for a person.
	c.post(c.anna, "/block/"+c.blockOf("in.anchorbank-pay1.example").Ref+"/withdraw", url.Values{"cause": {"false_positive"}, "reason": {"wrong"}})
	p.run()
	if got := p.states(); got["netcraft fix"] != "refused" || got["webrisk fix"] != "refused" {
		t.Errorf("corrections: %v", got)
	}
}

// What the page of a notice does, API and command line do, with the same rights.
func TestNoticesByAPIAndCommandLine(t *testing.T) {
	p := telling(t)
	c := p.c
	m, err := web.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	cfg := web.DefaultConfig()
	cfg.Hosts = []string{"127.0.0.1"}
	log := slog.New(slog.DiscardHandler)
	frame, err := web.New(web.Site{Name: "console", Config: cfg, Console: true, Clock: c.clock, Log: log, Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	routes := api.New(mux, account.NewDoor(c.accounts, frame), idem.New(c.db, c.vault, log), log)
	NewAPI(c.Shield).Routes(routes, mux)
	routes.Done()
	srv := httptest.NewServer(frame.Handler(mux))
	t.Cleanup(srv.Close)
	// run does a command of somebody.
	run := func(cmd interface {
		Run(context.Context, *terminal.Terminal) error
	}, d *desktop, login string) (string, error) {
		t.Helper()
		tok, _, err := c.accounts.CreateToken(t.Context(), bolwerk.Socket(), account.NewAPIToken{Login: login, Name: bolwerk.NewToken().Reveal()[:8], Scopes: []account.Scope{account.Read, account.DecideScope}, Days: 1})
		if err != nil {
			t.Fatal(err)
		}
		c.file("token", tok.Reveal())
		d.Server, d.TokenFile = srv.URL, filepath.Join(c.dir, "token")
		var out bytes.Buffer
		err = cmd.Run(t.Context(), &terminal.Terminal{Out: &out, Err: io.Discard})
		return out.String(), err
	}
	wantOut := func(out string, err error, parts ...string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(out, part) {
				t.Errorf("%q is not in %s", part, out)
			}
		}
	}
	c.report(lure("Your card is stopped", "https://"+toldName+"/in"))
	p.confirm(toldName)
	p.run()
	list := &noticeList{State: "held", Kind: "authority"}
	out, err := run(list, &list.desktop, "anna")
	wantOut(out, err, "suspicious@cert.example", "held", "2 notices")
	ref := c.one(`select ref from shield_notice where who='cert mailbox'`)
	show := &noticeShow{noticeID{ID: ref}}
	out, err = run(show, &show.desktop, "anna")
	wantOut(out, err, ref+" is held", "https://"+toldName+"/in", "suspicious@cert.example")
	let := &noticeLet{noticeID{ID: ref}}
	if _, err = run(let, &let.desktop, "anna"); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("an analyst lets the first go: %v", err)
	}
	out, err = run(let, &let.desktop, "dora")
	wantOut(out, err, ref+" to suspicious@cert.example is waiting")
	drop := &noticeDrop{noticeID{ID: c.one(`select ref from shield_notice where who='cert'`)}}
	out, err = run(drop, &drop.desktop, "anna")
	wantOut(out, err, "is dropped")
	p.run()
	receipt := &noticeReceipt{noticeID{ID: ref}, "T-12"}
	out, err = run(receipt, &receipt.desktop, "anna")
	wantOut(out, err, "is receipt")
	again := &noticeUseAgain{noticeID{ID: ref}}
	if _, err = run(again, &again.desktop, "dora"); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("nothing came back, and it is used again: %v", err)
	}
	of := &caseShow{ID: c.caseOf(toldName)}
	out, err = run(of, &of.desktop, "anna")
	wantOut(out, err, "notice", ref, "not told", "registrar", "no_rdap")
}

package badday

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"bolwerk/test/live"
)

// With the desk killed, the public site answers from its copy, takes reports and
// objections, and gives them to the desk when it is back. So does an intake that
// starts while the desk is away.
func TestThePublicSiteLivesWithoutTheDesk(t *testing.T) {
	long(t)
	s := live.Apart(t, "", "", nil)
	s.Found()
	get := func(path string) (status int, body string) {
		t.Helper()
		res, err := http.Get(s.Public + path)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	says := func(path string, parts ...string) {
		t.Helper()
		until(t, path, 20*time.Second, func() (bool, error) {
			status, body := get(path + "lang=en")
			ok := status == 200
			for _, p := range parts {
				ok = ok && strings.Contains(body, p)
			}
			if !ok {
				t.Logf("%s: got %d without %q", path, status, parts)
				time.Sleep(300 * time.Millisecond)
			}
			return ok, nil
		})
	}

	const name = "merelbank-veilig.example"
	early, err := s.Report("https://" + name + "/inloggen")
	if err != nil {
		t.Fatal(err)
	}
	block(t, s, name)
	says("/r/"+early+"?", "The website is blocked", name)

	s.Kill("desk")
	for round, what := range []string{"the desk is killed", "the intake starts anew without it"} {
		t.Log(what)
		if round == 1 {
			s.Kill("intake")
			s.MustStart("intake")
		}
		says("/r/"+early+"?", "The website is blocked", name)
		says("/name?q="+name+"&", "Blocked", "B-20", "Is this a mistake?")
		says("/name?q=good.example&", "no promise that it is safe")
		for _, path := range []string{"/", "/warnings", "/warnings.atom", "/first-aid", "/learn", "/learn/phishing", "/transparency", "/api/v1/warnings", "/api/v1/names/" + name} {
			if status, _ := get(path); status != 200 {
				t.Errorf("%s: got %d", path, status)
			}
		}
	}
	late, err := s.Report("https://merelbank-later.example/x")
	if err != nil {
		t.Fatalf("a report without the desk: %v", err)
	}
	says("/r/"+late+"?", "We have your report")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.PostForm(s.Public+"/appeal?lang=en", url.Values{"name": {name}, "role": {"owner"}, "text": {"this is my shop"}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	appeal, _, _ := strings.Cut(res.Header.Get("Location"), "?")
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(appeal, "/r/") {
		t.Fatalf("an objection without the desk: got %s to %q", res.Status, appeal)
	}
	says(appeal+"?", "We are looking again", "Decision before")

	s.MustStart("desk")
	until(t, "the desk has the late report", 30*time.Second, func() (bool, error) {
		state, err := s.Receipt(late)
		return state != "received", err
	})
	says(appeal+"?", "A-20")
}

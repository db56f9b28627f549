package probe

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk/shield/capture"
)

// inSandbox gives the lab a browser, or skips where none can be run.
func inSandbox(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	l.Probe.look = newBrowser("", l.log)
	l.Probe.look.begin(t.Context())
	if why := l.Probe.look.why(); why != "" {
		if _, err := exec.LookPath("chromium"); err == nil && os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip("pages' scripts are not run here: ", why)
	}
	return l
}

func TestScriptsOfAPageAreRun(t *testing.T) {
	l := inSandbox(t)
	var mu sync.Mutex
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got = append(got, r.Method+" "+r.URL.Path)
		mu.Unlock()
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<title>loading</title><div id=a></div><script src=/kit.js></script><img src="http://%s/inside.png">`, l.bad.Addr())
		case "/kit.js":
			fmt.Fprintf(w, `document.title = "Bank"; a.innerHTML = "<form>Card <input name=card></form>";
alert("hello"); try { new WebSocket("ws://%[1]s/") } catch (e) {}
fetch("http://%[1]s/inside"); fetch("/send", {method: "POST", body: "x"}).catch(() => 0); navigator.sendBeacon("/beacon", "x");
fetch("/data.json").then(r => r.json()).then(j => a.append(j.word)); window.open("http://%[1]s/popup"); new Image().src = "http://%[1]s/i";
try { new RTCPeerConnection({iceServers: [{urls: "stun:%[1]s"}]}).createDataChannel("x") } catch (e) {}`, l.bad.Addr())
		case "/data.json":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"word":"from-a-fetch"}`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	b := l.look(t, s.URL)
	dom := string(b.Of(capture.DOM))
	if !strings.Contains(dom, "<title>Bank</title>") || !strings.Contains(dom, "name=\"card\"") || !strings.Contains(dom, "from-a-fetch") {
		t.Errorf("after its scripts: %q, cut %q", dom, b.Cut)
	}
	if shot := b.Of(capture.Screenshot); !strings.HasPrefix(string(shot), "\x89PNG") || len(b.Look) != 16 {
		t.Errorf("picture of %d octets, hash %q", len(shot), b.Look)
	}
	all := strings.Join(b.Requests, "\n")
	for _, want := range []string{s.URL + "/kit.js", s.URL + "/send", "/inside"} {
		if !strings.Contains(all, want) {
			t.Errorf("requests %q lack %s", b.Requests, want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	seen := map[string]int{}
	for _, r := range got {
		if seen[r]++; !strings.HasPrefix(r, "GET ") || seen[r] > 1 {
			t.Errorf("the site was asked for %s, %d times", r, seen[r])
		}
	}
}

// A page that does not come to rest, or wants everything, is left with what is
// there, and nothing of the browser stays.
func TestAPageThatNeverRests(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the whole time of a page")
	}
	tmp, err := os.MkdirTemp("", "p") // no other browser's folder is taken for one of ours; a short name, for its sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	t.Setenv("TMPDIR", tmp)
	l := inSandbox(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/memory":
			io.WriteString(w, `<title>m</title><p>x<script>let a=[];for(;;){a.push(new Uint8Array(1<<24).fill(1))}</script>`)
		case "/spin":
			io.WriteString(w, `<title>s</title><p>x<script>for(;;){}</script>`)
		default:
			io.WriteString(w, `<title>f</title><p>x<script>let n=0;setInterval(()=>fetch("/?"+n++),5)</script>`)
		}
	}))
	defer s.Close()
	for _, path := range []string{"/memory", "/spin", "/flood"} {
		start := time.Now()
		b := l.look(t, s.URL+path)
		t.Logf("%s: %v, cut %q", path, time.Since(start), b.Cut)
		if b.Failed != "" || len(b.Of(capture.HTML)) == 0 {
			t.Errorf("%s: %q", path, b.Failed)
		}
		if len(b.Requests) > renderTold {
			t.Errorf("%s: %d requests", path, len(b.Requests))
		}
	}
	if dirs, _ := os.ReadDir(os.TempDir()); len(dirs) > 0 {
		for _, d := range dirs {
			if strings.HasPrefix(d.Name(), "bolwerk-page-") {
				t.Errorf("%s is left", d.Name())
			}
		}
	}
}

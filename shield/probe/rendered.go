package probe

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"bolwerk/shield/capture"
)

// Bounds of what a page may do in the browser.
const (
	renderSites = 10 * time.Second // of the sites' time, beside that of the visit
	renderMost  = 15 * time.Second // until the picture is taken
	renderQuiet = 1200 * time.Millisecond
	renderAsks  = 60  // requests that are answered
	renderTold  = 200 // requests that are listed
	renderLoose = 4   // requests under way
)

// render runs the page's scripts, where a browser is there: the page after them,
// a picture, and what it asked for. What goes wrong is told in Cut, and what was
// seen without scripts stays.
func (v *visit) render(a *answer) {
	if v.p.look.why() != "" || a.status >= 400 || !isPage(a.typ) {
		return
	}
	wait, cancel := context.WithTimeout(v.wall, waitInAll)
	defer cancel()
	select {
	case v.p.look.slot <- struct{}{}:
		defer func() { <-v.p.look.slot }()
	case <-wait.Done():
		v.p.count.rendered.WithLabelValues("busy").Inc()
		v.cut("the page after its scripts: the browser was busy")
		return
	}
	ctx, cancel2 := context.WithTimeout(v.wall, renderFor)
	defer cancel2()
	v.mu.Lock()
	v.left = renderSites
	v.mu.Unlock()
	err := v.inBrowser(ctx, a)
	outcome := "done"
	if err != nil {
		outcome = "failed"
		v.cut("the page after its scripts: " + clip(err.Error(), 200))
	}
	v.p.count.rendered.WithLabelValues(outcome).Inc()
}

func (v *visit) inBrowser(ctx context.Context, a *answer) (err error) {
	v.p.look.mu.Lock()
	path := v.p.look.path
	v.p.look.mu.Unlock()
	r, err := v.p.look.open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end(err)) }()
	var target struct {
		TargetID string `json:"targetId"`
	}
	if err := r.call(ctx, "", "Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return err
	}
	var tab struct {
		SessionID string `json:"sessionId"`
	}
	if err := r.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &tab); err != nil {
		return err
	}
	width, height, platform := 1280, 900, "Win32"
	if v.b.Profile == capture.Phone {
		width, height, platform = 412, 915, "Linux armv81"
	}
	for _, c := range []struct {
		method string
		params map[string]any
	}{
		{"Page.enable", nil},
		{"Fetch.enable", map[string]any{"patterns": []any{map[string]any{"urlPattern": "*"}}}},
		{"Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": v.b.Profile == capture.Phone}},
		{"Emulation.setUserAgentOverride", map[string]any{"userAgent": v.agent, "acceptLanguage": languages(v.lang), "platform": platform}},
		{"Network.setBypassServiceWorker", map[string]any{"bypass": true}},
	} {
		if c.params == nil {
			c.params = map[string]any{}
		}
		if err := r.call(ctx, tab.SessionID, c.method, c.params, nil); err != nil {
			return err
		}
	}
	t := &look{visit: v, run: r, session: tab.SessionID, free: make(chan struct{}, renderLoose), page: a, known: map[string]*answer{}, url: a.place.String()}
	t.keep()
	go r.call(ctx, t.session, "Page.navigate", map[string]any{"url": t.url}, nil)
	t.listen(ctx)
	return t.take(ctx)
}

// look is one page in the browser.
type look struct {
	*visit
	run     *run
	session string
	free    chan struct{}
	page    *answer            // what the first request is answered with
	known   map[string]*answer // files that were fetched before

	state sync.Mutex
	asked int
	open  int
	last  time.Time // of a request or an answer
	url   string    // of the page that is shown
}

// keep remembers the files that the visit has fetched: nothing is asked for twice.
func (t *look) keep() {
	for _, p := range t.b.Parts {
		if at, err := parsePlace(p.URL); err == nil && p.Kind != capture.HTML && !p.Cut {
			t.known[at.String()] = &answer{place: at, status: p.Status, header: http.Header{"Content-Type": {p.Type}}, body: t.b.Data[p.SHA256], typ: p.Type}
		}
	}
}

// paused is a request of the page that waits for us.
type paused struct {
	ID      string `json:"requestId"`
	Type    string `json:"resourceType"`
	Frame   string `json:"frameId"`
	Request struct {
		URL    string `json:"url"`
		Method string `json:"method"`
	} `json:"request"`
}

// listen answers what the page asks for until it is quiet, or its time is over.
func (t *look) listen(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, renderMost)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	loaded := false
	t.last = time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.run.gone:
			return
		case <-tick.C:
			t.state.Lock()
			quiet := loaded && t.open == 0 && time.Since(t.last) > renderQuiet
			t.state.Unlock()
			if quiet {
				return
			}
		case m := <-t.run.event:
			switch m.Method {
			case "Page.loadEventFired":
				loaded = true
				t.touch(0)
			case "Page.javascriptDialogOpening":
				go t.run.call(ctx, t.session, "Page.handleJavaScriptDialog", map[string]any{"accept": false}, nil)
			case "Page.frameNavigated":
				var n struct {
					Frame struct {
						ParentID string `json:"parentId"`
						URL      string `json:"url"`
					} `json:"frame"`
				}
				if json.Unmarshal(m.Params, &n) == nil && n.Frame.ParentID == "" && strings.HasPrefix(n.Frame.URL, "http") {
					t.state.Lock()
					t.url = n.Frame.URL
					t.state.Unlock()
				}
			case "Fetch.requestPaused":
				var p paused
				if json.Unmarshal(m.Params, &p) == nil {
					t.touch(1)
					go func() { defer t.touch(-1); t.answer(ctx, p) }()
				}
			}
		}
	}
}

func (t *look) touch(n int) {
	t.state.Lock()
	defer t.state.Unlock()
	t.open += n
	t.last = time.Now()
}

// answer gives the page what it asks for, by the rules of every visit.
func (t *look) answer(ctx context.Context, p paused) {
	no := func(why string) {
		t.run.call(ctx, t.session, "Fetch.failRequest", map[string]any{"requestId": p.ID, "errorReason": why}, nil)
	}
	t.state.Lock()
	t.asked++
	n, first := t.asked, t.page
	if p.Type == "Document" {
		t.page = nil
	}
	t.state.Unlock()
	t.mu.Lock()
	if len(t.b.Requests) < renderTold {
		t.b.Requests = append(t.b.Requests, clip(p.Request.URL, 1000))
	}
	t.mu.Unlock()
	if p.Request.Method != http.MethodGet && p.Request.Method != http.MethodHead {
		no("BlockedByClient") // nothing is ever sent in somebody's name
		return
	}
	at, err := parsePlace(p.Request.URL)
	if err != nil || n > renderAsks || Never(at.u, brandOf(at.name, t.names)) != "" {
		no("BlockedByClient")
		return
	}
	a := t.known[at.String()]
	if p.Type == "Document" && first != nil {
		a = first
	}
	if a == nil {
		select {
		case t.free <- struct{}{}:
			defer func() { <-t.free }()
		case <-ctx.Done():
			return
		}
		dest := map[string]string{"Document": "document", "Image": "image"}[p.Type]
		if a, _ = t.get(at, dest, t.b.Final()); a == nil {
			no("Failed")
			return
		}
		if p.Type == "Document" && first == nil && a.status < 400 && len(t.b.Hops) <= capture.MaxHops && t.leads(ctx, p.Frame) {
			t.hop(a, "js")
		}
	}
	headers := []map[string]string{}
	for name, values := range a.header {
		switch name {
		case "Content-Encoding", "Content-Length", "Transfer-Encoding", "Connection", "Set-Cookie", "Strict-Transport-Security", "Report-To", "Nel":
			continue
		}
		for _, value := range values {
			headers = append(headers, map[string]string{"name": name, "value": clip(value, capture.MaxValue)})
		}
	}
	status := a.status
	if status < 100 || status > 599 {
		status = 200
	}
	t.run.call(ctx, t.session, "Fetch.fulfillRequest", map[string]any{"requestId": p.ID, "responseCode": status, "responseHeaders": headers, "body": base64.StdEncoding.EncodeToString(a.body)}, nil)
}

// leads says that a document is the page itself and not one in a frame of it.
func (t *look) leads(ctx context.Context, frame string) bool {
	var tree struct {
		FrameTree struct {
			Frame struct {
				ID string `json:"id"`
			} `json:"frame"`
		} `json:"frameTree"`
	}
	return t.run.call(ctx, t.session, "Page.getFrameTree", struct{}{}, &tree) == nil && tree.FrameTree.Frame.ID == frame
}

// take keeps the page as it is now, and a picture of it.
func (t *look) take(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("more than %v", renderFor)
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	t.state.Lock()
	at := t.url
	t.state.Unlock()
	var doc struct {
		Root struct {
			NodeID int `json:"nodeId"`
		} `json:"root"`
	}
	if err := t.run.call(ctx, t.session, "DOM.getDocument", map[string]any{"depth": 0}, &doc); err != nil {
		return err
	}
	var html struct {
		Outer string `json:"outerHTML"`
	}
	if err := t.run.call(ctx, t.session, "DOM.getOuterHTML", map[string]any{"nodeId": doc.Root.NodeID}, &html); err != nil {
		return err
	}
	place, err := parsePlace(at)
	if err != nil {
		return err
	}
	body, cut := []byte(strings.ToValidUTF8(html.Outer, "\uFFFD")), false
	if len(body) > capture.MaxPart {
		body, cut = body[:capture.MaxPart], true
	}
	t.put(capture.DOM, &answer{place: place, status: http.StatusOK, typ: "text/html", body: body, cut: cut})
	for _, scale := range []float64{1, 0.5} {
		width, height := 1280.0, 900.0
		if t.b.Profile == capture.Phone {
			width, height = 412, 915
		}
		var shot struct {
			Data []byte `json:"data"`
		}
		if err := t.run.call(ctx, t.session, "Page.captureScreenshot", map[string]any{"format": "png", "clip": map[string]any{"x": 0, "y": 0, "width": width, "height": height, "scale": scale}}, &shot); err != nil {
			return err
		}
		if len(shot.Data) <= roomForPicture {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.b.Put(capture.Part{Kind: capture.Screenshot, URL: clip(at, keptURL/2), Type: "image/png", Status: http.StatusOK}, shot.Data)
			t.b.Look = lookOf(shot.Data)
			return nil
		}
	}
	return errors.New("its picture is too large")
}

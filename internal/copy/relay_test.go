package copy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bolwerk/internal/copy"
	"bolwerk/internal/copy/copytest"
	"bolwerk/internal/join"
	"bolwerk/internal/join/jointest"
)

// relay follows a desk and hands its copy on to edges.
type relay struct {
	*desk
	address  string
	follower *copy.Follower
	sink     *copytest.Sink
	stop     func() // what follows the desk
	server   *httptest.Server
	answers  atomic.Int32 // of 200
	tamper   func([]byte) []byte
}

func newRelay(t *testing.T, d *desk) *relay {
	t.Helper()
	r := &relay{desk: d, sink: copytest.NewSink()}
	host := d.Join(t, "relay-1", join.Relay)
	cfg := d.config(t, host, t.TempDir())
	cfg.HandsOn = true
	r.follower, r.stop = follow(t, cfg, r.sink)
	h := copy.NewRelay(map[string]*copy.Follower{"blocks": r.follower}, []join.Role{join.Edge}, d.Clock, jointest.Quiet())
	h.Current = func() bool { return r.follower.Heard(50 * time.Second) }
	gate := &join.Gate{Admit: d.Register.Admit, Clock: d.Clock, Log: jointest.Quiet()}
	mux := http.NewServeMux()
	mux.Handle("/v1/copy/", gate.Require(h, join.Edge))
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, q)
		body := rec.Body.Bytes()
		if rec.Code == http.StatusOK {
			r.answers.Add(1)
			if r.tamper != nil {
				body = r.tamper(body)
			}
		}
		w.WriteHeader(rec.Code)
		w.Write(body)
	}))
	r.server.TLS = host.ServeTLS()
	r.server.EnableHTTP2 = true
	r.server.StartTLS()
	t.Cleanup(func() { r.server.CloseClientConnections(); r.server.Close() })
	r.address = r.server.Listener.Addr().String()
	return r
}

// edge follows through the relay.
func (r *relay) edge(t *testing.T, name string) (*copytest.Sink, *copy.Follower, *join.Feed) {
	t.Helper()
	host := r.Join(t, name, join.Edge)
	cfg := r.config(t, host, t.TempDir())
	feed := host.Feed(jointest.Dial, []string{r.address}, cfg.Client)
	cfg.Client, cfg.Doubt = feed.Client(), feed.Doubt
	t.Cleanup(cfg.Client.CloseIdleConnections)
	sink := copytest.NewSink()
	f, _ := follow(t, cfg, sink)
	return sink, f, feed
}

// settle waits until the relay has a head to hand on.
func (r *relay) settle(t *testing.T) {
	t.Helper()
	if r.origin.Entries() == nil {
		t.Fatal("nothing is published")
	}
	h, _ := r.origin.Head(t.Context(), "blocks")
	await(t, r.sink, h)
	eventually(t, "the relay has a head of now", func() bool { return r.follower.Handing() })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("never: " + what)
		}
	}
}

// An edge takes everything from a relay and the desk hears nothing of it.
func TestARelayHandsACopyOn(t *testing.T) {
	d := newDesk(t)
	var desk atomic.Int32
	d.handler.Seen = func(_ context.Context, p copy.Poll) {
		if p.Host != "relay-1" {
			desk.Add(1)
		}
	}
	d.origin.Publish(entry("a", 1), entry("b", 1))
	r := newRelay(t, d)
	r.settle(t)
	sink, f, _ := r.edge(t, "edge-1")
	<-f.Ready()
	for i := range 20 {
		await(t, sink, d.origin.Publish(entry(fmt.Sprint("n", i), 1), gone(fmt.Sprint("n", i-3), 2)))
	}
	same(t, sink, d.origin.Entries())
	if n := desk.Load(); n != 0 {
		t.Errorf("the desk was asked %d times", n)
	}
	// One that comes later begins with the relay's snapshot and its changes.
	late, _, _ := r.edge(t, "edge-2")
	h, _ := d.origin.Head(t.Context(), "blocks")
	await(t, late, h)
	same(t, late, d.origin.Entries())
	if n := desk.Load(); n != 0 {
		t.Errorf("the desk was asked %d times by one that came later", n)
	}
}

// A relay that lies is refused, the desk is asked at once, and nothing wrong is used.
func TestARelayThatLiesIsLeft(t *testing.T) {
	d := newDesk(t)
	d.origin.Publish(entry("a", 1))
	r := newRelay(t, d)
	r.settle(t)
	sink, f, feed := r.edge(t, "edge-1")
	<-f.Ready()
	r.tamper = func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), `"n":"<bad>"`, `"n":"<good>"`)) }
	await(t, sink, d.origin.Publish(entry("bad", 1)))
	if want := d.origin.Entries(); !reflect.DeepEqual(sink.Entries(), want) {
		t.Errorf("got %v, want %v", sink.Entries(), want)
	}
	if at := feed.Relay(); at != "" {
		t.Errorf("the relay %s is still asked", at)
	}
	before := r.answers.Load()
	await(t, sink, d.origin.Publish(entry("c", 1)))
	if r.answers.Load() != before {
		t.Error("it answered again")
	}
	d.Clock.Add(11 * time.Minute)
	r.tamper = nil
	eventually(t, "the relay is asked again", func() bool { return feed.Relay() != "" })
	eventually(t, "the alarm is over", func() bool { return len(f.Status().Alarms) == 0 })
}

// An edge goes to the desk while the relay is dead, and returns.
func TestAnEdgeGoesToTheDeskWhileTheRelayIsDead(t *testing.T) {
	d := newDesk(t)
	d.origin.Publish(entry("a", 1))
	r := newRelay(t, d)
	r.settle(t)
	sink, f, feed := r.edge(t, "edge-1")
	<-f.Ready()
	dead := atomic.Bool{}
	inner := r.server.Config.Handler
	r.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if dead.Load() {
			panic(http.ErrAbortHandler)
		}
		inner.ServeHTTP(w, q)
	})
	dead.Store(true)
	r.server.CloseClientConnections()
	await(t, sink, d.origin.Publish(entry("b", 1)))
	if feed.Relay() != "" {
		t.Error("a dead relay is asked")
	}
	dead.Store(false)
	d.Clock.Add(31 * time.Second)
	before := r.answers.Load()
	for i := range 5 {
		await(t, sink, d.origin.Publish(entry(fmt.Sprint("c", i), 1)))
	}
	if feed.Relay() == "" || r.answers.Load() == before {
		t.Error("the relay is not asked again")
	}
	same(t, sink, d.origin.Entries())
}

// A relay that has not heard the desk for long answers nothing: its edges go to the desk.
func TestARelayThatIsCutOffSendsItsEdgesAway(t *testing.T) {
	d := newDesk(t)
	d.origin.Publish(entry("a", 1))
	r := newRelay(t, d)
	r.settle(t)
	sink, f, feed := r.edge(t, "edge-1")
	<-f.Ready()
	r.stop() // the link to the desk is cut
	d.Clock.Add(51 * time.Second)
	await(t, sink, d.origin.Publish(entry("b", 1), entry("c", 1)))
	same(t, sink, d.origin.Entries())
	if feed.Relay() != "" {
		t.Error("the edge has what the relay has not, and still asks it")
	}
	d.Clock.Add(31 * time.Second) // asked again, it still answers nothing
	await(t, sink, d.origin.Publish(entry("d", 1)))
	same(t, sink, d.origin.Entries())
}

package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/mail"
)

// taker takes mails over, as the door does, and refuses what it is told to.
type taker struct {
	taken  []mail.Envelope
	refuse error
}

func (k *taker) accept(_ context.Context, e mail.Envelope) (string, error) {
	if k.refuse != nil {
		return "", k.refuse
	}
	if len(e.Raw) == 0 {
		return "", bolwerk.Invalid("an empty mail")
	}
	k.taken = append(k.taken, e)
	return "", nil
}

func (k *taker) ids() (out []string) {
	for _, e := range k.taken {
		out = append(out, e.ID)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func fetcher(t *testing.T, cfg Config, k *taker) *Fetcher {
	t.Helper()
	cfg.Name, cfg.PasswordFile = "reports", filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(cfg.PasswordFile, []byte("pass word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return New(cfg, With{Accept: k.accept, Dial: (&net.Dialer{}).DialContext, Clock: clock.New(),
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())})
}

const letterText = "Return-Path: <anna@home.example>\r\nFrom: Anna <anna@home.example>\r\nSubject: fake %d\r\n\r\nhttps://fake-%d.example/\r\n"

// imapServer is a server of the library's own, in memory.
func imapServer(t *testing.T, letters int) (addr string, user *imapmemserver.User) {
	t.Helper()
	user = imapmemserver.NewUser("anna", "pass word")
	user.Create("INBOX", nil)
	for i := range letters {
		text := fmt.Sprintf(letterText, i, i)
		if _, err := user.Append("INBOX", literal{strings.NewReader(text)}, &imap.AppendOptions{Time: time.Unix(1795608000+int64(i), 0)}); err != nil {
			t.Fatal(err)
		}
	}
	store := imapmemserver.New()
	store.AddUser(user)
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return store.NewSession(), nil, nil
		},
		Caps: imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}}, InsecureAuth: true,
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return ln.Addr().String(), user
}

type literal struct{ *strings.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }

func count(t *testing.T, user *imapmemserver.User, folder string) uint32 {
	t.Helper()
	st, err := user.Status(folder, &imap.StatusOptions{NumMessages: true})
	if err != nil {
		t.Fatal(err)
	}
	return *st.NumMessages
}

func TestIMAP(t *testing.T) {
	addr, user := imapServer(t, 120)
	k := &taker{refuse: errors.New("the spool is full")}
	f := fetcher(t, Config{Kind: IMAP, Server: addr, TLS: mail.TLSNone, User: "anna"}, k)
	if n, err := f.round(t.Context()); err == nil || n != 0 || count(t, user, "INBOX") != 120 {
		t.Fatalf("what nobody took was moved: %d, %v", n, err)
	}
	k.refuse = nil
	if n, err := f.round(t.Context()); err != nil || n != 120 {
		t.Fatalf("%d taken, %v", n, err)
	}
	if in, done := count(t, user, "INBOX"), count(t, user, "Bolwerk"); in != 0 || done != 120 || len(k.ids()) != 120 {
		t.Errorf("%d in the inbox, %d done, %d ids", in, done, len(k.ids()))
	}
	e := k.taken[7]
	if e.MailFrom != "anna@home.example" || !e.ReceivedAt.Equal(time.Unix(1795608007, 0)) || string(e.Raw) != fmt.Sprintf(letterText, 7, 7) {
		t.Errorf("%+v", e)
	}
	if n, err := f.round(t.Context()); err != nil || n != 0 {
		t.Errorf("%d more, %v", n, err)
	}
}

func TestAMailThatWasNotMovedKeepsItsID(t *testing.T) {
	addr, _ := imapServer(t, 3)
	k := &taker{}
	f := fetcher(t, Config{Kind: IMAP, Server: addr, TLS: mail.TLSNone, User: "anna"}, k)
	open := f.open
	f.open = func(ctx context.Context) (box, error) {
		b, err := open(ctx)
		return stuck{b}, err
	}
	if _, err := f.round(t.Context()); err == nil {
		t.Fatal("moving did not fail")
	}
	f.open = open
	if _, err := f.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(k.taken) != 4 || len(k.ids()) != 3 {
		t.Errorf("%d taken under %d ids", len(k.taken), len(k.ids()))
	}
}

type stuck struct{ box }

func (stuck) move(context.Context, letter, string) error { return errors.New("killed here") }

func TestASilentServerHoldsNobody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f := fetcher(t, Config{Kind: IMAP, Server: ln.Addr().String(), TLS: mail.TLSNone, User: "anna"}, &taker{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.round(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// graphServer is a stand-in for Microsoft Graph: as much of it as we use.
type graphServer struct {
	folders map[string][]string // by id: ids of mails
	names   map[string]string   // ids by name
	mails   map[string]string
	busy    int // 429 that often
	asked   []string
}

func (g *graphServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		r.ParseForm()
		if _, secret, _ := r.BasicAuth(); secret != "pass+word" && r.Form.Get("client_secret") != "pass word" || r.Form.Get("scope") != "https://graph.microsoft.com/.default" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"T","token_type":"Bearer","expires_in":3600}`)
		return
	}
	if r.Header.Get("Authorization") != "Bearer T" || r.Header.Get("Prefer") != `IdType="ImmutableId"` {
		http.Error(w, "who", http.StatusUnauthorized)
		return
	}
	g.asked = append(g.asked, r.Method+" "+r.URL.Path)
	if g.busy > 0 {
		g.busy--
		w.Header().Set("Retry-After", "1")
		http.Error(w, "later", http.StatusTooManyRequests)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1.0/users/reports@operator.example")
	if !ok {
		http.NotFound(w, r)
		return
	}
	p := strings.Split(strings.Trim(path, "/"), "/")
	var body map[string]string
	json.NewDecoder(r.Body).Decode(&body)
	type item = map[string]any
	switch {
	case r.Method == "GET" && path == "/mailFolders":
		name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Query().Get("$filter"), "displayName eq '"), "'")
		found := []item{}
		if id := g.names[name]; id != "" {
			found = append(found, item{"id": id})
		}
		json.NewEncoder(w).Encode(item{"value": found})
	case r.Method == "POST" && path == "/mailFolders":
		id := "F" + body["displayName"]
		g.names[body["displayName"]] = id
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(item{"id": id})
	case r.Method == "GET" && len(p) == 3 && p[0] == "mailFolders":
		list := []item{}
		for _, id := range g.folders[p[1]] {
			if len(list) < 2 { // pages of the server's own liking
				list = append(list, item{"id": id, "receivedDateTime": "2026-11-26T00:00:00Z"})
			}
		}
		json.NewEncoder(w).Encode(item{"value": list})
	case r.Method == "GET" && len(p) == 3 && p[2] == "$value":
		io.WriteString(w, g.mails[p[1]])
	case r.Method == "POST" && len(p) == 3 && p[2] == "move":
		for f, ids := range g.folders {
			g.folders[f] = slices.DeleteFunc(ids, func(id string) bool { return id == p[1] })
		}
		g.folders[body["destinationId"]] = append(g.folders[body["destinationId"]], p[1])
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, "{}")
	default:
		http.NotFound(w, r)
	}
}

func TestGraph(t *testing.T) {
	g := &graphServer{folders: map[string][]string{}, names: map[string]string{}, mails: map[string]string{}, busy: 1}
	for i := range 5 {
		id := fmt.Sprintf("m%d=", i)
		g.mails[id] = fmt.Sprintf(letterText, i, i)
		g.folders["inbox"] = append(g.folders["inbox"], id)
	}
	g.mails["empty"] = ""
	g.mails["large"] = strings.Repeat("x", MaxMail+1)
	g.folders["inbox"] = append(g.folders["inbox"], "empty", "large")
	srv := httptest.NewServer(g)
	defer srv.Close()
	k := &taker{}
	f := fetcher(t, Config{Kind: Graph, Server: srv.URL + "/v1.0", User: "reports@operator.example", TokenURL: srv.URL + "/token", ClientID: "app"}, k)
	n, err := f.round(t.Context())
	if err != nil || n != 7 || len(k.ids()) != 5 {
		t.Fatalf("%d moved, %d taken, %v; asked %q", n, len(k.ids()), err, g.asked)
	}
	if len(g.folders["FBolwerk"]) != 5 || !slices.Equal(g.folders["FBolwerk-aside"], []string{"empty", "large"}) || len(g.folders["inbox"]) != 0 {
		t.Errorf("folders: %q", g.folders)
	}
}

func TestValidateTellsEveryProblem(t *testing.T) {
	err := Config{Name: "Reports!", Kind: IMAP, Server: "mail.example", TLS: mail.TLSNone, Done: "INBOX", Every: 1}.Validate()
	for _, want := range []string{"name:", "want host:port", "for loopback only", "user and password_file", "other folders", "at least 1s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

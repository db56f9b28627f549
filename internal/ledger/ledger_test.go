package ledger

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/openlog"
	"bolwerk/internal/openlog/check"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// world is a desk's log, an intake that follows it, and the intake's site.
type world struct {
	t     testing.TB
	clock *clock.Fake
	db    *store.DB
	dir   string
	*Desk
	intake *openlog.Store
	site   *httptest.Server
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewFake(start), dir: t.TempDir()}
	w.db = storetest.Open(t, w.clock, Schema())
	w.desk()
	w.follow("log")
	return w
}

func (w *world) desk() {
	w.t.Helper()
	key, err := OpenKey(filepath.Join(w.dir, "log.key"), "shield.example/log")
	if err != nil {
		w.t.Fatal(err)
	}
	w.Desk = New(w.db, key, w.clock)
	if err := w.Begin(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// follow makes a new intake.
func (w *world) follow(name string) {
	w.t.Helper()
	var err error
	if w.intake, err = openlog.Open(filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.intake.Close)
	mux := http.NewServeMux()
	serve := func(pattern string, fn func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			if err := fn(rw, r); err != nil {
				http.Error(rw, err.Error(), http.StatusNotFound)
			}
		})
	}
	serve("GET /log/key", w.intake.ServeKey)
	serve("GET /log/checkpoint", w.intake.ServeCheckpoint)
	serve("GET /log/tile/", w.intake.ServeTile)
	serve("GET /log/names/{name}", func(rw http.ResponseWriter, r *http.Request) error {
		o, err := w.intake.Look(bolwerk.MustDomain(r.PathValue("name")))
		if err == nil && len(o.Entries) == 0 {
			err = bolwerk.NotFound("nothing")
		}
		if err == nil {
			json.NewEncoder(rw).Encode(o)
		}
		return err
	})
	w.site = httptest.NewServer(mux)
	w.t.Cleanup(w.site.Close)
}

func (w *world) write(fn func(tx *store.Tx) error) {
	w.t.Helper()
	if err := w.db.Write(w.t.Context(), store.Decision, fn); err != nil {
		w.t.Fatal(err)
	}
}

func ref(i int) string { return fmt.Sprintf("B-2026-%06d", i) }

func (w *world) place(from, to int) {
	w.t.Helper()
	w.write(func(tx *store.Tx) error {
		for i := from; i < to; i++ {
			w.Append(tx, openlog.Leaf{Kind: openlog.Placed, Ref: ref(i), Scope: "host", Action: "redirect", Class: "phishing", Ground: "policy", Epoch: 1, Serial: int64(i + 2)}, fmt.Sprintf("n%d.example", i))
		}
		return nil
	})
}

func (w *world) end(i int) {
	w.t.Helper()
	w.write(func(tx *store.Tx) error {
		w.Append(tx, openlog.Leaf{Kind: openlog.Ended, Ref: ref(i), Cause: "cleaned"}, "")
		return nil
	})
}

// poll is one question of the intake and its answer.
func (w *world) poll() error {
	w.t.Helper()
	head, _ := w.intake.Head()
	lines, err := w.since(w.t.Context(), ask{host: "intake", head: head}, w.clock.Now(), slog.New(slog.DiscardHandler))
	if err != nil || len(lines) == 0 {
		return err
	}
	if lines[0].Want != nil {
		var b bytes.Buffer
		if err := w.intake.Tell(&b, *lines[0].Want); err != nil {
			return err
		}
		return w.Adopt(w.t.Context(), "intake", &b)
	}
	// As it goes over the wire.
	var b bytes.Buffer
	for _, l := range lines {
		json.NewEncoder(&b).Encode(l)
	}
	if lines, err = openlog.ReadLines(&b); err != nil {
		return err
	}
	return w.intake.Take(lines)
}

func (w *world) mustPoll() openlog.Head {
	w.t.Helper()
	if err := w.poll(); err != nil {
		w.t.Fatal(err)
	}
	h, _ := w.intake.Head()
	return h
}

func (w *world) check() *check.Log {
	w.t.Helper()
	l, err := check.New(w.site.URL, w.Key(), w.site.Client())
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// outsider is a checker that uses golang.org/x/mod and nothing of ours: what it
// knows it knows from docs/understand/transparency-log.md.
type outsider struct{ base string }

func (o outsider) get(path string) []byte {
	res, err := http.Get(o.base + "/log/" + path)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 {
		panic(path + ": " + res.Status)
	}
	return b
}

func (o outsider) Height() int                     { return 8 }
func (o outsider) SaveTiles([]tlog.Tile, [][]byte) {}
func (o outsider) ReadTiles(tiles []tlog.Tile) (out [][]byte, err error) {
	for _, t := range tiles {
		out = append(out, o.get(t.Path()))
	}
	return out, nil
}

func (o outsider) head(t testing.TB) tlog.Tree {
	t.Helper()
	v, err := note.NewVerifier(strings.TrimSpace(string(o.get("key"))))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(o.get("checkpoint"), note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(n.Text, "\n")
	if line[0] != v.Name() {
		t.Fatalf("origin %q, key %q", line[0], v.Name())
	}
	size, err := strconv.ParseInt(line[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	root, err := tlog.ParseHash(line[2])
	if err != nil {
		t.Fatal(err)
	}
	return tlog.Tree{N: size, Hash: root}
}

// leaves gives all leaves and proves each to be in the tree.
func (o outsider) leaves(t testing.TB, tree tlog.Tree) (out []string) {
	t.Helper()
	hashes := tlog.TileHashReader(tree, o)
	for n := int64(0); n*256 < tree.N; n++ {
		tile := tlog.Tile{H: 8, L: -1, N: n, W: int(min(256, tree.N-n*256))}
		b := o.get(tile.Path())
		for len(b) > 0 {
			size := binary.BigEndian.Uint16(b)
			leaf := b[2 : 2+size]
			b = b[2+size:]
			i := int64(len(out))
			if i%97 == 0 || i == tree.N-1 { // each costs requests
				p, err := tlog.ProveRecord(tree.N, i, hashes)
				if err == nil {
					err = tlog.CheckRecord(p, tree.N, tree.Hash, i, tlog.RecordHash(leaf))
				}
				if err != nil {
					t.Fatalf("leaf %d: %v", i, err)
				}
			}
			out = append(out, string(leaf))
		}
	}
	return out
}

func TestAnOutsiderChecksTheLogWithNothingOfOurs(t *testing.T) {
	w := newWorld(t)
	w.place(0, 300)
	w.mustPoll()
	o := outsider{w.site.URL}
	old := o.head(t)
	if old.N != 301 { // the first leaf says that the log began
		t.Fatalf("size %d", old.N)
	}
	w.end(7)
	w.place(300, 700)
	w.mustPoll()
	tree := o.head(t)
	p, err := tlog.ProveTree(tree.N, old.N, tlog.TileHashReader(tree, o))
	if err == nil {
		err = tlog.CheckTree(p, tree.N, tree.Hash, old.N, old.Hash)
	}
	if err != nil {
		t.Fatalf("the log did not only grow: %v", err)
	}
	leaves := o.leaves(t, tree)
	if int64(len(leaves)) != tree.N || tree.N != 702 {
		t.Fatalf("%d leaves in a tree of %d", len(leaves), tree.N)
	}
	// No name stands in the log; the one that is asked for opens.
	if all := strings.Join(leaves, "\n"); strings.Contains(all, "n7.example") {
		t.Error("a name stands in the log")
	}
	var opened struct {
		Checkpoint string
		Entries    []struct {
			Index      int64
			Leaf, Salt string
			Proof      tlog.RecordProof
			Ended      *struct {
				Index int64
				Leaf  string
			}
		}
	}
	if err := json.Unmarshal(o.get("names/n7.example"), &opened); err != nil {
		t.Fatal(err)
	}
	e := opened.Entries[0]
	if err := tlog.CheckRecord(e.Proof, tree.N, tree.Hash, e.Index, tlog.RecordHash([]byte(e.Leaf))); err != nil || leaves[e.Index] != e.Leaf {
		t.Errorf("the opened leaf is not in the log: %v", err)
	}
	var leaf struct{ Name, Ref string }
	json.Unmarshal([]byte(e.Leaf), &leaf)
	salt, _ := hex.DecodeString(e.Salt)
	h := hmac.New(sha256.New, salt)
	h.Write([]byte("n7.example"))
	if got := hex.EncodeToString(h.Sum(nil)); got != leaf.Name || leaf.Ref != ref(7) {
		t.Errorf("commitment %s of %s, want %s", got, leaf.Ref, leaf.Name)
	}
	if e.Ended == nil || leaves[e.Ended.Index] != e.Ended.Leaf || !strings.Contains(e.Ended.Leaf, `"of":`+strconv.FormatInt(e.Index, 10)) {
		t.Errorf("its end: %+v", e.Ended)
	}
	// The same tiles under the paths of C2SP tlog-tiles.
	for ours, theirs := range map[string]string{"tile/8/0/001": "tile/0/001", "tile/8/data/000": "tile/entries/000", "tile/8/1/000.p/2": "tile/1/000.p/2"} {
		if !bytes.Equal(o.get(ours), o.get(theirs)) {
			t.Errorf("%s is not %s", ours, theirs)
		}
	}
}

// A block that goes on has a leaf about its placing that is not its end.
func TestWhatIsExtendedHasNotEnded(t *testing.T) {
	w := newWorld(t)
	w.place(0, 3)
	extend := func(i int, days time.Duration) {
		w.write(func(tx *store.Tx) error {
			w.Append(tx, openlog.Leaf{Kind: openlog.Extended, Ref: ref(i), Until: start.Add(days * 24 * time.Hour)}, "")
			return nil
		})
	}
	extend(1, 3)
	extend(1, 6)
	extend(2, 3)
	w.end(2)
	w.mustPoll()
	for name, ended := range map[string]bool{"n1.example": false, "n2.example": true} {
		got, err := w.check().Name(t.Context(), name)
		if err != nil || len(got) != 1 || (got[0].Ended != nil) != ended {
			t.Errorf("%s: %+v, %v; want one that has ended: %v", name, got, err, ended)
		}
	}
}

func TestTilesMayBeKept(t *testing.T) {
	w := newWorld(t)
	w.place(0, 300)
	w.mustPoll()
	for path, want := range map[string]string{"tile/8/0/000": "public, max-age=31536000, immutable", "tile/8/0/001.p/45": "public, max-age=600, immutable",
		"checkpoint": "no-cache", "tile/8/0/001.p/46": "", "tile/8/0/001": "", "tile/8/9/000": "", "tile/9/0/000": "", "tile/8/0/x001/000": "", "tile/8/0/../000": ""} {
		res, err := http.Get(w.site.URL + "/log/" + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Cache-Control"); got != want || (want == "") != (res.StatusCode == 404) {
			t.Errorf("%s: %d, Cache-Control %q, want %q", path, res.StatusCode, got, want)
		}
	}
}

func TestAChangedLeafIsFound(t *testing.T) {
	w := newWorld(t)
	w.place(0, 300)
	first := w.mustPoll()
	if n, err := w.Verify(t.Context()); err != nil || n != 301 {
		t.Fatalf("Verify = %d, %v", n, err)
	}
	w.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`update log_leaf set body=replace(body,'phishing','malware') where n=17`)
		return err
	})
	t.Run("at the desk", func(t *testing.T) {
		if _, err := w.Verify(t.Context()); !errors.Is(err, bolwerk.ErrConflict) || !strings.Contains(err.Error(), "leaf 17") {
			t.Errorf("Verify: %v", err)
		}
	})
	t.Run("at an intake that begins", func(t *testing.T) {
		w.follow("another")
		if err := w.poll(); !errors.Is(err, bolwerk.ErrConflict) {
			t.Errorf("poll: %v", err)
		}
		if h, _ := w.intake.Head(); h.Size != 0 {
			t.Errorf("it took %d leaves", h.Size)
		}
	})
	t.Run("with its hash", func(t *testing.T) {
		w.write(func(tx *store.Tx) error {
			var body string
			if err := tx.Row(`select body from log_leaf where n=17`).Scan(&body); err != nil {
				return err
			}
			h := tlog.RecordHash([]byte(body))
			_, err := tx.Exec(`update log_leaf set hash=$1 where n=17`, h[:])
			return err
		})
		if _, err := w.Verify(t.Context()); !errors.Is(err, bolwerk.ErrConflict) {
			t.Errorf("Verify: %v", err)
		}
	})
	t.Run("rewritten with its edge", func(t *testing.T) { // all of the database: only who saw the old head can tell
		w.write(func(tx *store.Tx) error {
			var r openlog.Range
			err := tx.Each(`select hash from log_leaf order by n`, nil, func(scan func(...any) error) error {
				var h []byte
				if err := scan(&h); err != nil {
					return err
				}
				r.Add(tlog.Hash(h))
				return nil
			})
			if err != nil {
				return err
			}
			_, err = tx.Exec(`update log_head set edge=$1`, r.Bytes())
			return err
		})
		w.place(400, 401)
		w.follow("third")
		now := w.mustPoll()
		if err := w.check().Follows(t.Context(), first, now); !errors.Is(err, bolwerk.ErrConflict) || !strings.Contains(err.Error(), "rewritten") {
			t.Errorf("Follows: %v", err)
		}
	})
	t.Run("on the intake's disk", func(t *testing.T) {
		path := filepath.Join(w.dir, "third", "leaves")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Replace(b, []byte("phishing"), []byte("phishinG"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		h, _ := w.intake.Head()
		err = w.check().Leaves(t.Context(), h, func(int64, openlog.Leaf, []byte) error { return nil })
		if !errors.Is(err, bolwerk.ErrConflict) {
			t.Errorf("Leaves: %v", err)
		}
	})
}

func TestAForgottenNameIsGoneAndTheLogStands(t *testing.T) {
	w := newWorld(t)
	w.place(0, 20)
	w.end(3)
	w.mustPoll()
	if o, err := w.intake.Look(bolwerk.MustDomain("n3.example")); err != nil || len(o.Entries) != 1 {
		t.Fatalf("before: %+v, %v", o, err)
	}
	var salt []byte
	w.write(func(tx *store.Tx) error {
		if err := tx.Row(`select salt from log_salt where ref=$1`, ref(3)).Scan(&salt); err != nil {
			return err
		}
		return w.Forget(tx, ref(3))
	})
	before, _ := w.intake.Head()
	after := w.mustPoll()
	if o, err := w.intake.Look(bolwerk.MustDomain("n3.example")); err != nil || len(o.Entries) != 0 {
		t.Errorf("after: %+v, %v", o, err)
	}
	if o, err := w.intake.Look(bolwerk.MustDomain("n4.example")); err != nil || len(o.Entries) != 1 {
		t.Errorf("another name: %+v, %v", o, err)
	}
	files, _ := filepath.Glob(filepath.Join(w.dir, "log", "*"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, salt) || bytes.Contains(b, openlog.Tag("n3.example")) || bytes.Contains(b, []byte("n4.example")) {
			t.Errorf("%s keeps a salt, a tag or a name", f)
		}
	}
	if _, err := w.Verify(t.Context()); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if err := w.check().Follows(t.Context(), before, after); err != nil {
		t.Errorf("Follows: %v", err)
	}
	err := w.check().Leaves(t.Context(), after, func(int64, openlog.Leaf, []byte) error { return nil })
	if err != nil {
		t.Errorf("Leaves: %v", err)
	}
	err = w.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error { return w.Forget(tx, ref(3)) })
	if !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("a second time: %v", err)
	}
	// An intake that begins later never hears of it.
	w.follow("later")
	w.mustPoll()
	if o, err := w.intake.Look(bolwerk.MustDomain("n3.example")); err != nil || len(o.Entries) != 0 {
		t.Errorf("at a later intake: %+v, %v", o, err)
	}
}

// keep copies the rows of the log, as a backup would.
func (w *world) keep() (restore func()) {
	w.t.Helper()
	tables := []string{"log_head", "log_leaf", "log_tile", "log_salt", "log_forgot"}
	w.write(func(tx *store.Tx) error {
		for _, t := range tables {
			if _, err := tx.Exec(`create table keep_` + t + ` as select * from ` + t); err != nil {
				return err
			}
		}
		return nil
	})
	return func() {
		w.t.Helper()
		w.write(func(tx *store.Tx) error {
			for _, t := range tables {
				if _, err := tx.Exec(`delete from ` + t); err != nil {
					return err
				}
				if _, err := tx.Exec(`insert into ` + t + ` select * from keep_` + t); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func TestARestoredDeskTakesTheLogBackFromAnIntake(t *testing.T) {
	w := newWorld(t)
	w.place(0, 10)
	w.mustPoll()
	restore := w.keep()
	w.place(10, 300)
	w.end(4)
	w.write(func(tx *store.Tx) error { return w.Forget(tx, ref(4)) })
	old := w.mustPoll()
	restore()
	w.write(func(tx *store.Tx) error { return BeginRestore(tx, 5) })
	if _, err := w.Head(t.Context()); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("a head before anybody was asked: %v", err)
	}
	w.place(900, 901) // decided meanwhile: it waits for its place
	w.mustPoll()      // the intake tells
	told, err := w.Told(t.Context())
	if err != nil || !told["intake"] {
		t.Fatalf("told: %v, %v", told, err)
	}
	w.write(func(tx *store.Tx) error {
		return w.Settle(tx, true, func(*store.Tx) error { t.Error("placed again"); return nil })
	})
	now := w.mustPoll()
	if now.Origin != old.Origin || now.Epoch != 5 || now.Size != old.Size+2 { // restored, placed
		t.Errorf("head %+v after %+v", now, old)
	}
	if err := w.check().Follows(t.Context(), old, now); err != nil {
		t.Errorf("Follows: %v", err)
	}
	if _, err := w.Verify(t.Context()); err != nil {
		t.Errorf("Verify: %v", err)
	}
	for name, want := range map[string]int{"n4.example": 0, "n10.example": 1, "n900.example": 1} { // forgotten stays forgotten
		if o, err := w.intake.Look(bolwerk.MustDomain(name)); err != nil || len(o.Entries) != want {
			t.Errorf("%s: %d entries, want %d (%v)", name, len(o.Entries), want, err)
		}
	}
	var salts int
	w.write(func(tx *store.Tx) error { return tx.Row(`select count(*) from log_salt`).Scan(&salts) })
	if salts != 300 { // 300 placed before, one forgotten, one after
		t.Errorf("%d salts at the desk", salts)
	}
}

func TestARestoreWithoutIntakesBeginsAnew(t *testing.T) {
	w := newWorld(t)
	w.place(0, 10)
	restore := w.keep()
	w.place(10, 20)
	old := w.mustPoll()
	restore()
	w.write(func(tx *store.Tx) error { return BeginRestore(tx, 5) })
	w.write(func(tx *store.Tx) error {
		return w.Settle(tx, false, func(tx *store.Tx) error {
			w.Append(tx, openlog.Leaf{Kind: openlog.Placed, Ref: ref(0), Scope: "host"}, "n0.example")
			return nil
		})
	})
	now := w.mustPoll()
	if now.Origin != "shield.example/log/5" || now.Size != 2 {
		t.Errorf("head %+v", now)
	}
	if err := w.check().Follows(t.Context(), old, now); !errors.Is(err, bolwerk.ErrConflict) || !strings.Contains(err.Error(), "began anew") {
		t.Errorf("Follows: %v", err)
	}
	if kept, _ := filepath.Glob(filepath.Join(w.dir, "log.until-*", "leaves")); len(kept) != 1 {
		t.Errorf("the old log is not kept at the intake: %v", kept)
	}
}

func TestAStoreThatWasBroughtBackSilentlySignsNothing(t *testing.T) {
	w := newWorld(t)
	w.place(0, 10)
	restore := w.keep()
	w.place(10, 20)
	old := w.mustPoll()
	restore()
	w.place(30, 35)
	if err := w.poll(); err != nil {
		t.Fatal(err)
	}
	if h, _ := w.intake.Head(); h != old {
		t.Errorf("head %+v, want %+v", h, old)
	}
	if _, err := w.Head(t.Context()); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("a head was signed: %v", err)
	}
}

func TestAnIntakeStartsAgainAtItsHead(t *testing.T) {
	w := newWorld(t)
	w.place(0, 300)
	h := w.mustPoll()
	w.intake.Close()
	for _, name := range []string{"leaves", "names", "hash-0", "bundles"} { // a crash in the middle of a write
		f, err := os.OpenFile(filepath.Join(w.dir, "log", name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString("torn")
		f.Close()
	}
	w.follow("log")
	if again, _ := w.intake.Head(); again != h {
		t.Fatalf("head %+v, want %+v", again, h)
	}
	w.place(300, 600)
	h = w.mustPoll()
	if err := w.check().Leaves(t.Context(), h, func(int64, openlog.Leaf, []byte) error { return nil }); err != nil {
		t.Error(err)
	}
	if o, err := w.intake.Look(bolwerk.MustDomain("n7.example")); err != nil || len(o.Entries) != 1 {
		t.Errorf("look: %+v, %v", o, err)
	}
}

func TestProofsOfTheDesk(t *testing.T) {
	w := newWorld(t)
	w.place(0, 600)
	w.end(5)
	signed, entries, err := w.About(t.Context(), ref(5))
	if err != nil || len(entries) != 2 {
		t.Fatalf("About: %v, %v", entries, err)
	}
	v, _ := note.NewVerifier(w.Key())
	h, err := openlog.OpenHead(signed, v)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var p tlog.RecordProof
		for _, s := range e.Proof {
			b, _ := base64.StdEncoding.DecodeString(s)
			p = append(p, tlog.Hash(b))
		}
		if err := tlog.CheckRecord(p, h.Size, h.Root, e.Index, tlog.RecordHash([]byte(e.Leaf))); err != nil {
			t.Errorf("leaf %d: %v", e.Index, err)
		}
	}
	for size := int64(0); size <= h.Size; size += 37 { // heads of the way there
		err := w.db.Read(context.Background(), func(tx *store.Tx) error {
			r, err := rangeAt(tx, size)
			if err != nil {
				return err
			}
			root, err := tlog.TreeHash(size, hashes(tx))
			if err == nil && r.Root() != root {
				err = fmt.Errorf("root %s, want %s", r.Root(), root)
			}
			return err
		})
		if err != nil {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

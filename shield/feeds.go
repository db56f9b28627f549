package shield

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/store"
	"bolwerk/shield/export"
)

// feedFile is one file that others fetch, made of one publication.
type feedFile struct {
	plain, packed *os.File // without a name on disk
	tag, digest   string
	size          int64
	at, made      time.Time
	about         export.About
}

// feeds keeps the last file of each format. Making one of a million names takes
// seconds: it is made when somebody asks, at most every feedEvery.
type feeds struct {
	mu   sync.Mutex
	each map[string]*feedSlot
}

type feedSlot struct {
	mu   sync.Mutex
	last *feedFile
}

const feedEvery = 5 * time.Second

func (f *feeds) slot(name string) *feedSlot {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.each == nil {
		f.each = map[string]*feedSlot{}
	}
	if f.each[name] == nil {
		f.each[name] = &feedSlot{}
	}
	return f.each[name]
}

// feedFile gives the file of a format as of the last publication, or of one at
// most feedEvery ago.
func (s *Shield) feedFile(ctx context.Context, f export.Format) (*feedFile, error) {
	slot := s.files.slot(f.Name)
	slot.mu.Lock()
	defer slot.mu.Unlock()
	now := s.clock.Now()
	if slot.last != nil && now.Sub(slot.last.made) < feedEvery {
		return slot.last, nil
	}
	var made *feedFile
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		about, err := s.aboutFeed(tx)
		if err != nil {
			return err
		}
		if last := slot.last; last != nil && last.about.Epoch == about.Epoch && last.about.Serial == about.Serial {
			last.made = now
			made = last
			return nil
		}
		made, err = s.makeFeed(tx, f, about)
		return err
	})
	if err != nil {
		return nil, err
	}
	made.made, slot.last = now, made // the file before is closed when its last reader is gone
	return made, nil
}

func (s *Shield) aboutFeed(tx *store.Tx) (export.About, error) {
	a := export.About{Operator: s.cfg.Operator, Epoch: 1, Serial: 1, Landing: s.cfg.Landing, At: store.Time(0)}
	var at int64
	err := tx.Row(`select epoch,serial,made_at from copy_head where copy=$1`, CopyBlocks).Scan(&a.Epoch, &a.Serial, &at)
	if store.None(err) {
		return a, nil
	}
	a.At = store.Time(at)
	return a, err
}

func (s *Shield) makeFeed(tx *store.Tx, f export.Format, about export.About) (*feedFile, error) {
	out := &feedFile{about: about, at: about.At}
	for _, to := range []**os.File{&out.plain, &out.packed} {
		file, err := os.CreateTemp("", "bolwerk-feed-")
		if err != nil {
			return nil, fmt.Errorf("feed %s: %w", f.Name, err)
		}
		if err := os.Remove(file.Name()); err != nil {
			return nil, fmt.Errorf("feed %s: %w", f.Name, err)
		}
		*to = file
	}
	sum := sha256.New()
	zip := gzip.NewWriter(out.packed)
	if err := export.Write(io.MultiWriter(out.plain, sum, zip), f, about, func(each func(export.Row) error) error { return eachInForce(tx, f.Exact, each) }); err != nil {
		return nil, fmt.Errorf("feed %s: %w", f.Name, err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("feed %s: %w", f.Name, err)
	}
	st, err := out.plain.Stat()
	if err != nil {
		return nil, err
	}
	out.digest, out.size = hex.EncodeToString(sum.Sum(nil)), st.Size()
	out.tag = out.digest[:32]
	return out, nil
}

// eachInForce gives what is published: exemptions, then orders, then our own.
// exact leaves out what an exemption covers.
func eachInForce(tx *store.Tx, exact bool, each func(export.Row) error) error {
	const held = ` and not exists (select 1 from copy_held h where h.copy='blocks' and h.id=shield_block.id) order by id`
	passes, err := store.List(tx, readBlock, `select `+blockColumns+` from shield_block where pass and state='in_force'`+held)
	if err != nil {
		return err
	}
	for _, b := range passes {
		if err := each(rowOfFeed(b)); err != nil {
			return err
		}
	}
	for _, whose := range []string{`order_id<>''`, `order_id=''`} {
		err := tx.Each(`select `+blockColumns+` from shield_block where not pass and state='in_force' and `+whose+held, nil, func(scan func(...any) error) error {
			b, err := readBlock(scan)
			if err != nil {
				return err
			}
			if exact && slices.ContainsFunc(passes, func(p Block) bool { return p.Rule().Covers(b.Name) }) {
				return nil
			}
			return each(rowOfFeed(b))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func rowOfFeed(b Block) export.Row {
	return export.Row{Ref: b.Ref, Name: b.Name.String(), Scope: b.Scope, WWW: b.WWW, Pass: b.Pass, Action: string(b.Action), Class: b.Class, Ground: string(b.Ground), Since: b.From, Until: b.Until}
}

// feeds are what is in force as files at stable paths.
func (a *API) feeds(x *api.Routes, mux *http.ServeMux) {
	for _, f := range export.Formats() {
		path := api.Path + "/feeds/blocks." + f.Name
		serve := func(ending string, h func(w http.ResponseWriter, r *http.Request) error) {
			var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := h(w, r); err != nil && r.Context().Err() == nil {
					x.Explain(r.Context(), err).Write(w)
				}
			})
			if !a.shield.cfg.OpenFeed {
				handler = x.Let(account.Fetch, handler)
			}
			mux.Handle("GET "+path+ending, handler)
		}
		serve("", func(w http.ResponseWriter, r *http.Request) error { return a.feed(w, r, f) })
		serve(".sig", func(w http.ResponseWriter, r *http.Request) error { return a.feedSignature(w, r, f) })
		describeFeed(x, path, f, a.shield.cfg.OpenFeed)
	}
}

func (a *API) feed(w http.ResponseWriter, r *http.Request, f export.Format) error {
	file, err := a.shield.feedFile(r.Context(), f)
	if err != nil {
		return err
	}
	body, tag := file.plain, file.tag
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		body, tag = file.packed, tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	st, err := body.Stat()
	if err != nil {
		return err
	}
	h.Set("Content-Type", f.Type)
	h.Set("ETag", `"`+tag+`"`)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Bolwerk-Serial", fmt.Sprintf("%d.%d", file.about.Epoch, file.about.Serial))
	h.Set("X-Robots-Tag", "noindex")
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(feedTime)) // where it cannot be moved, the server's own stands
	http.ServeContent(w, r, "", file.at, io.NewSectionReader(body, 0, st.Size()))
	return nil
}

// feedTime is how long a file may take to be fetched.
const feedTime = 10 * time.Minute

func acceptsGzip(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// feedSignature signs which file belongs to which publication, with the key of
// the transparency log.
func (a *API) feedSignature(w http.ResponseWriter, r *http.Request, f export.Format) error {
	file, err := a.shield.feedFile(r.Context(), f)
	if err != nil {
		return err
	}
	signed, err := a.shield.ledger.Sign(fmt.Sprintf("bolwerk feed blocks.%s\nserial %d.%d\nat %s\nsize %d\nsha256 %s\n",
		f.Name, file.about.Epoch, file.about.Serial, file.at.UTC().Format(time.RFC3339), file.size, file.digest))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Write(signed) // a broken connection is all that can go wrong
	return nil
}

func describeFeed(x *api.Routes, path string, f export.Format, open bool) {
	text := func(what string) *huma.Response { return &huma.Response{Description: what} }
	file := func(kind string) map[string]*huma.MediaType {
		kind, _, _ = strings.Cut(kind, ";")
		return map[string]*huma.MediaType{kind: {Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	refused := x.Refused("Refused, and why")
	op := &huma.Operation{OperationID: "get-feed-" + f.Name, Method: http.MethodGet, Path: path, Summary: "Fetch what is in force as " + f.What, Tags: []string{"feeds"},
		Description: "A token of the scope feed is enough. Send If-None-Match with the ETag of the last answer: 304 says that nothing changed. The file is at most five seconds behind the last publication, whose number stands in Bolwerk-Serial.",
		Parameters:  []*huma.Param{{Name: "If-None-Match", In: "header", Schema: &huma.Schema{Type: huma.TypeString}, Description: "ETag of the last answer"}},
		Responses:   map[string]*huma.Response{"200": {Description: "The file", Content: file(f.Type)}, "304": text("Nothing has changed"), "default": refused}}
	sig := &huma.Operation{OperationID: "get-feed-" + f.Name + "-sig", Method: http.MethodGet, Path: path + ".sig", Summary: "Fetch the signed digest of that file", Tags: []string{"feeds"},
		Description: "A signed note (golang.org/x/mod/sumdb/note) with the key of the transparency log: format, serial, time, size and SHA-256 of the file.",
		Responses:   map[string]*huma.Response{"200": {Description: "The signed note", Content: file("text/plain")}, "default": refused}}
	for _, o := range []*huma.Operation{op, sig} {
		if open {
			o.Security = []map[string][]string{{}}
		}
		x.OpenAPI().AddOperation(o)
	}
}

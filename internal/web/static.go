package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"bolwerk/internal/brand"
	"bolwerk/internal/chart"
)

//go:embed static
var ownStatic embed.FS

// asset is a static file, served under a name that holds its digest: it never
// changes, so browsers keep it for a year.
type asset struct {
	kind  string
	plain []byte
	small []byte // gzip; nil where it saves nothing
}

func (f *Frame) loadAssets() error {
	own, err := fs.Sub(ownStatic, "static")
	if err != nil {
		return err
	}
	for _, folder := range append([]fs.FS{own}, f.site.Static...) {
		err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(folder, name)
			if err != nil {
				return err
			}
			if name == "bolwerk.css" {
				b = append(b, chart.CSS...)
				f.css = bytes.Clone(b)
				b = append(b, brandCSS(f.site.Config.Brand)...)
			}
			return f.addAsset(path.Base(name), b)
		})
		if err != nil {
			return err
		}
	}
	return f.addLogo(f.site.Config.Brand, f.paths)
}

func (f *Frame) addLogo(b brand.Brand, paths map[string]string) error {
	name, data, err := b.Picture()
	if err != nil || name == "" {
		return err
	}
	paths["logo"], err = f.keep(name, data)
	return err
}

func (f *Frame) addAsset(name string, b []byte) error {
	if f.paths[name] != "" {
		return fmt.Errorf("static file %s is there twice", name)
	}
	p, err := f.keep(name, b)
	f.paths[name] = p
	return err
}

// keep makes a file one that is served, and gives its path.
func (f *Frame) keep(name string, b []byte) (string, error) {
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		return "", fmt.Errorf("static file %s: of no known type", name)
	}
	digest := sha256.Sum256(b)
	stem, ext := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
	p := "/static/" + stem + "." + hex.EncodeToString(digest[:6]) + ext
	a := asset{kind: kind, plain: b}
	var z bytes.Buffer
	w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression) // a known level
	w.Write(b)
	w.Close()
	if z.Len() < len(b)*9/10 {
		a.small = z.Bytes()
	}
	f.assets[p] = a
	return p, nil
}

// brandCSS is what the brand replaces in the stylesheet. Its values are checked
// colours.
func brandCSS(b brand.Brand) string {
	s := ""
	if b.Accent != "" {
		s += ":root{--accent:" + b.Accent + "}\n"
	}
	if b.AccentDark != "" {
		s += "@media(prefers-color-scheme:dark){:root{--accent:" + b.AccentDark + "}}\n"
	}
	return s
}

func (f *Frame) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := f.assets[r.URL.Path]
	if !ok {
		f.write(w, r, Problem{Status: http.StatusNotFound, Request: recordOf(r).id})
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	b := a.plain
	if a.small != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		b = a.small
	}
	w.Write(b)
}

// favicon answers browsers that ask without having been told.
func (f *Frame) favicon(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, f.paths["favicon.svg"], http.StatusFound)
}

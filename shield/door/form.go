package door

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/internal/web"
)

// maxParts bounds the fields of a form.
const maxParts = 12

// form is what a page's form holds: short texts, and at most one file.
type form struct {
	text map[string]string
	file []byte
	size int // bytes of the whole
}

// readForm reads a form of either encoding. A file is kept in memory and never
// on the disk of the door. most bounds the file, maxText each text.
func readForm(r *http.Request, most int64) (form, error) {
	f := form{text: map[string]string{}}
	m, err := r.MultipartReader()
	if errors.Is(err, http.ErrNotMultipart) {
		if err := r.ParseForm(); err != nil {
			return f, readFailed(err)
		}
		for k, v := range r.PostForm {
			f.text[k] = tidy(v[0])
			f.size += len(v[0])
		}
		return f, nil
	}
	if err != nil {
		return f, bolwerk.Invalid("the form cannot be read")
	}
	for range maxParts {
		part, err := m.NextPart()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return f, readFailed(err)
		}
		if err := f.add(part, most); err != nil {
			return f, err
		}
	}
	return f, bolwerk.Invalid("the form has more than %d fields", maxParts)
}

func (f *form) add(part *multipart.Part, most int64) error {
	bound := int64(maxText)
	if part.FileName() != "" {
		bound = most
	}
	b, err := io.ReadAll(io.LimitReader(part, bound+1))
	if err != nil {
		return readFailed(err)
	}
	f.size += len(b)
	switch {
	case part.FileName() == "" && part.FormName() != "file":
		// One byte too many is left to the field's own check, which names the field.
		f.text[part.FormName()] = tidy(string(b))
	case int64(len(b)) > bound:
		return &http.MaxBytesError{Limit: bound}
	case len(b) > 0:
		f.file = b
	}
	return nil
}

// sentOnce gives a form that is sent twice one effect and one receipt, as by a second
// press of its button: each page of a form has a mark of its own. What was changed
// before the second time is another form.
func (d *Door) sentOnce(r *http.Request, f form, put handIn) (bolwerk.Token, error) {
	if f.text["once"] == "" {
		return d.fresh(put)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n%q\n", r.URL.Path, web.Network(d.frame.Source(r)), f.text) // in the order of the fields' names
	h.Write(f.file)
	return d.requests.Wait(r.Context(), d.clock.Now, "form "+string(h.Sum(nil)), put)
}

// tidy makes text of what a browser sent: line ends as everywhere, no broken or
// control characters.
func tidy(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// faults are the errors beside the fields of a form: key of the text by field.
type faults map[string]string

// isPicture says that an upload is a picture of a kind that is read, by its first
// bytes: what the browser says of it does not count.
func isPicture(b []byte) bool {
	switch http.DetectContentType(b) {
	case "image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp":
		return true
	}
	return false
}

// fileFault says what is wrong with an upload, or "".
func fileFault(b []byte, most int64) string {
	switch {
	case isPicture(b), checkMail(b, most) == nil:
		return ""
	case strings.HasPrefix(http.DetectContentType(b), "image/"), len(b) > 8 && string(b[4:8]) == "ftyp": // a telephone's HEIC or AVIF
		return "door.fault.image"
	}
	return "door.fault.file"
}

// reportOf makes a report of the report form.
func reportOf(f form, most int64) (Report, faults) {
	r := Report{Channel: ByWeb}
	text := strings.TrimSpace(f.text["text"])
	switch {
	case f.file != nil && text != "":
		return r, faults{"text": "door.fault.both"}
	case f.file != nil:
		if key := fileFault(f.file, most); key != "" {
			return r, faults{"file": key}
		}
		if r.Form, r.Body = Evidence, f.file; isPicture(f.file) {
			r.Form = Picture
		}
	case text == "" && f.text["what"] == "file":
		return r, faults{"file": "door.fault.nofile"}
	case text == "":
		return r, faults{"text": "door.fault.empty"}
	case len(text) > maxText:
		return r, faults{"text": "door.fault.long"}
	case checkURL(text) == nil:
		r.Form, r.Body = Link, []byte(text)
	default:
		r.Form, r.Body = Text, []byte(text)
	}
	return r, nil
}

// runes counts what a person would call characters.
func runes(s string) int { return utf8.RuneCountInString(s) }

package app

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/abuse"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/view"
	"bolwerk/abuse/who"
	"bolwerk/internal/blob"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
	"bolwerk/privacy"
)

// ExportOptions are what "bolwerk export" is told.
type ExportOptions struct {
	Dir string // new, or empty
	// Personal takes along what says who somebody is and what they sent.
	Personal bool
	Version  string // of the program
	// Begin is told of each table with its number of rows, and gives what is told
	// of each row and called at the end.
	Begin func(table string, rows int64) (row func(), end func())
}

// Manifest says what an export holds. It is written last: an export without one
// is not whole.
type Manifest struct {
	Format   string            `json:"format"` // "bolwerk export 1"
	MadeAt   time.Time         `json:"made_at"`
	Operator string            `json:"operator"`
	Version  string            `json:"version"`
	Personal bool              `json:"personal_data"`
	Keep     map[string]string `json:"keep"` // class of a column -> how long it is kept
	Tables   []ExportedTable   `json:"tables"`
}

// ExportedTable is one file of lines, one row of JSON each. Times are
// microseconds since 1970, UTC; bytes are base64.
type ExportedTable struct {
	Name    string           `json:"name"`
	File    string           `json:"file"`
	Rows    int64            `json:"rows"`
	SHA256  string           `json:"sha256"`
	Columns []ExportedColumn `json:"columns"`
	LeftOut []string         `json:"left_out,omitempty"` // columns that are not here: secrets, and persons where they were not asked for
}

// ExportedColumn is what a column holds.
type ExportedColumn struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Class   string `json:"class"`
	Purpose string `json:"purpose"`
}

const exportFormat = "bolwerk export 1"

// sealedFor is for what each sealed column was sealed. A code that opens
// something is not among them: it is nobody's data.
var sealedFor = map[string]string{
	"desk_appeal.text_sealed":           "appeal.text",
	"desk_appeal.contact_sealed":        "appeal.contact",
	"desk_notice.to_sealed":             "notice.to",
	"desk_notice.body_sealed":           "notice.body",
	"shield_report.reply_sealed":        "report.reply",
	"shield_report.message_id_sealed":   "report.message_id",
	"shield_page.body_sealed":           "shield.page",
	"abuse_identity.identity_sealed":    who.SealedIdentity,
	"abuse_pinned.answer_sealed":        who.SealedAnswer,
	"abuse_asked.question_sealed":       who.SealedQuestion,
	"abuse_report.from_sealed":          abuse.SealedFrom,
	"abuse_report.reply_sealed":         abuse.SealedReply,
	"abuse_event.detail_sealed":         abuse.SealedEvent,
	"abuse_case.who_sealed":             abuse.SealedWho,
	"abuse_note.text_sealed":            abuse.SealedNote,
	"abuse_view.subscriber_sealed":      view.Sealed,
	"abuse_view_hold.hold_sealed":       view.SealedHold,
	"abuse_contact.detail_sealed":       contact.Sealed,
	"abuse_message.text_sealed":         inform.SealedText,
	"abuse_quarantine.who_sealed":       quarantine.SealedWho,
	"abuse_quarantine_line.held_sealed": quarantine.SealedLine,
	"privacy_request.subscriber_sealed": privacy.SealedRequest,
	"privacy_hold.subscriber_sealed":    privacy.SealedHold,
	"privacy_hold.copy_sealed":          privacy.SealedCopy,
}

// keyNames are the folders of months' keys.
var keyNames = []string{"columns", "sessions", "views", "contacts", "privacy"}

// keysFor says whose keys seal a column, and whether it is those that are kept.
func keysFor(c store.Column) (name string, kept bool) {
	switch {
	case c.Table == "shield_page":
		return "columns", true
	case strings.HasPrefix(c.Table, "abuse_") && c.Class == "pinned":
		return "sessions", true
	case c.Table == "abuse_view", c.Table == "abuse_view_hold":
		return "views", false
	case c.Class == "privacy":
		return "privacy", false
	case c.Table == "abuse_contact":
		return "contacts", false
	case strings.HasPrefix(c.Table, "abuse_") && c.Class == "session":
		return "sessions", false
	}
	return "columns", false
}

// boxOf has the keys of a sealed column.
func (e *exporter) boxOf(c store.Column) *vault.Vault {
	name, kept := keysFor(c)
	if kept {
		return e.keys[name].Kept()
	}
	return e.keys[name]
}

// personal are the classes of what says who somebody is or what they sent.
var personal = []string{"body", "reply", "staff", "session", "pinned", "view", "contact", "privacy"}

// Export writes everything that the installation keeps, but secrets, into a
// folder, in open formats. The desk may run: it is one moment of the store.
func Export(ctx context.Context, cfg Config, o ExportOptions) (Manifest, error) {
	m := Manifest{Format: exportFormat, MadeAt: time.Now().UTC(), Operator: cfg.Operator, Version: o.Version, Personal: o.Personal, Keep: store.Keep}
	if all, err := os.ReadDir(o.Dir); err == nil && len(all) > 0 {
		return m, bolwerk.WithHint(bolwerk.Conflict("%s is not empty", o.Dir), "name a new folder")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return m, err
	}
	c := clock.New()
	db, err := store.Open(ctx, cfg.Store, c)
	if err != nil {
		return m, err
	}
	defer db.Close()
	e := &exporter{ExportOptions: o, m: &m, keys: map[string]*vault.Vault{}}
	// What strangers' pages said is sealed and says nothing of a person.
	for _, name := range keyNames {
		if e.keys[name], err = keysOf(cfg, name, c); err != nil {
			return m, err
		}
	}
	if o.Personal {
		e.blobs = blob.New(e.keys["columns"])
	}
	err = db.Read(ctx, func(tx *store.Tx) error {
		columns := store.Columns(Schemas())
		for len(columns) > 0 {
			n := slices.IndexFunc(columns, func(c store.Column) bool { return c.Table != columns[0].Table })
			if n < 0 {
				n = len(columns)
			}
			if err := e.table(tx, columns[:n]); err != nil {
				return fmt.Errorf("export %s: %w", columns[0].Table, err)
			}
			columns = columns[n:]
		}
		return nil
	})
	if err != nil {
		return m, err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	f, err := create(filepath.Join(o.Dir, "manifest.json"))
	if err != nil {
		return m, err
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		return m, err
	}
	_, err = f.close()
	return m, err
}

type exporter struct {
	ExportOptions
	m     *Manifest
	keys  map[string]*vault.Vault // by name
	blobs *blob.Store
}

// table writes one table; bodies become files.
func (e *exporter) table(tx *store.Tx, columns []store.Column) error {
	t := ExportedTable{Name: columns[0].Table}
	t.File = t.Name + ".jsonl"
	var take []store.Column
	for _, c := range columns {
		_, sealed := sealedFor[c.Table+"."+c.Name]
		switch {
		case c.Class == "secret",
			slices.Contains(personal, c.Class) && !e.Personal,
			strings.HasSuffix(c.Name, "_sealed") && !sealed,
			c.Table == "blob" && c.Name == "body": // files
			t.LeftOut = append(t.LeftOut, c.Name)
		default:
			take = append(take, c)
			t.Columns = append(t.Columns, ExportedColumn{c.Name, c.Type, c.Class, c.Purpose})
		}
	}
	if len(take) == 0 {
		e.m.Tables = append(e.m.Tables, ExportedTable{Name: t.Name, LeftOut: t.LeftOut})
		return nil
	}
	var rows int64
	if err := tx.Row(`select count(*) from ` + t.Name).Scan(&rows); err != nil {
		return err
	}
	row, end := e.Begin(t.Name, rows)
	defer end()
	f, err := create(filepath.Join(e.Dir, t.File))
	if err != nil {
		return err
	}
	defer f.file.Close()
	names := make([]string, len(take))
	for i, c := range take {
		names[i] = c.Name
	}
	var bodies []string
	err = tx.Each(`select `+strings.Join(names, ",")+` from `+t.Name, nil, func(scan func(...any) error) error {
		values := make([]any, len(take))
		into := make([]any, len(take))
		for i := range values {
			into[i] = &values[i]
		}
		if err := scan(into...); err != nil {
			return err
		}
		line, err := e.line(take, values)
		if err != nil {
			return err
		}
		if t.Name == "blob" {
			bodies = append(bodies, fmt.Sprint(values[slices.Index(names, "month")], "/", values[slices.Index(names, "digest")]))
		}
		t.Rows++
		row()
		_, err = f.Write(line)
		return err
	})
	if err != nil {
		return err
	}
	if t.SHA256, err = f.close(); err != nil {
		return err
	}
	e.m.Tables = append(e.m.Tables, t)
	if e.Personal {
		return e.evidence(tx, bodies)
	}
	return nil
}

// line is a row, its columns in their order.
func (e *exporter) line(columns []store.Column, values []any) ([]byte, error) {
	var b strings.Builder
	for i, c := range columns {
		v := values[i]
		switch x := v.(type) {
		case []byte:
			purpose, sealed := sealedFor[c.Table+"."+c.Name]
			switch {
			case c.Type == "text":
				v = string(x)
			case sealed:
				v = nil // its month's key is destroyed
				if plain, err := e.boxOf(c).Open(purpose, x); err == nil && utf8.Valid(plain) {
					v = string(plain)
				} else if err == nil {
					v = base64.StdEncoding.EncodeToString(plain)
				}
			default:
				v = base64.StdEncoding.EncodeToString(x)
			}
		case int64:
			if c.Type == "boolean" {
				v = x != 0
			}
		}
		value, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, `%c%q:%s`, "{,"[min(i, 1)], c.Name, value)
	}
	b.WriteString("}\n")
	return []byte(b.String()), nil
}

// evidence writes bodies under their month and digest. One whose key is
// destroyed is gone, as it is meant to be.
func (e *exporter) evidence(tx *store.Tx, refs []string) error {
	for _, ref := range refs {
		body, err := e.blobs.Read(tx, ref)
		if err != nil {
			continue
		}
		path := filepath.Join(e.Dir, "evidence", filepath.FromSlash(ref))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// digested is a new file and the digest of what is written to it.
type digested struct {
	file *os.File
	buf  *bufio.Writer
	sum  hash.Hash
	io.Writer
}

func create(path string) (*digested, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	d := &digested{file: f, buf: bufio.NewWriterSize(f, 1<<16), sum: sha256.New()}
	d.Writer = io.MultiWriter(d.buf, d.sum)
	return d, nil
}

// close makes the file durable and gives its digest.
func (d *digested) close() (string, error) {
	if err := d.buf.Flush(); err != nil {
		return "", err
	}
	if err := d.file.Sync(); err != nil {
		return "", err
	}
	return hex.EncodeToString(d.sum.Sum(nil)), d.file.Close()
}

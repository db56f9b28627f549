package mail

import (
	"context"
	"fmt"
	"io"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"

	gomail "github.com/emersion/go-message/mail"
)

// List gives the mails of the outbox, newest first, at most limit. A file that
// is none of ours is left out.
func (o Outbox) List(ctx context.Context, limit int) ([]Message, error) {
	names, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	slices.Reverse(names) // they begin with their date
	var out []Message
	for _, n := range names {
		if len(out) == limit || ctx.Err() != nil {
			break
		}
		if !strings.HasSuffix(n.Name(), ".eml") {
			continue
		}
		if m, err := readMessage(filepath.Join(o.Dir, n.Name())); err == nil {
			out = append(out, m)
		}
	}
	return out, ctx.Err()
}

// readMessage reads what Bytes wrote.
func readMessage(path string) (m Message, err error) {
	f, err := os.Open(path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	r, err := gomail.CreateReader(io.LimitReader(f, 1<<20))
	if err != nil {
		return m, err
	}
	defer r.Close()
	one := func(field string) (a Address, name string) {
		list, err := r.Header.AddressList(field)
		if err != nil || len(list) != 1 {
			return a, ""
		}
		a, _ = ParseAddress((*netmail.Address)(list[0]).Address)
		return a, list[0].Name
	}
	m.From, m.FromName = one("From")
	m.To, _ = one("To")
	if m.Subject, err = r.Header.Subject(); err != nil {
		return m, err
	}
	if m.Date, err = r.Header.Date(); err != nil {
		return m, err
	}
	p, err := r.NextPart()
	if err != nil {
		return m, err
	}
	b, err := io.ReadAll(p.Body)
	m.Body = strings.ReplaceAll(string(b), "\r\n", "\n")
	return m, err
}

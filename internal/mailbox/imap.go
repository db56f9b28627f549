package mailbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"golang.org/x/oauth2"

	"bolwerk"
	"bolwerk/internal/mail"
)

// atOnce is how many mails are listed at a time.
const atOnce = 50

// imapBox is a mailbox by IMAP. Mails are read with PEEK: what is unread stays
// unread until it is moved.
type imapBox struct {
	*imapclient.Client
	cfg      Config
	validity uint32
	release  func() bool
}

// login says how to log in.
type login struct {
	password bolwerk.Secret
	token    oauth2.TokenSource // nil without OAuth
}

func openIMAP(ctx context.Context, cfg Config, l login, roots *tls.Config, dial mail.Dial) (_ box, err error) {
	conn, err := dial(ctx, "tcp", cfg.Server)
	if err != nil {
		return nil, err
	}
	// Nothing below takes a context: the end of ours closes the connection.
	release := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		if err != nil {
			release()
			conn.Close()
			if ctx.Err() != nil {
				err = ctx.Err()
			}
		}
	}()
	host, _, _ := net.SplitHostPort(cfg.Server)
	secured := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if roots != nil {
		secured.RootCAs = roots.RootCAs
	}
	b := &imapBox{cfg: cfg, release: release}
	switch cfg.TLS {
	case mail.TLSRequired:
		if b.Client, err = imapclient.NewStartTLS(conn, &imapclient.Options{TLSConfig: secured}); err != nil {
			return nil, err
		}
	case mail.TLSImplicit:
		b.Client = imapclient.New(tls.Client(conn, secured), nil)
	default:
		b.Client = imapclient.New(conn, nil)
	}
	if err := b.WaitGreeting(); err != nil {
		return nil, err
	}
	if l.token != nil {
		t, err := l.token.Token()
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		err = b.Authenticate(xoauth2{cfg.User, t.AccessToken})
		if err != nil {
			return nil, fmt.Errorf("log-in by XOAUTH2: %w", err)
		}
	} else if err := b.Login(cfg.User, l.password.Reveal()).Wait(); err != nil {
		return nil, fmt.Errorf("log-in: %w", err)
	}
	for _, folder := range []string{cfg.Done, cfg.Aside} {
		if _, err := b.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait(); err == nil {
			continue
		}
		if err := b.Create(folder, nil).Wait(); err != nil {
			return nil, fmt.Errorf("making the folder %s: %w", folder, err)
		}
	}
	selected, err := b.Select(cfg.Folder, nil).Wait()
	if err != nil {
		return nil, fmt.Errorf("opening the folder %s: %w", cfg.Folder, err)
	}
	b.validity = selected.UIDValidity
	return b, nil
}

func (b *imapBox) list(context.Context) ([]letter, error) {
	found, err := b.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagDeleted}}, nil).Wait()
	if err != nil {
		return nil, err
	}
	uids := found.AllUIDs()
	if len(uids) > atOnce {
		uids = uids[:atOnce]
	}
	if len(uids) == 0 {
		return nil, nil
	}
	got, err := b.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{UID: true, RFC822Size: true, InternalDate: true}).Collect()
	if err != nil {
		return nil, err
	}
	var out []letter
	for _, m := range got {
		out = append(out, letter{key: fmt.Sprintf("%d %d", b.validity, m.UID), at: m.InternalDate.UTC(), size: m.RFC822Size})
	}
	if len(out) == 0 {
		return nil, errors.New("the server lists mails and then does not know them")
	}
	return out, nil
}

func (b *imapBox) uid(l letter) imap.UIDSet {
	var validity, uid uint32
	fmt.Sscanf(l.key, "%d %d", &validity, &uid)
	return imap.UIDSetNum(imap.UID(uid))
}

func (b *imapBox) read(_ context.Context, l letter) ([]byte, error) {
	cmd := b.Fetch(b.uid(l), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	defer cmd.Close()
	var raw []byte
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		for item := m.Next(); item != nil; item = m.Next() {
			body, ok := item.(imapclient.FetchItemDataBodySection)
			if !ok || body.Literal == nil || raw != nil {
				continue
			}
			if body.Literal.Size() > MaxMail {
				return nil, errLarge
			}
			var err error
			if raw, err = io.ReadAll(io.LimitReader(body.Literal, MaxMail)); err != nil {
				return nil, err
			}
		}
	}
	if err := cmd.Close(); err != nil {
		return nil, err
	}
	return raw, nil
}

func (b *imapBox) move(_ context.Context, l letter, to string) error {
	_, err := b.Move(b.uid(l), to).Wait()
	return err
}

func (b *imapBox) close() {
	b.Logout().Wait() // the server may be gone: all is done anyway
	b.release()
	b.Client.Close()
}

// xoauth2 is the log-in of Google and Microsoft with a token: "XOAUTH2", one
// message, as their documents describe it.
type xoauth2 struct{ user, token string }

func (x xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers the error that the server explains before it refuses.
func (x xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

var _ sasl.Client = xoauth2{}

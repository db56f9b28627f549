package mailbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// graphBox is a mailbox of Microsoft 365 by Graph v1.0. Ids are asked for as
// immutable ones: they stay when a mail is moved.
type graphBox struct {
	cfg    Config
	client *http.Client // adds the token
	ids    map[string]string
}

// maxAnswer bounds an answer that is no mail.
const maxAnswer = 4 << 20

func openGraph(ctx context.Context, cfg Config, client *http.Client) (box, error) {
	b := &graphBox{cfg: cfg, client: client, ids: map[string]string{}}
	for _, folder := range []string{cfg.Folder, cfg.Done, cfg.Aside} {
		id, err := b.folder(ctx, folder)
		if err != nil {
			return nil, fmt.Errorf("folder %s: %w", folder, err)
		}
		b.ids[folder] = id
	}
	return b, nil
}

// folder gives the id of a folder by its name, and makes it where it is missing.
// INBOX is called so in every language.
func (b *graphBox) folder(ctx context.Context, name string) (string, error) {
	if strings.EqualFold(name, "inbox") {
		return "inbox", nil
	}
	var found struct{ Value []struct{ ID string } }
	filter := url.Values{"$filter": {"displayName eq '" + strings.ReplaceAll(name, "'", "''") + "'"}, "$select": {"id"}}
	if err := b.json(ctx, http.MethodGet, "/mailFolders?"+filter.Encode(), nil, &found); err != nil {
		return "", err
	}
	if len(found.Value) > 0 {
		return found.Value[0].ID, nil
	}
	if name == b.cfg.Folder {
		return "", fmt.Errorf("the mailbox has none of this name")
	}
	var made struct{ ID string }
	err := b.json(ctx, http.MethodPost, "/mailFolders", map[string]string{"displayName": name}, &made)
	return made.ID, err
}

func (b *graphBox) list(ctx context.Context) ([]letter, error) {
	ask := url.Values{"$select": {"id,receivedDateTime"}, "$orderby": {"receivedDateTime"}, "$top": {strconv.Itoa(atOnce)}}
	var got struct {
		Value []struct {
			ID               string
			ReceivedDateTime time.Time
		}
	}
	if err := b.json(ctx, http.MethodGet, "/mailFolders/"+url.PathEscape(b.ids[b.cfg.Folder])+"/messages?"+ask.Encode(), nil, &got); err != nil {
		return nil, err
	}
	var out []letter
	for _, m := range got.Value {
		out = append(out, letter{key: m.ID, at: m.ReceivedDateTime.UTC()})
	}
	return out, nil
}

func (b *graphBox) read(ctx context.Context, l letter) ([]byte, error) {
	res, err := b.do(ctx, http.MethodGet, "/messages/"+url.PathEscape(l.key)+"/$value", nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, MaxMail+1))
	if err == nil && len(raw) > MaxMail {
		err = errLarge
	}
	return raw, err
}

func (b *graphBox) move(ctx context.Context, l letter, to string) error {
	return b.json(ctx, http.MethodPost, "/messages/"+url.PathEscape(l.key)+"/move", map[string]string{"destinationId": b.ids[to]}, nil)
}

func (b *graphBox) close() {}

func (b *graphBox) json(ctx context.Context, method, path string, in, out any) error {
	res, err := b.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(body, out)
}

// do asks once, and again where the server says how long to wait (429, 503), at
// most a minute each time.
func (b *graphBox) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body []byte
	if in != nil {
		body, _ = json.Marshal(in) // strings only
	}
	for try := 1; ; try++ {
		req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(b.cfg.Server, "/")+"/users/"+url.PathEscape(b.cfg.User)+path, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Prefer", `IdType="ImmutableId"`)
		if in != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		res, err := b.client.Do(req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode < 300 {
			return res, nil
		}
		said, _ := io.ReadAll(io.LimitReader(res.Body, 2000))
		res.Body.Close()
		later, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		if (res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusServiceUnavailable) || try == 5 {
			return nil, fmt.Errorf("%s of the mailbox: %s %q", method, res.Status, said)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(time.Duration(max(later, 1))*time.Second, time.Minute)):
		}
	}
}

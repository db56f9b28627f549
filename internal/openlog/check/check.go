// Package check checks a transparency log from outside: by its public key, its
// pages, and a zone that was made from it. It needs nothing of a desk.
package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"bolwerk"
	"bolwerk/internal/openlog"
)

// Log is the log on a public site.
type Log struct {
	base   string
	key    note.Verifier
	client *http.Client
	ctx    context.Context // of the tiles that tlog asks for

	mu    sync.Mutex
	tiles map[string][]byte
}

// maxPage bounds what one page of a log may hold.
const maxPage = 256 * (openlog.MaxLeaf + 2)

// FetchKey asks a site for the key that it says is its own: good enough to look
// on, no proof against who runs the site.
func FetchKey(ctx context.Context, site string, client *http.Client) (string, error) {
	l := &Log{base: strings.TrimSuffix(site, "/") + openlog.Prefix, client: client}
	b, err := l.get(ctx, "key", 1<<10)
	return strings.TrimSpace(string(b)), err
}

// New checks the log at site against key.
func New(site, key string, client *http.Client) (*Log, error) {
	u, err := url.Parse(site)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, bolwerk.WithHint(bolwerk.Invalid("site %q is no web address", site), "give the public site, such as https://shield.example")
	}
	v, err := openlog.ParseKey(key)
	if err != nil {
		return nil, err
	}
	return &Log{base: strings.TrimSuffix(site, "/") + openlog.Prefix, key: v, client: client, tiles: map[string][]byte{}}, nil
}

func (l *Log) get(ctx context.Context, path string, most int64) ([]byte, error) {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+path, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/json, application/octet-stream, text/plain")
		res, err := l.client.Do(req)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
		res.Body.Close()
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode == http.StatusTooManyRequests:
			wait, err := strconv.Atoi(res.Header.Get("Retry-After"))
			if err != nil || wait < 1 || wait > 3600 {
				wait = 60
			}
			t := time.NewTimer(time.Duration(wait) * time.Second)
			select {
			case <-ctx.Done():
				t.Stop()
				return nil, ctx.Err()
			case <-t.C:
			}
			continue
		case res.StatusCode == http.StatusNotFound:
			return nil, bolwerk.NotFound("%s%s: not there", l.base, path)
		case res.StatusCode != http.StatusOK:
			return nil, fmt.Errorf("%s%s: status %d", l.base, path, res.StatusCode)
		case int64(len(b)) > most:
			return nil, bolwerk.Invalid("%s%s: more than %d octets", l.base, path, most)
		}
		return b, nil
	}
}

// Head is the head that the site shows, with a good signature.
func (l *Log) Head(ctx context.Context) (h openlog.Head, signed []byte, err error) {
	if signed, err = l.get(ctx, "checkpoint", openlog.MaxHead); err == nil {
		h, err = openlog.OpenHead(signed, l.key)
	}
	return h, signed, err
}

// Open reads a head that was kept.
func (l *Log) Open(signed []byte) (openlog.Head, error) { return openlog.OpenHead(signed, l.key) }

// Height is that of the tiles: for tlog.TileReader.
func (l *Log) Height() int { return 8 }

// ReadTiles fetches tiles: for tlog.TileReader.
func (l *Log) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, t := range tiles {
		l.mu.Lock()
		b := l.tiles[t.Path()]
		l.mu.Unlock()
		if b == nil {
			if b, err = l.get(l.ctx, t.Path(), maxPage); err != nil {
				return nil, err
			}
		}
		if len(b) != t.W*tlog.HashSize {
			return nil, bolwerk.Invalid("tile %s has %d octets", t.Path(), len(b))
		}
		data = append(data, b)
	}
	return data, nil
}

// SaveTiles keeps tiles that were checked: for tlog.TileReader.
func (l *Log) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, t := range tiles {
		l.tiles[t.Path()] = data[i]
	}
}

// Follows proves that the log of h only grew since old.
func (l *Log) Follows(ctx context.Context, old, h openlog.Head) error {
	switch {
	case old.Origin != h.Origin:
		return bolwerk.WithHint(bolwerk.Conflict("the log is %s now and was %s: it began anew, and what the old one said is no longer shown", h.Origin, old.Origin),
			"an operator does this when a store was restored and no intake was left to give the log back: ask him; then begin with a new --state file")
	case old.Size > h.Size || old.Epoch > h.Epoch:
		return bolwerk.Conflict("the log has %d leaves (epoch %d) and had %d (epoch %d): it was cut", h.Size, h.Epoch, old.Size, old.Epoch)
	case old.Size == 0:
		return nil
	}
	l.ctx = ctx
	tree := tlog.Tree{N: h.Size, Hash: h.Root}
	proof, err := tlog.ProveTree(h.Size, old.Size, tlog.TileHashReader(tree, l))
	if err == nil {
		err = tlog.CheckTree(proof, h.Size, h.Root, old.Size, old.Root)
	}
	if err != nil && ctx.Err() == nil && !isNetwork(err) {
		return bolwerk.Conflict("the log of %d leaves does not follow from the one of %d that was seen before: it was rewritten (%v)", h.Size, old.Size, err)
	}
	return err
}

func isNetwork(err error) bool {
	var u *url.Error
	return errors.As(err, &u)
}

// Leaves gives every leaf of the log of h in order and proves that they are the
// log. Nothing that each was told counts when an error is returned.
func (l *Log) Leaves(ctx context.Context, h openlog.Head, each func(n int64, leaf openlog.Leaf, body []byte) error) error {
	var tree openlog.Range
	for n := int64(0); n*256 < h.Size; n++ {
		t := tlog.Tile{H: 8, L: -1, N: n, W: int(min(256, h.Size-n*256))}
		b, err := l.get(ctx, t.Path(), maxPage)
		if err != nil {
			return err
		}
		all, err := openlog.ParseBundle(b, t.W)
		if err != nil {
			return err
		}
		for _, body := range all {
			leaf, err := openlog.ParseLeaf(body)
			if err != nil {
				return fmt.Errorf("leaf %d: %w", tree.Size, err)
			}
			if err := each(tree.Size, leaf, body); err != nil {
				return err
			}
			tree.Add(tlog.RecordHash(body))
		}
	}
	if tree.Root() != h.Root {
		return bolwerk.Conflict("the leaves that the site shows are not those of its head")
	}
	return nil
}

// Name asks the site to open a name and checks all that it answers. nil is a name
// of which it knows nothing.
func (l *Log) Name(ctx context.Context, name string) ([]openlog.OpenedEntry, error) {
	b, err := l.get(ctx, "names/"+url.PathEscape(name), 1<<20)
	if errors.Is(err, bolwerk.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var o openlog.Opened
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, bolwerk.Invalid("what the site opens of %s: %v", name, err)
	}
	return o.Entries, CheckOpened(o, name, l.key)
}

// CheckOpened checks what a site opened of a name: the signature, every proof,
// and that the salts open the leaves to that name.
func CheckOpened(o openlog.Opened, name string, key note.Verifier) error {
	h, err := openlog.OpenHead([]byte(o.Head), key)
	if err != nil {
		return err
	}
	for _, e := range o.Entries {
		placed, err := checkProved(e.Proved, h)
		if err != nil {
			return err
		}
		var salt []byte
		if _, err := fmt.Sscanf(e.Salt, "%x", &salt); err != nil || placed.Kind != openlog.Placed || !placed.Opens(salt, name) {
			return bolwerk.Conflict("leaf %d does not open to %s", e.Index, name)
		}
		if e.Ended == nil {
			continue
		}
		ended, err := checkProved(*e.Ended, h)
		if err != nil {
			return err
		}
		if ended.Kind != openlog.Ended || ended.Of != e.Index || ended.Ref != placed.Ref {
			return bolwerk.Conflict("leaf %d is not the end of leaf %d", e.Ended.Index, e.Index)
		}
	}
	return nil
}

func checkProved(p openlog.Proved, h openlog.Head) (openlog.Leaf, error) {
	if err := tlog.CheckRecord(p.Proof, h.Size, h.Root, p.Index, tlog.RecordHash([]byte(p.Leaf))); err != nil {
		return openlog.Leaf{}, bolwerk.Conflict("leaf %d is not in the log: %v", p.Index, err)
	}
	return openlog.ParseLeaf([]byte(p.Leaf))
}

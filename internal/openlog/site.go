package openlog

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"bolwerk"
)

// The paths of the log on the public site, under Prefix.
//
//	key           the public key, as golang.org/x/mod/sumdb/note writes it
//	checkpoint    the last signed head
//	tile/8/L/N    the tiles of golang.org/x/mod/sumdb/tlog; tile/8/data/N are the bundles of leaves
//	tile/L/N      the same for clients of C2SP tlog-tiles; tile/entries/N are the bundles
//	names/NAME    what opens the leaves about a name, with proofs
const Prefix = "/log/"

// ServeKey answers with the log's public key.
func (s *Store) ServeKey(w http.ResponseWriter, _ *http.Request) error {
	key := s.Key()
	if key == "" {
		return errNoLog
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	fmt.Fprintln(w, key) // a broken connection is all that can go wrong
	return nil
}

var errNoLog = bolwerk.NotFound("this log has no head yet")

// ServeCheckpoint answers with the last signed head.
func (s *Store) ServeCheckpoint(w http.ResponseWriter, _ *http.Request) error {
	_, signed := s.Head()
	if signed == nil {
		return errNoLog
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Write(signed) // a broken connection is all that can go wrong
	return nil
}

// ServeTile answers with a tile or a bundle.
func (s *Store) ServeTile(w http.ResponseWriter, r *http.Request) error {
	path, ok := strings.CutPrefix(r.URL.Path, Prefix)
	t, err := ParseTile(path)
	if err != nil || !ok {
		return bolwerk.NotFound("there is no such tile")
	}
	b, err := s.Tile(t)
	if err != nil {
		return err
	}
	// A tile never changes, a narrow one is soon followed by a wider one.
	w.Header().Set("Cache-Control", "public, max-age=600, immutable")
	if t.W == tileWidth {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b) // a broken connection is all that can go wrong
	return nil
}

// ParseTile reads a tile's path, as tlog writes it or as tlog-tiles does.
func ParseTile(path string) (tlog.Tile, error) {
	if rest, ok := strings.CutPrefix(path, "tile/"); ok && len(path) < 200 {
		if entries, ok := strings.CutPrefix(rest, "entries/"); ok {
			rest = "data/" + entries
		}
		for _, p := range []string{path, "tile/8/" + rest} {
			if t, err := tlog.ParseTilePath(p); err == nil && t.H == tileHeight && t.L < maxLevels {
				return t, nil
			}
		}
	}
	return tlog.Tile{}, bolwerk.Invalid("%.100q is no path of a tile", path)
}

// Tile gives the octets of a tile; L -1 is a bundle of leaves.
func (s *Store) Tile(t tlog.Tile) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	have := s.tree.Size >> (max(0, t.L) * tileHeight) // of its level
	if t.N < 0 || t.N > have || t.N*tileWidth+int64(t.W) > have || t.W < 1 {
		return nil, bolwerk.NotFound("the log has no such tile yet")
	}
	if t.L < 0 {
		return s.bundle(t.N, t.W)
	}
	b := make([]byte, t.W*tlog.HashSize)
	_, err := s.level[t.L].ReadAt(b, t.N*tileWidth*tlog.HashSize)
	return b, err
}

// Opened is what the log says about a name, with what an outsider needs to
// check it.
type Opened struct {
	Name    string        `json:"name" doc:"the name that was asked for, in A-labels"`
	Head    string        `json:"checkpoint" doc:"the signed head that the proofs lead to"`
	Entries []OpenedEntry `json:"entries" doc:"each time the name was placed, the newest first"`
}

// OpenedEntry is one leaf that commits to the name, and the one that ended it.
type OpenedEntry struct {
	Proved
	Salt  string  `json:"salt" doc:"in hex; HMAC-SHA-256(salt, name) is the leaf's name"`
	Ended *Proved `json:"ended,omitempty" doc:"absent while it is in force"`
}

// Proved is a leaf with its inclusion proof.
type Proved struct {
	Index int64       `json:"index"`
	Leaf  string      `json:"leaf" doc:"the octets that are hashed"`
	Proof []tlog.Hash `json:"proof" doc:"inclusion proof (RFC 6962), from the leaf upward, in base64"`
}

// maxOpened bounds what is told of one name.
const maxOpened = 20

// Look opens what the log says about a name: the newest 20 leaves whose salts
// are kept.
func (s *Store) Look(name bolwerk.Domain) (Opened, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.signed == nil {
		return Opened{}, errNoLog
	}
	out := Opened{Name: name.String(), Head: string(s.signed), Entries: []OpenedEntry{}}
	row := make([]byte, nameSize)
	tag := tagOf(name.String())
	for at := s.byTag[tag]; at > 0 && len(out.Entries) < maxOpened; at = s.before[at-1] {
		n := int64(at - 1)
		if _, err := s.names.ReadAt(row, n*nameSize); err != nil {
			return out, err
		}
		p, err := s.proved(n)
		if err != nil {
			return out, err
		}
		leaf, err := ParseLeaf([]byte(p.Leaf))
		if err != nil || !leaf.Opens(row[TagSize+8:], name.String()) {
			continue // forgotten, or another name with this tag
		}
		e := OpenedEntry{Proved: p, Salt: fmt.Sprintf("%x", row[TagSize+8:])}
		if end := int64(binary.BigEndian.Uint64(row[TagSize:])); end > 0 {
			p, err := s.proved(end)
			if err != nil {
				return out, err
			}
			e.Ended = &p
		}
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}

func (s *Store) proved(n int64) (p Proved, err error) {
	p.Index = n
	leaf, err := s.leaf(n)
	if err != nil {
		return p, err
	}
	p.Leaf = string(leaf)
	proof, err := tlog.ProveRecord(s.tree.Size, n, tlog.HashReaderFunc(s.hashes))
	p.Proof = append([]tlog.Hash{}, proof...)
	return p, err
}

package lookup

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bolwerk"
)

// Entry is one certificate of a log.
type Entry struct {
	Index  int64
	At     time.Time // when the log took it
	Names  []string  // its DNS names, lower case; a wildcard without "*."
	Issuer string
	From   time.Time // not before
}

// Log is a certificate transparency log: one of RFC 6962 by get-sth and
// get-entries, or a static one by its tiles (C2SP static-ct-api v1.0).
type Log struct {
	Client *http.Client
	URL    string // without a final slash
	Static bool
}

// Bounds of what is read of a log.
const (
	maxSTH     = 64 << 10
	maxEntries = 64 << 20 // one answer of get-entries, or one data tile of 256 certificates with precertificates
	tileWidth  = 256
	maxNames   = 200 // of one certificate
)

// Size is how many certificates the log has. Its signature is not checked: what
// the log says moves a queue, it blocks nothing.
func (l Log) Size(ctx context.Context) (int64, error) {
	if l.Static {
		b, err := l.get(ctx, "/checkpoint", maxSTH)
		if err != nil {
			return 0, err
		}
		lines := strings.SplitN(string(b), "\n", 3) // C2SP tlog-checkpoint: origin, size
		if len(lines) < 3 {
			return 0, bolwerk.Invalid("a checkpoint of %d lines", len(lines))
		}
		n, err := strconv.ParseInt(lines[1], 10, 64)
		if err != nil || n < 0 {
			return 0, bolwerk.Invalid("a checkpoint of size %.40q", lines[1])
		}
		return n, nil
	}
	b, err := l.get(ctx, "/ct/v1/get-sth", maxSTH)
	if err != nil {
		return 0, err
	}
	var sth struct {
		Size int64 `json:"tree_size"`
	}
	if err := json.Unmarshal(b, &sth); err != nil || sth.Size < 0 {
		return 0, bolwerk.Invalid("a signed tree head without a size")
	}
	return sth.Size, nil
}

// Read gives certificates from an index on, of a log of that size: as many as the
// log gives at once, at least one. A certificate that cannot be read is left out;
// next is where to go on.
func (l Log) Read(ctx context.Context, from, size int64) (out []Entry, next int64, err error) {
	if from < 0 || from >= size {
		return nil, from, bolwerk.Invalid("entry %d of %d", from, size)
	}
	if l.Static {
		return l.readTile(ctx, from, size)
	}
	b, err := l.get(ctx, fmt.Sprintf("/ct/v1/get-entries?start=%d&end=%d", from, min(from+tileWidth, size)-1), maxEntries)
	if err != nil {
		return nil, from, err
	}
	var got struct {
		Entries []struct {
			Leaf  string `json:"leaf_input"`
			Extra string `json:"extra_data"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(b, &got); err != nil || len(got.Entries) == 0 || int64(len(got.Entries)) > size-from {
		return nil, from, bolwerk.Invalid("%d entries from %d of %d", len(got.Entries), from, size)
	}
	for i, e := range got.Entries {
		leaf, err1 := base64.StdEncoding.DecodeString(e.Leaf)
		extra, err2 := base64.StdEncoding.DecodeString(e.Extra)
		if err1 != nil || err2 != nil {
			continue
		}
		if entry, err := parseLeaf(leaf, extra); err == nil {
			entry.Index = from + int64(i)
			out = append(out, entry)
		}
	}
	return out, from + int64(len(got.Entries)), nil
}

func (l Log) readTile(ctx context.Context, from, size int64) ([]Entry, int64, error) {
	tile, width := from/tileWidth, int64(tileWidth)
	path := "/tile/data/" + tileName(tile)
	if left := size - tile*tileWidth; left < tileWidth {
		width = left
		path += ".p/" + strconv.FormatInt(width, 10)
	}
	b, err := l.get(ctx, path, maxEntries)
	if err != nil {
		return nil, from, err
	}
	var out []Entry
	for i := range width {
		e, rest, err := parseTileLeaf(b)
		if errors.Is(err, errCut) {
			return nil, from, bolwerk.Invalid("data tile %d is cut at certificate %d of %d", tile, i, width)
		}
		b = rest
		if at := tile*tileWidth + i; at >= from && err == nil {
			e.Index = at
			out = append(out, e)
		}
	}
	return out, tile*tileWidth + width, nil
}

// tileName writes a tile's number in groups of three digits, all but the last
// with an x before them (C2SP tlog-tiles).
func tileName(n int64) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	return s
}

func (l Log) get(ctx context.Context, path string, most int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.URL+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := l.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("log: %s answered %s", req.URL.Host, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err == nil && int64(len(b)) > most {
		err = bolwerk.Invalid("an answer of the log of more than %d octets", most)
	}
	return b, err
}

var errCut = errors.New("cut")

// take gives the vector whose length stands in its first octets, and what is
// behind it.
func take(b []byte, octets int) (v, rest []byte, ok bool) {
	if len(b) < octets {
		return nil, nil, false
	}
	n := 0
	for _, o := range b[:octets] {
		n = n<<8 | int(o)
	}
	b = b[octets:]
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// The types of entries, RFC 6962 section 3.1.
const (
	x509Entry    = 0
	precertEntry = 1
)

// parseLeaf reads leaf_input and extra_data of RFC 6962 sections 3.4 and 4.6. Of
// a precertificate the names are read of what was submitted, in extra_data.
func parseLeaf(leaf, extra []byte) (Entry, error) {
	if len(leaf) < 12 || leaf[0] != 0 || leaf[1] != 0 {
		return Entry{}, bolwerk.Invalid("a leaf that is not of version 1")
	}
	at := stamp(leaf[2:10])
	from := leaf[12:]
	if binary.BigEndian.Uint16(leaf[10:12]) == precertEntry {
		from = extra
	}
	der, _, ok := take(from, 3)
	if !ok {
		return Entry{}, errCut
	}
	return certificate(der, at)
}

// parseTileLeaf reads one TileLeaf of a data tile and gives what is behind it.
// An error that is not errCut means that this certificate cannot be read.
func parseTileLeaf(b []byte) (e Entry, rest []byte, err error) {
	if len(b) < 10 {
		return e, nil, errCut
	}
	at, kind := stamp(b[:8]), binary.BigEndian.Uint16(b[8:10])
	b = b[10:]
	if kind == precertEntry {
		if len(b) < 32 {
			return e, nil, errCut
		}
		b = b[32:]
	} else if kind != x509Entry {
		return e, nil, errCut // where it ends is not known
	}
	der, b, ok := take(b, 3)
	if ok {
		_, b, ok = take(b, 2) // extensions
	}
	if ok && kind == precertEntry {
		der, b, ok = take(b, 3)
	}
	if ok {
		_, b, ok = take(b, 2) // fingerprints of the chain
	}
	if !ok {
		return e, nil, errCut
	}
	e, err = certificate(der, at)
	return e, b, err
}

func stamp(b []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b) & (1<<48 - 1))).UTC()
}

// certificate takes the names out of a certificate or precertificate.
func certificate(der []byte, at time.Time) (Entry, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{At: at, Issuer: line(c.Issuer.CommonName), From: c.NotBefore.UTC()}
	for _, n := range append(c.DNSNames, c.Subject.CommonName) {
		d, err := bolwerk.ParseDomain(strings.TrimPrefix(strings.ToLower(n), "*."))
		if err != nil || d.Labels() < 2 || len(e.Names) == maxNames {
			continue
		}
		e.Names = append(e.Names, d.String())
	}
	slices.Sort(e.Names)
	e.Names = slices.Compact(e.Names)
	return e, nil
}

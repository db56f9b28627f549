package reading

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"
)

// readShortcut reads a file that opens an address: .url and .website of Windows,
// .desktop of Linux, .webloc of macOS (XML or binary).
func (l *leaf) readShortcut(e *evidence, ending string) string {
	d := l.decoded(e.c)
	via := append(slices.Clone(e.via), "shortcut"+ending)
	if bytes.HasPrefix(d.body, []byte("bplist0")) {
		for _, s := range plistStrings(d.body) {
			e.c.scanText(clean(s), e.role, via)
		}
		return ""
	}
	s := clean(d.text(e))
	if strings.Contains(s[:min(len(s), 400)], "<plist") || strings.Contains(s[:min(len(s), 400)], "<?xml") {
		e.c.scanText(parsePage(s, e.c.seen.tlds).text, e.role, via)
		return ""
	}
	for line := range strings.Lines(s) {
		// IconFile and the like are loaded, but nobody is led there.
		key, val, ok := strings.Cut(strings.TrimSpace(line), "=")
		switch key = strings.ToLower(strings.TrimSpace(key)); {
		case !ok:
			e.c.scanText(line, e.role, via)
		case strings.HasPrefix(key, "url"), key == "exec", key == "baseurl", key == "origurl":
			e.c.scanText(val, e.role, via)
		default:
			e.c.scanText(val, Style, via)
		}
	}
	return ""
}

// plistStrings gives the texts of a binary property list, in the order of its
// table of objects.
func plistStrings(b []byte) (out []string) {
	if len(b) < 40 {
		return nil
	}
	t := b[len(b)-32:]
	size, count, table := int(t[6]), binary.BigEndian.Uint64(t[8:]), binary.BigEndian.Uint64(t[24:])
	if size < 1 || size > 8 || table >= uint64(len(b)) {
		return nil
	}
	count = min(count, 10_000, (uint64(len(b))-table)/uint64(size))
	for i := range int(count) {
		at := uint64(0)
		for _, c := range b[int(table)+i*size : int(table)+(i+1)*size] {
			at = at<<8 | uint64(c)
		}
		if at >= uint64(len(b)) {
			continue
		}
		if s := plistString(b[at:]); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func plistString(b []byte) string {
	kind, n := b[0]>>4, int(b[0]&15)
	b = b[1:]
	if kind != 5 && kind != 6 {
		return ""
	}
	if n == 15 { // the length follows, as an integer
		if len(b) < 2 || b[0]>>4 != 1 || b[0]&15 > 2 {
			return ""
		}
		w := 1 << (b[0] & 15)
		if len(b) < 1+w {
			return ""
		}
		n = 0
		for _, c := range b[1 : 1+w] {
			n = n<<8 | int(c)
		}
		b = b[1+w:]
	}
	n = min(n, MaxURLBytes)
	if kind == 5 {
		return string(b[:min(n, len(b))])
	}
	units := make([]uint16, min(n, len(b)/2))
	for i := range units {
		units[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

package unwrap

import (
	"net/url"
	"strings"
)

func unescape(s string) (string, error) { return url.PathUnescape(s) }

// proofpoint2 writes "-" for "%" and "_" for "/" in an encoded address.
func proofpoint2(l link) string {
	if l.path != "/v2/url" {
		return ""
	}
	v, err := url.PathUnescape(l.raw("u"))
	if err != nil {
		return ""
	}
	v, err = url.PathUnescape(strings.NewReplacer("-", "%", "_", "/").Replace(v))
	if err != nil {
		return ""
	}
	return v
}

// runs are the letters that say how many characters "**" stands for, from two on.
const runs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// proofpoint3 has the address between "__" and "__;", with a "*" for each
// character that may not stand in a path and "**X" for a run of them. They
// follow in base64, up to an exclamation mark.
func proofpoint3(l link) string {
	rest, ok := strings.CutPrefix(l.rest, "/v3/__")
	if !ok {
		return ""
	}
	text, tail, ok := strings.Cut(rest, "__;")
	if !ok {
		return ""
	}
	code, _, _ := strings.Cut(tail, "!")
	packed, ok := fromBase64(code)
	if !ok {
		return ""
	}
	left := []rune(packed)
	take := func(n int) (string, bool) {
		if n > len(left) {
			return "", false
		}
		s := string(left[:n])
		left = left[n:]
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '*' {
			b.WriteByte(text[i])
			continue
		}
		n := 1
		if i+2 < len(text) && text[i+1] == '*' {
			at := strings.IndexByte(runs, text[i+2])
			if at < 0 {
				return ""
			}
			n = at + 2
			i += 2
		}
		s, ok := take(n)
		if !ok {
			return ""
		}
		b.WriteString(s)
	}
	return b.String()
}

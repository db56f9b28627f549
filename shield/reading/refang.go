package reading

import "strings"

// Refang undoes how people write links so that nobody follows them by accident.
func Refang(s string) string {
	s, _ = refang(s)
	return s
}

// refang undoes how people write links so that nobody follows them by accident:
// hxxp, h**p, h__p, [:], [://], [/], [.], (.), {.}, (dot), [punt], (point),
// [punkt] and \. between the characters of a name. places are where something
// was changed, as places in the new text, in order. One pass, no backtracking.
func refang(s string) (out string, places []int) {
	var b strings.Builder
	last := 0 // s[:last] is in b
	for i := 0; i < len(s); {
		j := strings.IndexAny(s[i:], "hH[({\\")
		if j < 0 {
			break
		}
		i += j
		from, to, with := i, 0, ""
		switch s[i] {
		case 'h', 'H':
			to, with = fangedScheme(s, i)
		case '\\':
			if i > 0 && i+2 < len(s) && s[i+1] == '.' && nameByte(s[i-1]) && nameByte(s[i+2]) {
				to, with = i+2, "."
			}
		default:
			from, to, with = fangedDot(s, last, i)
		}
		if to == 0 {
			i++
			continue
		}
		b.WriteString(s[last:from])
		places = append(places, b.Len())
		b.WriteString(with)
		i, last = to, to
	}
	if last == 0 {
		return s, nil
	}
	b.WriteString(s[last:])
	return b.String(), places
}

// fangedScheme reads a scheme with its colon and slashes at s[i]; to is 0 where
// there is none, or nothing is to be undone.
func fangedScheme(s string, i int) (to int, with string) {
	if i > 0 && (nameByte(s[i-1]) && s[i-1] < 0x80) || len(s)-i < 6 {
		return 0, ""
	}
	middle := strings.ToLower(s[i+1 : i+3])
	if s[i+3]|0x20 != 'p' || middle != "tt" && middle != "xx" && middle != "**" && middle != "__" {
		return 0, ""
	}
	with, to = "http", i+4
	if s[to]|0x20 == 's' {
		with, to = "https", to+1
	}
	begin := to
	rest := s[to:min(len(s), to+16)]
	rest = strings.TrimPrefix(rest, " ")
	for _, sep := range []string{"[://]", "(://)", "{://}", "[:]", "(:)", "{:}", ":", ""} {
		if after, ok := strings.CutPrefix(rest, sep); ok {
			rest = after
			whole := len(sep) == 5
			for n := 0; n < 2 && !whole; n++ {
				switch {
				case strings.HasPrefix(rest, "[//]"):
					rest, whole = rest[4:], true
				case strings.HasPrefix(rest, "[/]"):
					rest = rest[3:]
				case strings.HasPrefix(rest, "/"), strings.HasPrefix(rest, `\`):
					rest = rest[1:]
				default:
					return 0, ""
				}
			}
			break
		}
	}
	to = min(len(s), begin+16) - len(rest)
	if middle == "tt" && (s[begin:to] == "://" || s[begin:to] == `:\\`) {
		return 0, ""
	}
	return to, with + "://"
}

// fangedDot reads a dot in brackets at s[i], with at most one blank on each
// side; it takes nothing before floor.
func fangedDot(s string, floor, i int) (from, to int, with string) {
	closing := map[byte]byte{'[': ']', '(': ')', '{': '}'}[s[i]]
	end := strings.IndexByte(s[i:min(len(s), i+10)], closing)
	if end < 0 {
		return 0, 0, ""
	}
	switch strings.ToLower(strings.TrimSpace(s[i+1 : i+end])) {
	case ".", "dot", "punt", "point", "punkt":
	default:
		return 0, 0, ""
	}
	from, to = i, i+end+1
	if from > floor && blank(s[from-1]) {
		from--
	}
	if to < len(s) && blank(s[to]) {
		to++
	}
	if from == 0 || to >= len(s) || !nameByte(s[from-1]) || !nameByte(s[to]) {
		return 0, 0, ""
	}
	return from, to, "."
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func nameByte(c byte) bool {
	return c >= 0x80 || c == '-' || c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

package reading

import "strings"

// joinLines joins addresses that a page or a picture broke at the end of a line.
// Where the break can only be within an address, the line end is taken out;
// where it may be, the joined address comes in more, beside the unjoined text.
func joinLines(text string) (joined string, more []string) {
	lines := strings.Split(text, "\n")
	var b strings.Builder
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		for joins := 0; i+1 < len(lines) && joins < 8; joins++ {
			tail := lastWord(line)
			if !startsAddress(tail) {
				break
			}
			next := strings.TrimLeft(lines[i+1], " ")
			word, _, _ := strings.Cut(next, " ")
			sure, may := continues(tail, word, strings.TrimSpace(next) == word)
			if !sure {
				if may && len(more) < 100 {
					more = append(more, tail+word)
				}
				break
			}
			line += next
			i++
		}
		if i > 0 && b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	return b.String(), more
}

func lastWord(line string) string { return line[strings.LastIndexByte(line, ' ')+1:] }

func startsAddress(w string) bool {
	return len(w) < MaxURLBytes && (schemeAt(w+"   ") >= 0 || strings.HasPrefix(strings.ToLower(w), "www."))
}

// continues says whether a word can be the rest of the address before it: sure,
// or perhaps.
func continues(address, word string, alone bool) (sure, may bool) {
	if word == "" || len(word) > 2000 || startsAddress(word) || strings.ContainsAny(word, "<>\"@") {
		return false, false
	}
	first, end := word[0], address[len(address)-1]
	looks := strings.ContainsAny(word, "/?=&%_~#") || strings.Contains(strings.Trim(word, ".,;:!?"), ".")
	if !looks && strings.ContainsAny(word, "0123456789") && strings.ContainsAny(word, "abcdefghijklmnopqrstuvwxyz") {
		looks = true
	}
	switch {
	case strings.IndexByte("-?=&_%", end) >= 0 && first > ' ' && first < 0x7f:
		return true, true
	case strings.IndexByte("/.", end) >= 0 && looks && !strings.HasSuffix(address, "//"):
		return true, true
	case strings.HasSuffix(address, "//"):
		return true, true
	case strings.IndexByte("/?&=#%-_.", first) >= 0 && len(word) > 1 && word[1] > ' ':
		return true, true
	}
	return false, looks || alone && first >= 'a' && first <= 'z'
}

package reading

import (
	"bytes"
	"strings"
)

// pdfParser reads values.
type pdfParser struct {
	b  []byte
	at int
	f  *pdfFile
	// endless says that no "endstream" follows.
	endless bool
}

func pdfSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0 || c == '\f'
}

func pdfDelimiter(c byte) bool { return strings.IndexByte("()<>[]{}/%", c) >= 0 }

func (p *pdfParser) skip() {
	for p.at < len(p.b) {
		c := p.b[p.at]
		if c == '%' {
			for p.at < len(p.b) && p.b[p.at] != '\n' && p.b[p.at] != '\r' {
				p.at++
			}
		} else if !pdfSpace(c) {
			return
		} else {
			p.at++
		}
	}
}

// pdfEnd is what value gives at the end of the bytes.
type pdfEnd struct{}

// pdfClose is a bracket that closes what encloses it.
type pdfClose byte

// value reads one value, a word or a closing bracket.
func (p *pdfParser) value(depth int) any {
	p.skip()
	if p.at >= len(p.b) {
		return pdfEnd{}
	}
	if p.f.values++; p.f.values > maxPDFValues {
		p.f.cut = true
		p.at = len(p.b)
		return pdfEnd{}
	}
	c := p.b[p.at]
	switch {
	case c == '/':
		return p.name()
	case c == '(':
		return p.literal()
	case c == '<' && p.at+1 < len(p.b) && p.b[p.at+1] == '<':
		p.at += 2
		if depth >= maxPDFDepth {
			return pdfEnd{}
		}
		return p.dictionary(depth)
	case c == '<':
		return p.hexString()
	case c == '>':
		p.at++
		if p.at < len(p.b) && p.b[p.at] == '>' {
			p.at++
		}
		return pdfClose('>')
	case c == '[':
		p.at++
		if depth >= maxPDFDepth {
			return pdfEnd{}
		}
		a := pdfArray{}
		for {
			switch v := p.value(depth + 1).(type) {
			case pdfEnd, pdfClose:
				return a
			case pdfWord:
				if v == "endobj" || v == "endstream" {
					return a
				}
				if v == "null" {
					a = append(a, nil)
				}
			default:
				a = append(a, v)
			}
		}
	case c == ']':
		p.at++
		return pdfClose(']')
	case c == '{' || c == '}' || c == ')':
		p.at++
		return pdfWord(string(c))
	case c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.':
		return p.number()
	}
	begin := p.at
	for p.at < len(p.b) && !pdfSpace(p.b[p.at]) && !pdfDelimiter(p.b[p.at]) {
		p.at++
	}
	switch w := string(p.b[begin:min(p.at, begin+64)]); w {
	case "true":
		return true
	case "false":
		return false
	default:
		return pdfWord(w)
	}
}

func (p *pdfParser) dictionary(depth int) any {
	d := pdfDict{}
	for {
		k := p.value(depth + 1)
		name, ok := k.(pdfName)
		if !ok {
			switch k := k.(type) {
			case pdfEnd:
				return d
			case pdfClose:
				if k == '>' {
					return d
				}
			case pdfWord:
				if k == "endobj" || k == "stream" {
					p.at -= len(k)
					return d
				}
			}
			continue
		}
		before := p.at
		switch v := p.value(depth + 1).(type) {
		case pdfEnd:
			return d
		case pdfClose:
			if v == '>' {
				return d
			}
		case pdfWord:
			if v == "endobj" || v == "stream" {
				p.at = before
				return d
			}
		default:
			d[name] = v
		}
	}
}

func (p *pdfParser) name() pdfName {
	p.at++
	begin := p.at
	for p.at < len(p.b) && !pdfSpace(p.b[p.at]) && !pdfDelimiter(p.b[p.at]) {
		p.at++
	}
	s := p.b[begin:min(p.at, begin+200)]
	if !bytes.Contains(s, []byte("#")) {
		return pdfName(s)
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '#' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16 {
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		} else {
			out = append(out, s[i])
		}
	}
	return pdfName(out)
}

// number reads a number, or the reference that begins with it.
func (p *pdfParser) number() any {
	n, whole := p.plain()
	if !whole || n < 0 {
		return n
	}
	// "12 0 R"
	q := *p
	q.skip()
	if q.at < len(q.b) && q.b[q.at] >= '0' && q.b[q.at] <= '9' {
		if gen, whole := q.plain(); whole && gen < 65536 {
			q.skip()
			if q.at < len(q.b) && q.b[q.at] == 'R' && (q.at+1 == len(q.b) || pdfSpace(q.b[q.at+1]) || pdfDelimiter(q.b[q.at+1])) {
				p.at = q.at + 1
				return pdfRef{int(min(n, 1<<30)), int(gen)}
			}
		}
	}
	return n
}

func (p *pdfParser) plain() (n float64, whole bool) {
	sign, scale := 1.0, 0.0
	for ; p.at < len(p.b); p.at++ {
		switch c := p.b[p.at]; {
		case c == '-':
			sign = -1
		case c == '+':
		case c == '.':
			scale = max(scale, 1)
		case c >= '0' && c <= '9':
			if scale > 0 {
				scale /= 10
				n += float64(c-'0') * scale
			} else if n < 1e15 {
				n = n*10 + float64(c-'0')
			}
		default:
			return sign * n, scale == 0
		}
	}
	return sign * n, scale == 0
}

func (p *pdfParser) literal() pdfString {
	p.at++
	var out []byte
	for depth := 1; p.at < len(p.b); p.at++ {
		c := p.b[p.at]
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.at++
				return pdfString(out)
			}
		case '\r':
			if p.at+1 < len(p.b) && p.b[p.at+1] == '\n' {
				p.at++
			}
			c = '\n'
		case '\\':
			p.at++
			if p.at >= len(p.b) {
				return pdfString(out)
			}
			switch c = p.b[p.at]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case '\n':
				continue
			case '\r':
				if p.at+1 < len(p.b) && p.b[p.at+1] == '\n' {
					p.at++
				}
				continue
			case '0', '1', '2', '3', '4', '5', '6', '7':
				v := int(c - '0')
				for range 2 {
					if p.at+1 < len(p.b) && p.b[p.at+1] >= '0' && p.b[p.at+1] <= '7' {
						p.at++
						v = v*8 + int(p.b[p.at]-'0')
					}
				}
				c = byte(v)
			}
		}
		out = append(out, c)
	}
	return pdfString(out)
}

func (p *pdfParser) hexString() pdfString {
	p.at++
	var out []byte
	half, have := byte(0), false
	for ; p.at < len(p.b); p.at++ {
		c := p.b[p.at]
		if c == '>' {
			p.at++
			break
		}
		v := unhex(c)
		if v > 15 {
			continue
		}
		if have {
			out = append(out, half<<4|v)
		}
		half, have = v, !have
	}
	if have {
		out = append(out, half<<4)
	}
	return pdfString(out)
}

// stream gives the bytes behind the word "stream", if it comes next.
func (p *pdfParser) stream(d pdfDict) ([]byte, bool) {
	p.skip()
	if !bytes.HasPrefix(p.b[p.at:], []byte("stream")) {
		return nil, false
	}
	p.at += len("stream")
	if p.at < len(p.b) && p.b[p.at] == '\r' {
		p.at++
	}
	if p.at < len(p.b) && p.b[p.at] == '\n' {
		p.at++
	}
	rest := p.b[p.at:]
	// The length counts where "endstream" follows; else the word does.
	if n, ok := d["Length"].(float64); ok && n >= 0 && int(n) <= len(rest) {
		if tail := bytes.TrimLeft(rest[int(n):min(len(rest), int(n)+16)], "\r\n \x00"); bytes.HasPrefix(tail, []byte("endst")) {
			p.at += int(n)
			return rest[:int(n)], true
		}
	}
	end := -1
	if !p.endless {
		end = bytes.Index(rest, []byte("endstream"))
	}
	if end < 0 {
		p.endless = true // none from here on: looking again and again would take for ever
		if end = bytes.Index(rest, []byte("endobj")); end < 0 {
			end = len(rest)
		}
	}
	p.at += end
	b := rest[:end]
	if n, ok := p.f.get(d["Length"]).(float64); ok && n >= 0 && int(n) < len(b) && len(b)-int(n) <= 2 {
		return b[:int(n)], true
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r")), true
}

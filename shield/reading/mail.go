package reading

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// Mail reads one mail as it came over SMTP or out of a file: RFC 5322 and MIME,
// and everything near it that mail programs still show.
func Mail(raw []byte, opt Option) Result {
	limit := MaxBytes
	if opt.MaxBytes > 0 && opt.MaxBytes < limit {
		limit = opt.MaxBytes
	}
	var c collector
	if len(raw) > limit {
		c.warn("mail of %d bytes: the first %d are read", len(raw), limit)
		raw = raw[:limit]
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		c.warn("nothing in it")
		return c.result(Result{Kind: Unreadable})
	}
	m := walk(raw, &c)
	return m.result(&c, opt)
}

// mailbag is a mail taken apart.
type mailbag struct {
	outer  header
	inner  []header // of attached mails, in order of appearance, at any depth
	leaves []leaf
	bounce bool
	depth  int
}

// leaf is a part without parts.
type leaf struct {
	mail     int // 0: the outer mail; n: inner[n-1]
	kind     string
	name     string // file name
	attached bool
	charset  string
	cte      string
	body     []byte // as it was sent
	via      []string
}

// todo is an entity that waits to be taken apart.
type todo struct {
	raw    []byte
	mail   int
	isMail bool
	depth  int
	normal string // media type where no field tells
	via    []string
}

// walk takes a mail apart without recursion. Each byte is looked at once for
// every level that it lies in, and the levels are bounded.
func walk(raw []byte, c *collector) mailbag {
	var m mailbag
	stack := []todo{{raw: raw, isMail: true, normal: "text/plain"}}
	for first := true; len(stack) > 0; first = false {
		e := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		m.depth = max(m.depth, e.depth)
		if e.isMail {
			e.raw = bytes.TrimLeft(e.raw, "\r\n") // pasted mails begin with them
		}
		h, body := splitHeader(e.raw, c)
		if e.isMail {
			if first {
				m.outer = h
				if len(h) == 0 {
					c.warn("no mail header: read as text")
					body = e.raw
				}
			} else {
				m.inner = append(m.inner, h)
				e.mail = len(m.inner)
			}
		}
		kind, params := mediaType(h.get("content-type"))
		disposition, more := mediaType(h.get("content-disposition"))
		name := decodeWords(firstOf(more["filename"], params["name"], params["filename"]))
		if kind == "" || !strings.Contains(kind, "/") {
			kind = e.normal
		}
		l := leaf{mail: e.mail, kind: kind, name: name, attached: disposition == "attachment",
			charset: params["charset"], cte: h.get("content-transfer-encoding"), body: body, via: e.via}
		if first && kind == "multipart/report" && strings.EqualFold(params["report-type"], "delivery-status") {
			m.bounce = true
		}
		if strings.HasPrefix(kind, "multipart/") && e.depth < MaxNesting {
			room := MaxParts - len(stack) - len(m.leaves)
			parts := split(body, params["boundary"], room)
			if len(parts) > 0 {
				normal := "text/plain"
				if kind == "multipart/digest" {
					normal = "message/rfc822"
				}
				if len(parts) == room {
					c.warn("more than %d parts: the rest is read as text", MaxParts)
				}
				for _, p := range slices.Backward(parts) {
					stack = append(stack, todo{raw: p, mail: e.mail, depth: e.depth + 1, normal: normal, via: e.via})
				}
				continue
			}
			c.warn("multipart without parts: read as text")
			l.kind = "text/plain"
		} else if strings.HasPrefix(kind, "multipart/") {
			c.warn("parts nested deeper than %d: read as text", MaxNesting)
			l.kind = "text/plain"
		}
		if inner, how, ok := l.mailWithin(c); ok {
			switch {
			case e.depth >= MaxNesting:
				c.warn("parts nested deeper than %d: read as text", MaxNesting)
				l.kind = "text/plain"
			case len(m.inner)+countMails(stack) >= MaxMails:
				c.warn("more than %d attached mails: the rest is not read", MaxMails)
				continue
			default:
				stack = append(stack, todo{raw: inner, isMail: true, depth: e.depth + 1, normal: "text/plain",
					via: append(slices.Clone(e.via), how)})
				continue
			}
		}
		m.leaves = append(m.leaves, l)
	}
	return m
}

func countMails(stack []todo) (n int) {
	for _, t := range stack {
		if t.isMail {
			n++
		}
	}
	return n
}

func firstOf(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

// split cuts a multipart body at its boundary lines (RFC 2046 section 5.1.1). A
// missing closing line is forgiven. Preamble and epilogue are no parts. The last
// of limit parts holds all that follows.
func split(body []byte, boundary string, limit int) [][]byte {
	if boundary == "" || limit < 1 {
		return nil
	}
	delimiter := []byte("--" + boundary)
	var parts [][]byte
	begin := -1
	for at := 0; at <= len(body); {
		i := bytes.Index(body[at:], delimiter)
		if i < 0 {
			break
		}
		i += at
		end := i + len(delimiter)
		at = end
		if i > 0 && body[i-1] != '\n' {
			continue
		}
		rest, _ := cutLine(body[end:])
		closing := bytes.HasPrefix(rest, []byte("--"))
		if !closing && len(bytes.TrimRight(rest, " \t\r")) > 0 {
			continue // a longer boundary that begins like ours
		}
		if begin >= 0 {
			if len(parts) == limit-1 {
				break
			}
			parts = append(parts, bytes.TrimSuffix(bytes.TrimSuffix(body[begin:i], []byte("\n")), []byte("\r")))
		}
		begin = min(len(body), end+len(rest)+1)
		if begin < len(body) && body[begin-1] == '\r' {
			begin++
		}
		if closing {
			return parts
		}
	}
	if begin >= 0 && begin <= len(body) {
		parts = append(parts, body[begin:])
	}
	return parts
}

// mailWithin says whether a leaf is an attached mail: message/rfc822 with or
// without file name, a file *.eml, and files without a telling type that begin
// as a mail does.
func (l *leaf) mailWithin(c *collector) (raw []byte, how string, ok bool) {
	ending := strings.ToLower(path.Ext(l.name))
	sniff := false
	switch {
	case l.kind == "message/rfc822" || l.kind == "message/global":
		how = "message/rfc822"
	case ending == ".eml":
		how = "file:eml"
	case l.kind == "application/octet-stream" || l.attached && l.kind == "text/plain" || l.kind == "application/x-unknown":
		how, sniff = "file:mail", true
	default:
		return nil, "", false
	}
	decoded, _ := decodeTransfer(l.body, l.cte, &collector{})
	switch {
	case looksLikeMail(decoded):
		return decoded, how, true
	case looksLikeMail(l.body):
		return l.body, how, true
	case sniff:
		return nil, "", false
	case how == "message/rfc822":
		return decoded, how, true
	}
	c.warn("file %q holds no mail", shorten(value(l.name), 80))
	return nil, "", false
}

// result reads the leaves and puts both sides together.
func (m *mailbag) result(c *collector, opt Option) Result {
	r := Result{Kind: Plain, Drill: m.outer.drill()}
	outer := m.outer.head(c)
	switch {
	case opt.Evidence:
		r.Inner = outer
	case m.bounce:
		r.Kind, r.Outer = Bounce, outer
	default:
		r.Outer = outer
	}
	if len(m.inner) > 0 && !opt.Evidence {
		if !m.bounce {
			r.Kind = Attached
		}
		r.Inner = m.inner[0].head(c)
		for _, h := range m.inner {
			r.Drill = firstOf(r.Drill, h.drill())
		}
		if len(m.inner) > 1 {
			c.warn("%d attached mails: the head is the first one's", len(m.inner))
		}
	}
	var texts []string
	doubtful := false
	for i := range m.leaves {
		l := &m.leaves[i]
		e := evidence{c: c, role: Lure, via: l.via}
		if l.mail == 0 && !opt.Evidence {
			if len(m.inner) > 0 {
				e.role = Reporter
			} else if !l.attached {
				e.forwards, e.reply = true, isReply(outer.Subject)
			}
		}
		t := l.read(&e)
		if e.found {
			r.Kind, doubtful = Inline, doubtful || !e.sure
			if r.Inner == nil || r.Inner.From == "" && e.head.From != "" {
				r.Inner = &e.head
			}
		}
		if e.role == Lure && t != "" {
			texts = append(texts, t)
		}
	}
	m.listUnsubscribe(c, opt)
	if doubtful && c.wanted == 0 {
		// A thread that the sender made up, with his link above it.
		c.promote(Reporter)
	}
	for _, t := range texts {
		if len(strings.TrimSpace(t)) > len(strings.TrimSpace(r.Excerpt)) && len(r.Excerpt) < 80 {
			r.Excerpt = excerpt(t)
		}
	}
	r.Lang = guess(r.Excerpt)
	return c.result(r)
}

// listUnsubscribe adds the links of the evidence's List-Unsubscribe field.
func (m *mailbag) listUnsubscribe(c *collector, opt Option) {
	heads := m.inner
	if opt.Evidence || len(heads) == 0 {
		heads = append([]header{m.outer}, heads...)
	}
	for _, h := range heads {
		for part := range strings.SplitSeq(h.get("list-unsubscribe"), ",") {
			if u := strings.Trim(part, " <>\t"); webLike(u) {
				c.add(u, Unsubscribe, []string{viaListUnsubscribe}, "")
			}
		}
	}
}

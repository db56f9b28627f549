package reading

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// Mail reads one mail as it came over SMTP or out of a file: RFC 5322 and MIME,
// and everything near it that mail programs still show.
//
// Octets that begin as another file does (an Outlook message, an archive, a PDF)
// are read as that file.
func Mail(raw []byte, opt Option) Result { return read("", raw, opt) }

// read is Mail with a file's name, which tells what the octets do not.
func read(name string, raw []byte, opt Option) Result {
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
	c.seen.fast, c.seen.tlds = opt.Fast, opt.TLDs
	m := walk(raw, name, &c)
	return m.result(&c, opt)
}

// mailbag is a mail taken apart.
type mailbag struct {
	outer  header
	inner  []header // of attached mails, in order of appearance, at any depth
	leaves []leaf
	begun  bool // the outer mail is there
	bare   bool // no mail: a file by itself
	bounce bool
	stack  []todo
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

// todo is what waits to be taken apart: an entity in its octets, a part that a
// container held, or a message in a compound file.
type todo struct {
	raw    []byte
	part   *leaf
	node   *msgNode
	mail   int
	isMail bool
	depth  int
	packed int    // archives around it
	normal string // media type where no field tells
	via    []string
}

// walk takes a mail apart without recursion. Each byte is looked at once for
// every level that it lies in, and the levels are bounded.
func walk(raw []byte, name string, c *collector) mailbag {
	var m mailbag
	first := todo{raw: raw, isMail: true, normal: "text/plain"}
	if kind := fileAlone(name, raw); kind != "" {
		m.begun, m.bare = true, true
		first = todo{part: &leaf{kind: kind, name: name, attached: true, body: raw}}
		if sniff(raw) == fileMSG { // the mail itself
			m.begun, m.bare, first.isMail = false, false, true
		}
	}
	m.stack = []todo{first}
	for len(m.stack) > 0 {
		e := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		switch {
		case e.node != nil:
			m.push(e.node.read(c, m.head, e))
		case e.part != nil:
			m.take(*e.part, e, c)
		default:
			m.entity(e, c)
		}
	}
	return m
}

// head takes in the header of a mail and gives the mail's number.
func (m *mailbag) head(h header) int {
	if !m.begun {
		m.outer, m.begun = h, true
		return 0
	}
	m.inner = append(m.inner, h)
	return len(m.inner)
}

// push adds what a container held.
func (m *mailbag) push(leaves []leaf, parts []todo) {
	m.leaves = append(m.leaves, leaves...)
	for _, t := range slices.Backward(parts) {
		m.stack = append(m.stack, t)
	}
}

// room is how many parts may still come.
func (m *mailbag) room() int { return MaxParts - len(m.stack) - len(m.leaves) }

// entity takes one MIME entity apart (RFC 2045).
func (m *mailbag) entity(e todo, c *collector) {
	if e.isMail {
		e.raw = bytes.TrimLeft(e.raw, "\r\n") // pasted mails begin with them
	}
	h, body := splitHeader(e.raw, c)
	first := e.isMail && !m.begun
	if first && len(h) == 0 {
		c.warn("no mail header: read as text")
		body = e.raw
	}
	if e.isMail {
		e.mail = m.head(h)
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
	if strings.HasPrefix(kind, "multipart/") {
		if m.multipart(kind, params["boundary"], body, e, c) {
			return
		}
		l.kind = "text/plain"
	}
	m.take(l, e, c)
}

// multipart puts the parts of an entity on the stack; false says that it has
// none, or lies too deep.
func (m *mailbag) multipart(kind, boundary string, body []byte, e todo, c *collector) bool {
	if e.depth >= MaxNesting {
		c.warn("parts nested deeper than %d: read as text", MaxNesting)
		return false
	}
	room := m.room()
	parts := split(body, boundary, room)
	if len(parts) == 0 {
		c.warn("multipart without parts: read as text")
		return false
	}
	normal := "text/plain"
	if kind == "multipart/digest" {
		normal = "message/rfc822"
	}
	if len(parts) == room {
		c.warn("more than %d parts: the rest is read as text", MaxParts)
	}
	for _, p := range slices.Backward(parts) {
		m.stack = append(m.stack, todo{raw: p, mail: e.mail, depth: e.depth + 1, packed: e.packed, normal: normal, via: e.via})
	}
	return true
}

// take keeps a leaf, or puts what it holds on the stack: a mail, an Outlook
// message, an archive.
func (m *mailbag) take(l leaf, e todo, c *collector) {
	if inner, how, ok := l.mailWithin(c); ok {
		switch {
		case e.depth >= MaxNesting:
			c.warn("parts nested deeper than %d: read as text", MaxNesting)
			l.kind = "text/plain"
		case !m.roomForMail(c):
			return
		default:
			m.stack = append(m.stack, todo{raw: inner, isMail: true, depth: e.depth + 1, packed: e.packed, normal: "text/plain",
				via: append(slices.Clone(l.via), how)})
			return
		}
	} else if kind := l.container(); kind != "" {
		if e.depth >= MaxNesting || m.room() <= 0 {
			c.warn("files nested deeper than %d, or more than %d parts: not read", MaxNesting, MaxParts)
			return
		}
		if m.open(kind, l, e, c) {
			return
		}
	}
	m.leaves = append(m.leaves, l)
}

// roomForMail says that one more mail is read.
func (m *mailbag) roomForMail(c *collector) bool {
	if len(m.inner)+countMails(m.stack) < MaxMails {
		return true
	}
	c.warn("more than %d attached mails: the rest is not read", MaxMails)
	return false
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
	guessed := false
	switch {
	case l.kind == "message/rfc822" || l.kind == "message/global":
		how = "message/rfc822"
	case ending == ".eml":
		how = "file:eml"
	case l.kind == "application/octet-stream" || l.attached && l.kind == "text/plain" || l.kind == "application/x-unknown":
		if sniff(l.peek()) != "" || l.isWebArchive() {
			return nil, "", false
		}
		how, guessed = "file:mail", true
	default:
		return nil, "", false
	}
	decoded, _ := decodeTransfer(l.body, l.cte, &collector{})
	switch {
	case looksLikeMail(decoded):
		return decoded, how, true
	case looksLikeMail(l.body):
		return l.body, how, true
	case guessed:
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
	case m.bare:
		r.Kind = Alone
	case opt.Evidence:
		r.Inner = outer
	case m.bounce:
		r.Kind, r.Outer, r.Delivery = Bounce, outer, m.delivery()
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
		if l.mail == 0 && !opt.Evidence && !m.bare {
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
	if doubtful && (c.wanted == 0 || !isForward(outer.Subject)) {
		// Nothing says that a person forwarded this: it may be the sender's own
		// mail, with a thread that he made up below his link.
		c.promote(Reporter)
	}
	for _, t := range texts {
		c.scanOthers(t)
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

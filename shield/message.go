package shield

import (
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

// MessageOf turns the evidence's side of a mail into what the judge looks at.
func MessageOf(r reading.Result) judge.Message {
	head := r.Inner
	if head == nil {
		return judge.Message{Text: r.Excerpt} // a text message, or a mail without another in it
	}
	m := judge.Message{Name: head.Name, ManyFroms: head.ManyFroms, Subject: head.Subject, Text: r.Excerpt}
	if _, domain, ok := strings.Cut(head.ReplyTo, "@"); ok {
		m.ReplyTo, _ = bolwerk.ParseDomain(domain)
	}
	if _, domain, ok := strings.Cut(head.From, "@"); ok {
		var err error
		m.From, err = bolwerk.ParseDomain(domain)
		m.BadFrom = err != nil || m.From.Labels() < 2
	}
	for _, a := range head.Auth {
		f := judge.Auth{ServID: a.ID}
		for part := range strings.SplitSeq(a.Raw, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(part), "dmarc="); ok {
				f.DMARC, _, _ = strings.Cut(v, " ")
			}
		}
		m.Auth = append(m.Auth, f)
	}
	m.Local, _, _ = strings.Cut(head.From, "@")
	m.Head = head.MessageID != "" || head.Date != "" && r.Kind != reading.Inline
	domainOf := func(address string) bolwerk.Domain {
		d, _ := bolwerk.ParseDomain(strings.ToLower(address[strings.LastIndexByte(address, '@')+1:]))
		return d
	}
	m.Return = domainOf(head.ReturnPath)
	for _, d := range head.DKIM {
		if at := domainOf(d); !at.IsZero() {
			m.Signed = append(m.Signed, at)
		}
	}
	_, m.ID, _ = strings.Cut(strings.Trim(head.MessageID, "<> "), "@")
	m.Script, m.ToSelf, m.Recipients = head.Script, head.ToSelf, head.Recipients
	m.List = strings.EqualFold(head.Precedence, "list") || slices.ContainsFunc(head.List, func(f string) bool {
		return f == "list-post" || f == "mailing-list" || f == "x-beenthere"
	})
	m.Answer = len(head.Answers) > 0
	m.FilesOnly = filesOnly(r)
	for _, u := range r.Wanted() {
		if !u.Name.IsZero() {
			m.Links = append(m.Links, judge.Link{Text: u.Text, Target: u.Name, Notes: u.Notes})
		}
	}
	for _, u := range r.URLs {
		if u.Role == reading.Image && !u.Name.IsZero() && len(m.Pictures) < 50 {
			m.Pictures = append(m.Pictures, u.Name)
		}
	}
	return m
}

// filesOnly says that all links of a mail stand in a file beside it.
func filesOnly(r reading.Result) bool {
	n := 0
	for _, u := range r.Wanted() {
		if !slices.ContainsFunc(u.Via, reading.InFile) {
			return false
		}
		n++
	}
	return n > 0
}

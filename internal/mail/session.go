package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"bolwerk"
)

// maxRefused is how many recipients a connection may name in vain before it is
// cut: whoever guesses addresses, or sends to 10,000, is not a reporter.
const maxRefused = 20

// session is one client's conversation. The library calls it from one goroutine
// at a time.
type session struct {
	ctx  context.Context
	door *Door
	conn *conn
	tls  bool
	helo string

	open    bool // MAIL was accepted
	from    string
	rcpt    []string
	refused int // recipients, over the whole connection
}

func (d *Door) session(ctx context.Context, c *smtp.Conn) (*session, error) {
	nc := c.Conn()
	_, encrypted := nc.(*tls.Conn)
	if encrypted {
		nc = nc.(*tls.Conn).NetConn()
	}
	return &session{ctx: ctx, door: d, conn: nc.(*conn), tls: encrypted, helo: clip(c.Hostname(), 255)}, nil
}

// Reset forgets the mail that was begun.
func (s *session) Reset() { s.open, s.from, s.rcpt = false, "", nil }

// Logout ends the session.
func (s *session) Logout() error { return nil }

// Mail takes the return path, when the client's network may send one more.
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	if s.open {
		return refusal(503, 5, 5, 1, "one mail at a time")
	}
	if len(from) > 320 || strings.ContainsFunc(from, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return refusal(501, 5, 1, 7, "that return path is no address")
	}
	if !s.conn.own && !s.door.quota.room(s.door.clock.Now(), s.conn.network, opts.Size) {
		return s.refuse("quota", quotaRefusal)
	}
	s.open, s.from = true, from
	return nil
}

// Rcpt takes the report addresses and no other.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	a, err := ParseAddress(to)
	if err == nil {
		if own, ok := s.door.reports[folded(a)]; ok {
			s.rcpt = append(s.rcpt, own.String())
			return nil
		}
		if s.door.tagged(a) {
			s.rcpt = append(s.rcpt, a.String())
			return nil
		}
	}
	if s.refused++; s.refused >= maxRefused {
		s.conn.stop()
		s.door.metrics.recipients.WithLabelValues("too_many").Inc()
		return refusal(421, 4, 7, 0, "too many recipients that are not ours")
	}
	if err == nil && s.door.domains[a.domain.String()] {
		s.door.metrics.recipients.WithLabelValues("unknown").Inc()
		return refusal(550, 5, 1, 1, "no such address; this door takes reports only")
	}
	s.door.metrics.recipients.WithLabelValues("relay").Inc()
	return refusal(554, 5, 7, 1, "this door does not relay")
}

// Data reads the mail, charges the quota, and answers 250 once Accept has it.
func (s *session) Data(r io.Reader) error {
	s.door.work.Add(1)
	defer s.door.work.Done()
	raw, held, err := s.receive(r)
	defer func() { s.door.memory.give(held) }()
	if err != nil {
		return err
	}
	now := s.door.clock.Now()
	if !s.conn.own && !s.door.quota.charge(now, s.conn.network, int64(len(raw))) {
		return s.refuse("quota", quotaRefusal)
	}
	start := time.Now()
	reference, err := s.door.accept(s.ctx, Envelope{
		Peer: s.conn.peer, OwnNetwork: s.conn.own, Helo: s.helo,
		MailFrom: s.from, Rcpt: s.rcpt, TLS: s.tls, ReceivedAt: now, Raw: raw,
	})
	switch {
	case errors.Is(err, bolwerk.ErrFull):
		return s.refuse("full", refusal(452, 4, 3, 1, "no room for it now, please try again later"))
	case errors.Is(err, bolwerk.ErrInvalid), errors.Is(err, bolwerk.ErrForbidden):
		return s.refuse("invalid", refusal(554, 5, 6, 0, oneLine(err.Error())))
	case err != nil:
		s.door.log.Error("mail not taken", "error", err, "bytes", len(raw), "network", s.conn.network)
		return s.refuse("error", refusal(451, 4, 3, 0, "it could not be kept, please try again later"))
	}
	s.door.metrics.seconds.Observe(time.Since(start).Seconds())
	s.door.metrics.mails.WithLabelValues("accepted").Inc()
	s.door.metrics.bytes.Add(float64(len(raw)))
	s.door.log.Debug("mail taken", "bytes", len(raw), "network", s.conn.network, "reference", reference)
	return refusal(250, 2, 0, 0, oneLine("kept as "+reference))
}

// receive reads a whole mail within the bounds of size, time and memory. held
// is what it took of the door's memory, also when it fails.
func (s *session) receive(r io.Reader) (raw []byte, held int64, err error) {
	start := time.Now()
	for {
		if len(raw) == cap(raw) {
			grow := int64(max(32<<10, cap(raw)))
			if !s.door.memory.take(grow) {
				return nil, held, s.refuse("memory", refusal(452, 4, 3, 1, "too many mails at once, please try again later"))
			}
			held += grow
			raw = append(make([]byte, 0, held), raw...)
		}
		s.conn.mail(start)
		n, err := r.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		switch {
		case err == io.EOF:
			s.conn.mail(start) // until its reply: a stop waits for it
			return raw, held, nil
		case errors.Is(err, smtp.ErrDataTooLarge):
			return nil, held, s.refuse("too_large", smtp.ErrDataTooLarge)
		case errors.Is(err, smtp.ErrTooLongLine):
			return nil, held, s.refuse("long_line", refusal(554, 5, 6, 0, "a line of it is longer than 1 MiB"))
		case err != nil:
			return nil, held, s.refuse("broken", refusal(421, 4, 4, 2, "the mail did not end in time"))
		}
	}
}

func (s *session) refuse(why string, reply *smtp.SMTPError) error {
	s.door.metrics.mails.WithLabelValues(why).Inc()
	s.door.log.Debug("mail refused", "why", why, "network", s.conn.network)
	return reply
}

var quotaRefusal = refusal(450, 4, 7, 1, "your network has sent its share, please try again in an hour")

// refusal is a reply in the library's words; 250 is one too.
func refusal(code, class, subject, detail int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}

// folded is how an address of ours is compared.
// tagged says that a is Config.Tagged, with or without a tag.
func (d *Door) tagged(a Address) bool {
	local, _, _ := strings.Cut(a.local, "+")
	return local != "" && a.domain == d.cfg.Tagged.domain && strings.EqualFold(local, d.cfg.Tagged.local)
}

func folded(a Address) string { return strings.ToLower(a.String()) }

// oneLine makes text fit for a reply: printable, one line, 200 octets.
func oneLine(s string) string {
	return clip(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s), 200)
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"net/url"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Call asks a site's API, and decodes a JSON answer into out where that is not
// nil. key is an Idempotency-Key, empty for none.
func (s *Site) Call(method, url, key string, in, out any) (status int, err error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return 0, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if strings.HasPrefix(url, s.Console) {
		req.Header.Set("Authorization", "Bearer "+s.deciding())
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return res.StatusCode, err
	}
	if res.StatusCode >= 300 {
		return res.StatusCode, fmt.Errorf("%s %s: %s: %s", method, url, res.Status, bytes.TrimSpace(b))
	}
	if out != nil {
		err = json.Unmarshal(b, out)
	}
	return res.StatusCode, err
}

// Report hands a link in at the public site; a receipt is an acknowledgement.
func (s *Site) Report(link string) (receipt string, err error) {
	var out struct{ Receipt string }
	_, err = s.Call("POST", s.Public+"/api/v1/reports", "", map[string]string{"url": link}, &out)
	return out.Receipt, err
}

// Receipt is what the public site says of a receipt: its state.
func (s *Site) Receipt(code string) (state string, err error) {
	var out struct{ State string }
	_, err = s.Call("GET", s.Public+"/api/v1/receipts/"+code, "", nil, &out)
	return out.State, err
}

// Mail hands a mail in by SMTP; no error is an acknowledgement.
func (s *Site) Mail(from, raw string) error { return s.MailTo(from, []string{ReportTo}, []byte(raw)) }

// MailTo is Mail with a choice of recipients.
func (s *Site) MailTo(from string, to []string, raw []byte) error {
	conn, err := net.DialTimeout("tcp", s.SMTP, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	c, err := smtp.NewClient(conn, "mx.bolwerk.example")
	if err != nil {
		return err
	}
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, a := range to {
		if err := c.Rcpt(a); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(raw); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	c.Quit() // it is acknowledged already
	return nil
}

// Block places a block, and gives its reference. The same key twice has one
// effect.
func (s *Site) Block(name, key string) (id string, err error) {
	var out struct {
		Block struct{ ID string }
	}
	_, err = s.Call("POST", s.Console+"/api/v1/blocks", key, map[string]string{"name": name, "reason": "seen"}, &out)
	return out.Block.ID, err
}

// WasDone says that a repeated request was refused because it was carried out: its
// answer was lost with the desk that made it.
func WasDone(err error) bool {
	return err != nil && strings.Contains(err.Error(), "carried this request out")
}

// Withdraw takes a block back.
func (s *Site) Withdraw(id, key string) error {
	_, err := s.Call("POST", s.Console+"/api/v1/blocks/"+id+"/withdraw", key, map[string]string{"reason": "we were wrong"}, nil)
	return err
}

// Listed are the desk's blocks in a state, name -> id. A name that is listed
// twice is an error.
func (s *Site) Listed(state string) (map[string]string, error) {
	out := map[string]string{}
	cursor := ""
	for {
		var page struct {
			Items []struct{ ID, Name string }
			Next  string `json:"next"`
		}
		u := s.Console + "/api/v1/blocks?limit=500&state=" + state
		if cursor != "" {
			u += "&cursor=" + url.QueryEscape(cursor)
		}
		if _, err := s.Call("GET", u, "", nil, &page); err != nil {
			return nil, err
		}
		for _, b := range page.Items {
			if out[b.Name] != "" && state == "in_force" {
				return nil, fmt.Errorf("%s is in force twice", b.Name)
			}
			out[b.Name] = b.ID
		}
		if page.Next == "" {
			return out, nil
		}
		cursor = page.Next
	}
}

// Blocked says whether the edge answers the warning page's address for a name.
func (s *Site) Blocked(name string) (bool, error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	r, _, err := (&dns.Client{Timeout: 3 * time.Second}).Exchange(m, s.DNS)
	if err != nil {
		return false, err
	}
	for _, rr := range r.Answer {
		if a, ok := rr.(*dns.A); ok && a.A.String() == Landing {
			return true, nil
		}
	}
	return false, nil
}

package app

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/brand"
	"bolwerk/internal/mail"
	"bolwerk/internal/mailbox"
	"bolwerk/internal/web"
	"bolwerk/shield"
	"bolwerk/shield/door"
	"bolwerk/shield/edge"
)

// pageTexts are the texts of every page that an operator may word differently.
func pageTexts() (all []*web.Texts, err error) {
	for _, read := range []func() (*web.Texts, error){web.OwnTexts, account.Texts, shield.Texts, door.Texts, edge.Texts} {
		t, err := read()
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

var brandID = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// checkBrands tells every problem of the brands: colours, logos, texts, names
// that two of them share, and a warning page that became too heavy.
func (c Config) checkBrands() error {
	pages, err := pageTexts()
	if err != nil {
		return err
	}
	var problems []error
	check := func(where string, b brand.Brand) {
		err := b.Validate()
		own, read := web.ReadReplacements(b.Texts)
		if read != nil {
			read = fmt.Errorf("texts: %w", read)
		}
		if err = errors.Join(err, read, own.Check(pages...)); err != nil {
			problems = append(problems, fmt.Errorf("%s%w", where, err))
		}
	}
	check("", c.Brand)
	ids, hosts, addresses := []string{}, []string{}, []string{}
	for _, sub := range c.SubBrands {
		where := "sub_brand " + sub.ID + ": "
		check(where, sub.Brand)
		if !brandID.MatchString(sub.ID) || slices.Contains(ids, sub.ID) {
			problems = append(problems, bolwerk.Invalid("%sid: want small letters, digits and hyphens, and each only once", where))
		}
		ids = append(ids, sub.ID)
		for _, h := range sub.Hosts {
			if h == "" || strings.ContainsAny(h, "/*@: ") || strings.ToLower(h) != h || slices.Contains(hosts, h) {
				problems = append(problems, bolwerk.Invalid("%shosts: %q: want a host name in small letters, and each only once", where, h))
			}
			hosts = append(hosts, h)
		}
		for _, a := range sub.ReportAddresses {
			if !c.takes(a) || slices.Contains(addresses, a.Key()) {
				problems = append(problems, bolwerk.Invalid("%sreport_addresses: %s: want one of smtp.addresses or the user of a [[mailbox]], and each in one sub_brand only", where, a))
			}
			addresses = append(addresses, a.Key())
		}
	}
	if id := c.Warning.SubBrand; id != "" && !slices.Contains(ids, id) {
		problems = append(problems, bolwerk.Invalid("warning.sub_brand: there is no [[sub_brand]] with the id %q", id))
	}
	if len(problems) == 0 {
		problems = append(problems, c.Warning.Config.Check())
	}
	return errors.Join(problems...)
}

// takes says whether mail to an address comes in as a report.
func (c Config) takes(a mail.Address) bool {
	return slices.ContainsFunc(c.SMTP.Addresses, a.Same) || slices.ContainsFunc(c.Mailboxes, func(m mailbox.Config) bool { return strings.EqualFold(m.User, a.String()) })
}

// voiceOf is how a sub-brand answers reports. Its site has the scheme and port of
// the main one.
func (c Config) voiceOf(sub brand.Sub) shield.Voice {
	v := shield.Voice{ID: sub.ID, Name: sub.Name, URL: c.Public.URL, From: sub.AnswerFrom, To: sub.ReportAddresses, Texts: sub.Texts}
	if v.From.IsZero() {
		v.From = c.Shield.AnswerFrom
	}
	if u, err := url.Parse(c.Public.URL); err == nil && len(sub.Hosts) > 0 {
		host := sub.Hosts[0]
		if port := u.Port(); port != "" {
			host += ":" + port
		}
		u.Host = host
		v.URL = u.String()
	}
	return v
}

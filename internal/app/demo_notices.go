package app

import (
	"bolwerk"
	"bolwerk/internal/mail"
	"bolwerk/shield"
)

// demoNotices are whom the demo tells of confirmed cases. Its mails end in the
// outbox; it knows no API.
func demoNotices(c shield.NoticeConfig) shield.NoticeConfig {
	c.From, c.Owner = mail.MustAddress("abuse@bolwerk.example"), true
	c.To = []shield.NoticeTo{
		{Name: "Waakpunt", Kind: shield.ToAuthority, Mail: mail.MustAddress("verdacht@waakpunt.example"), Lang: bolwerk.NL},
		{Name: "Open list", Kind: shield.ToBrowsers, Mail: mail.MustAddress("report@openlist.example"), Lang: bolwerk.EN},
	}
	for _, b := range [][2]string{{"Merelbank", "phishing@merelbank.example"}, {"Zwaluwpost", "abuse@zwaluwpost.example"}, {"Tiendekantoor", "security@tiendekantoor.example"}} {
		c.To = append(c.To, shield.NoticeTo{Name: b[0], Kind: shield.ToBrand, Brand: b[0], Mail: mail.MustAddress(b[1]), Lang: bolwerk.NL})
	}
	return c
}

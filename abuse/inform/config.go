package inform

import (
	"errors"
	"net/url"
	"strings"

	"bolwerk"
	"bolwerk/abuse/notice"
	"bolwerk/internal/mail"
)

// Config is how subscribers are told.
type Config struct {
	// From writes the mails. Its domain has to be one that mail.dkim or the relay signs for (DKIM)
	// and that DMARC covers; empty: shield.answer_from.
	From mail.Address `toml:"from"`
	// Bounce is where mails come back to, with a +tag of the desk's: point it at the
	// intake's SMTP door or at a mailbox that is fetched. Empty: they have the null return
	// path, and nobody hears that one came back.
	Bounce mail.Address `toml:"bounce"`
	// CodeDays is how long the code in a notice works.
	CodeDays int `toml:"code_days"`
	// SMS takes text messages.
	SMS Way `toml:"sms"`
	// App takes notices for the operator's app and its call centre.
	App Way `toml:"app"`
	// Letter is where letters are printed.
	Letter LetterWay `toml:"letter"`
}

// Way is a system of the operator that takes messages as JSON by HTTP POST.
type Way struct {
	// URL is its address, https; http only to this machine. Empty: there is none.
	URL string `toml:"url"`
	// KeyFile holds the key of the signature of each request, in base64, mode 0600.
	KeyFile string `toml:"key_file"`
}

// LetterWay is where letters go as PDF: a folder that the print shop empties, or its
// own address, or neither: then people print them from the case.
type LetterWay struct {
	Way
	// Folder gets a file for each letter.
	Folder string `toml:"folder"`
	// Window is where the envelope's window is: left (NL, FR, DE) or right (BE).
	Window notice.Window `toml:"window"`
	// Place stands before the date, such as Brussel.
	Place string `toml:"place"`
}

// DefaultConfig sends mail.
func DefaultConfig() Config { return Config{CodeDays: 60, Letter: LetterWay{Window: notice.Left}} }

// Validate says what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.CodeDays < 1 || c.CodeDays > 365 {
		errs = append(errs, bolwerk.Invalid("code_days %d: want 1 to 365", c.CodeDays))
	}
	if l := c.Bounce.Local(); len(l) > maxLocal || strings.Contains(l, "+") {
		errs = append(errs, bolwerk.Invalid("bounce: want at most %d octets before the @, and no +: a tag is added", maxLocal))
	}
	for name, w := range c.ways() {
		if err := w.validate(); err != nil {
			errs = append(errs, bolwerk.Invalid("%s: %v", name, err))
		}
	}
	if c.Letter.Window != notice.Left && c.Letter.Window != notice.Right {
		errs = append(errs, bolwerk.Invalid("letter.window %.20q: want left or right", c.Letter.Window))
	}
	if c.Letter.Folder != "" && c.Letter.URL != "" {
		errs = append(errs, bolwerk.Invalid("letter: give a folder or a url, not both"))
	}
	if len(c.Letter.Place) > 60 {
		errs = append(errs, bolwerk.Invalid("letter.place: at most 60 octets"))
	}
	return errors.Join(errs...)
}

func (c Config) ways() map[string]Way {
	return map[string]Way{"sms": c.SMS, "app": c.App, "letter": c.Letter.Way}
}

// KeyFiles are the files with secrets, by the setting that names them.
func (c Config) KeyFiles() map[string]string {
	out := map[string]string{}
	for name, w := range c.ways() {
		out[name+".key_file"] = w.KeyFile
	}
	return out
}

func (w Way) validate() error {
	if w.URL == "" {
		if w.KeyFile != "" {
			return bolwerk.Invalid("key_file goes with a url")
		}
		return nil
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return bolwerk.Invalid("url: want an address without a password in it")
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return bolwerk.Invalid("url: want https")
	}
	if w.KeyFile == "" {
		return bolwerk.WithHint(bolwerk.Invalid("key_file is needed: requests are signed"), "openssl rand -base64 32 > FILE; chmod 600 FILE")
	}
	return nil
}

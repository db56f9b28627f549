package shield

import (
	"fmt"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/internal/mail"
	"bolwerk/internal/web"
)

// Voice is a brand of the operator in whose name a report is answered: the one
// that the reporter knows, because that is who was written to.
type Voice struct {
	ID    string // of the sub-brand; empty is the operator's own
	Name  string
	URL   string // of its public site
	From  mail.Address
	To    []mail.Address // the report addresses that are its own
	Texts string         // folder of the texts that it words differently; empty for none
}

// voice is one with its texts.
type voice struct {
	Voice
	texts *web.Texts
}

// or is v, or other where v is no longer configured.
func (v voice) or(other voice) voice {
	if v.texts == nil {
		return other
	}
	return v
}

// loadVoices reads the texts of the answers.
func (s *Shield) loadVoices() error {
	own, err := Texts()
	if err != nil {
		return err
	}
	all := append([]Voice{{Name: s.cfg.Operator, URL: s.cfg.PublicURL, From: s.cfg.AnswerFrom, Texts: s.cfg.Texts}}, s.cfg.Voices...)
	s.voices = map[string]voice{}
	for _, v := range all {
		said, err := web.ReadReplacements(v.Texts)
		if err != nil {
			return fmt.Errorf("texts of the answers to reporters: %w", err)
		}
		s.voices[v.ID] = voice{v, own.Replaced(said)}
	}
	return nil
}

// brandOf is the sub-brand that has a report address.
func (s *Shield) brandOf(to string) string {
	addr, err := mail.ParseAddress(to)
	if err != nil {
		return ""
	}
	for _, v := range s.cfg.Voices {
		if slices.ContainsFunc(v.To, addr.Same) {
			return v.ID
		}
	}
	return ""
}

// ours are the operator's own addresses: no answer ever goes to them.
func (c Config) ours() []mail.Address {
	all := append(slices.Clone(c.ReportAddresses), c.AnswerFrom)
	for _, v := range c.Voices {
		all = append(append(all, v.From), v.To...)
	}
	return all
}

// answerStates are what an answer can say; the rest is "waiting".
var answerStates = []string{"blocked", "waiting", "rejected", "clean", "no_observable", "unreadable", "training"}

// answer is the mail that answers a report. It names the blocked name with its
// dots in brackets, so that no mail program makes a link of it.
func (v voice) answer(lang bolwerk.Lang, state string, code bolwerk.Token, block Block) (subject, body string) {
	say := func(key string, args ...any) string { return v.texts.T(lang, "shield.reply."+key, args...) }
	if !slices.Contains(answerStates, state) {
		state = "waiting"
	}
	what := say(state)
	if state == "blocked" {
		what = say(state, strings.ReplaceAll(block.Name.String(), ".", "[.]"))
	}
	link := strings.TrimSuffix(v.URL, "/") + "/r/" + code.Reveal()
	return say("subject"), fmt.Sprintf("%s\n\n%s\n\n%s\n%s\n\n%s\n\n%s\n", say("thanks"), what, say("follow"), link, say("never"), v.Name)
}

package door

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/mail"
)

func TestMailsThatComeBackAreSorted(t *testing.T) {
	var put, rest []string
	b := Bounces{Address: mail.MustAddress("bounce@telecom.example"), Put: func(kind string, body []byte) (string, error) {
		in, err := DecodeBounce(body)
		put = append(put, kind+" "+in.To)
		if len(in.Body) > MaxBounce {
			t.Errorf("%d octets are kept", len(in.Body))
		}
		return "0123456789abcdef", err
	}}
	accept := b.Sort(func(_ context.Context, e mail.Envelope) (string, error) {
		rest = append(rest, e.Rcpt...)
		return "r", nil
	})
	raw := []byte(strings.Repeat("x", MaxBounce+10))
	if _, err := accept(t.Context(), mail.Envelope{Rcpt: []string{"Bounce+abc@telecom.example", "abuse@telecom.example"}, Raw: raw}); err != nil {
		t.Fatal(err)
	}
	if _, err := accept(t.Context(), mail.Envelope{Rcpt: []string{"bounce+abc@telecom.example"}, MailFrom: "a@b.example", Raw: raw}); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("from somebody: %v", err)
	}
	if _, err := accept(t.Context(), mail.Envelope{Rcpt: []string{"bouncer@telecom.example"}, MailFrom: "a@b.example", Raw: raw}); err != nil {
		t.Error(err)
	}
	if !slices.Equal(put, []string{KindBounce + " Bounce+abc@telecom.example"}) || !slices.Equal(rest, []string{"abuse@telecom.example", "bouncer@telecom.example"}) {
		t.Errorf("kept %q, the rest %q", put, rest)
	}
}

package door

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"bolwerk"
)

// CaseCode is what a notice to a subscriber carries: whoever types it at the public
// site sees what was seen of the line, and says what was done. Twelve signs in three
// groups; eleven are drawn (53 bits), the last is a check. Printed it is ***.
type CaseCode struct{ text string }

// codeSigns are 29, a prime, so that the check finds every single wrong sign and
// every two that changed places. There are no vowels, hence no words, and no 1.
const codeSigns = "BCDFGHJKLMNPQRSTVWXZ023456789"

const (
	codeBase   = 29
	codeLen    = 12
	codeRounds = 20_000 // PBKDF2: some ms for a look, days for who has the hashes and guesses
)

// NewCaseCode draws one.
func NewCaseCode() CaseCode {
	var out [codeLen]byte
	for i := 0; i < codeLen-1; {
		var b [1]byte
		rand.Read(b[:])
		if n := int(b[0]); n < 256/codeBase*codeBase { // the rest would favour the first signs
			out[i] = codeSigns[n%codeBase]
			i++
		}
	}
	out[codeLen-1] = codeSigns[check(out[:codeLen-1])]
	return CaseCode{string(out[:])}
}

// check is the weighted sum of the signs, modulo their number.
func check(signs []byte) int {
	sum := 0
	for i, c := range signs {
		sum += (i + 2) * strings.IndexByte(codeSigns, c)
	}
	return sum % codeBase
}

// typed takes what people type for what is printed: small letters, O for 0, and
// anything between the groups.
var typed = strings.NewReplacer("-", "", " ", "", "\u00a0", "", ".", "", "–", "", "O", "0")

// ParseCaseCode reads a code as people type it.
func ParseCaseCode(s string) (CaseCode, error) {
	t := typed.Replace(strings.ToUpper(strings.TrimSpace(s[:min(len(s), 100)])))
	wrong := bolwerk.Invalid("that is not one of our codes: it has 12 letters and digits")
	if len(t) != codeLen {
		return CaseCode{}, wrong
	}
	for i := range codeLen {
		if strings.IndexByte(codeSigns, t[i]) < 0 {
			return CaseCode{}, wrong
		}
	}
	if codeSigns[check([]byte(t[:codeLen-1]))] != t[codeLen-1] {
		return CaseCode{}, bolwerk.Invalid("there is a typing error in the code")
	}
	return CaseCode{t}, nil
}

// Reveal is the code in three groups, for the one place that hands it out.
func (c CaseCode) Reveal() string { return c.text[:4] + "-" + c.text[4:8] + "-" + c.text[8:] }

// Hash is what is stored and published: PBKDF2 with SHA-256, in hex. The salt is
// public: a code is looked up by its hash alone.
func (c CaseCode) Hash() string {
	key, err := pbkdf2.Key(sha256.New, c.text, []byte("bolwerk case code 1"), codeRounds, 20)
	if err != nil {
		panic(err) // the lengths are fixed
	}
	return hex.EncodeToString(key)
}

func (CaseCode) String() string { return "***" }

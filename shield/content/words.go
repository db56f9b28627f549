package content

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// phrases are what stands on or beside a field that asks for something, in nl,
// fr, de and en, as plain makes them. The first kind that fits wins: an identity
// card is not a payment card. Names of programs' fields stand among them.
var phrases = []struct {
	ask  Ask
	text []string
}{
	{Identity, []string{
		"rijksregisternummer", "rijksregister", "rijksregisternr", "insz", "niss", "rrn", "bsn", "burgerservicenummer", "sofinummer", "identiteitskaart", "identiteitskaartnummer", "identiteitsbewijs", "paspoortnummer", "documentnummer", "kaartnummer identiteitskaart", "rijbewijsnummer",
		"registre national", "numero national", "numero de registre", "carte d identite", "piece d identite", "numero de passeport", "permis de conduire",
		"personalausweis", "ausweisnummer", "ausweis", "reisepass", "passnummer", "steuer id", "steueridentifikationsnummer", "nationalregisternummer", "fuhrerschein",
		"national number", "national register", "national id", "nationalid", "identity card", "id card", "idcard", "identity number", "passport number", "passport", "social security", "ssn", "driving licence", "driver license",
	}},
	{IBAN, []string{
		"iban", "rekeningnummer", "bankrekening", "bankrekeningnummer", "rekeningnr", "numero de compte", "compte bancaire", "kontonummer", "bankkonto", "account number", "accountnumber", "bank account", "bic",
	}},
	{OTP, []string{
		"otp", "onetimecode", "one time code", "one time password", "onetime", "smscode", "sms code", "sms", "tancode", "tan", "mtan", "pushtan", "chiptan", "2fa", "mfa", "totp", "authcode", "auth code", "verificationcode", "verification code", "confirmation code", "passcode", "security token",
		"verificatiecode", "bevestigingscode", "beveiligingscode sms", "eenmalige code", "signeercode", "digipass", "cardreader", "kaartlezer", "responscode", "respons", "response code", "m1", "m2",
		"code de verification", "code de confirmation", "code sms", "code recu", "code unique", "lecteur de carte", "code de reponse",
		"bestatigungscode", "einmalcode", "verifizierungscode", "sicherheitscode per sms", "sms tan", "freigabecode",
	}},
	{Card, []string{
		"cardnumber", "card number", "cardno", "card no", "cardnum", "ccnumber", "cc number", "ccnum", "cc num", "creditcard", "credit card", "debit card", "debitcard", "card holder number", "pan number", "cvc", "cvv", "cvv2", "cvc2", "csc", "card code", "card verification", "cc csc", "security code", "securitycode", "pin", "pincode", "pin code", "atm pin", "card pin",
		"kaartnummer", "bankkaart", "bankkaartnummer", "kredietkaart", "betaalkaart", "pasnummer", "kaartcode", "veiligheidscode", "beveiligingscode",
		"numero de carte", "numero de la carte", "carte bancaire", "carte de credit", "code de securite", "cryptogramme", "code pin", "code secret",
		"kartennummer", "kreditkarte", "kreditkartennummer", "bankkarte", "prufziffer", "kartenprufnummer", "sicherheitscode", "geheimzahl",
	}},
	{Password, []string{
		"password", "passwd", "passwort", "kennwort", "wachtwoord", "mot de passe", "motdepasse", "mdp", "pwd", "passphrase", "seed phrase", "recovery phrase", "secret phrase", "private key", "herstelzin",
	}},
	{Itsme, []string{"itsme"}},
	{DigiD, []string{"digid"}},
}

// asks is what a field asks for; empty for a name, an address, a search. What
// the browser is told to fill in decides, then the words, then the kind: many
// hide a card's code as if it were a password.
func (f field) asks(label string) Ask {
	for auto := range strings.FieldsSeq(f.auto) {
		switch auto {
		case "cc-number", "cc-csc":
			return Card
		case "one-time-code":
			return OTP
		case "current-password", "new-password":
			if f.kind == "password" {
				return f.said(label, Password)
			}
		}
	}
	return f.said(label, "")
}

func (f field) said(label string, otherwise Ask) Ask {
	have := plain(f.words + " . " + label)
	for _, p := range phrases {
		for _, t := range p.text {
			if strings.Contains(have, " "+t+" ") {
				return p.ask
			}
		}
	}
	if f.kind == "password" {
		return Password
	}
	return otherwise
}

// plain is a text as words of small letters without accents, with a space before,
// between and behind them; cardNumber is two words, and so is card_number.
func plain(s string) string {
	var b strings.Builder
	b.WriteByte(' ')
	space, small := true, false
	var joined strings.Builder // the same without the cut inside of words: smsCode is smscode too
	joined.WriteByte(' ')
	for _, r := range norm.NFD.String(s) {
		switch {
		case unicode.Is(unicode.Mn, r):
			continue
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if unicode.IsUpper(r) && small {
				b.WriteByte(' ')
			}
			small = unicode.IsLower(r)
			r = unicode.ToLower(r)
			b.WriteRune(r)
			joined.WriteRune(r)
			space = false
		case !space:
			b.WriteByte(' ')
			joined.WriteByte(' ')
			space, small = true, false
		}
	}
	return b.String() + " " + joined.String() + " "
}

package door

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/abuse/garden"
)

// NoticeEntry begins the id of an entry of the copy "public": then comes the hash of
// the code of a notice. Its body is a Notice.
const NoticeEntry = "ac:"

// KindNotice is the kind under which is handed in what the holder of a code did; its
// body is a Said.
const KindNotice = "abuse.notice"

// Notice is what the holder of a notice's code sees. It names nobody.
type Notice struct {
	garden.Guest
	Closed  time.Time `json:"closed_at,omitzero"`
	Outcome string    `json:"outcome,omitempty"` // cleaned, mistaken, or empty
	Full    bool      `json:"full,omitempty"`    // the case takes no more words of who holds its codes
}

// Said is what the holder of a code did.
type Said struct {
	garden.Event
	Code string `json:"code"` // hash of the code
}

// Bounds of what is said.
const (
	MaxSaid    = 2000 // octets of a text
	maxContact = 200
)

// Whats of an event that the public site takes.
var saidWhats = map[string]bool{"seen": true, "done": true, "undone": true, "help": true, "statement": true, "release": true, "test": true}

// Encode gives the bytes to hand in.
func (s Said) Encode() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings and times
	}
	return b
}

// DecodeSaid reads what Encode wrote, and refuses what the site would not have taken.
func DecodeSaid(b []byte) (s Said, err error) {
	if json.Unmarshal(b, &s) != nil {
		return s, bolwerk.Invalid("what the holder of a code said cannot be read")
	}
	if !saidWhats[s.What] || len(s.Code) != 40 || len(s.ID) > 64 || s.Step != "" && !garden.Step(s.Step) || len(s.Text) > MaxSaid || len(s.Contact) > maxContact || !utf8.ValidString(s.Text+s.Contact+s.Step) || s.At.IsZero() {
		return s, bolwerk.Invalid("what the holder of a code said: %.20q is out of bounds", s.What)
	}
	return s, nil
}

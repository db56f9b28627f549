package mail

import (
	"slices"
	"strings"
)

// Outer is what the rules for answers need to know of a mail: of its own
// header, never of a mail attached to it.
type Outer struct {
	// From is every address of every From field. An answer goes to From, not to
	// Reply-To: only From is proved.
	From          []string
	ReturnPath    string // of the envelope; "" is the null path
	AutoSubmitted string // RFC 3834 section 5
	Precedence    string
	Suppress      string // X-Auto-Response-Suppress
	ContentType   string // media type, such as multipart/report
	List          bool   // there is a List-* field (RFC 2369, RFC 2919)
	// Proved is what Proved said, or that the client was in OwnNetworks.
	Proved bool
}

// Silence is why a mail gets no answer. "" means that it may get one.
type Silence string

// The reasons for silence.
const (
	Unproved   Silence = "unproved"    // anybody could have written this sender: we would be backscatter
	NoSender   Silence = "no_sender"   // not exactly one usable From address
	NullPath   Silence = "null_path"   // a bounce; RFC 5321 section 4.5.5
	Robot      Silence = "robot"       // mailer-daemon, postmaster, no-reply, a list's owner
	Automatic  Silence = "automatic"   // Auto-Submitted says so; RFC 3834 section 2
	Bulk       Silence = "bulk"        // Precedence bulk, list or junk
	ListMail   Silence = "list"        // from a mailing list
	Suppressed Silence = "suppressed"  // X-Auto-Response-Suppress
	Machine    Silence = "machine"     // multipart/report: a delivery report or a feedback loop
	OurOwn     Silence = "own_address" // a loop
)

// MayAnswer says to whom an answer goes, or why nobody gets one. own are all
// addresses that we take or send mail with. Once a sender a day is counted by
// the caller, by Address.Key.
func MayAnswer(o Outer, own []Address) (to Address, why Silence) {
	if len(o.From) != 1 {
		return Address{}, NoSender
	}
	to, err := ParseAddress(o.From[0])
	if err != nil {
		return Address{}, NoSender
	}
	path, pathErr := ParseAddress(o.ReturnPath)
	ours := func(a Address) bool { return a.Key() == to.Key() || pathErr == nil && a.Key() == path.Key() }
	switch {
	case o.ReturnPath == "" || o.ReturnPath == "<>":
		return Address{}, NullPath
	case slices.ContainsFunc(own, ours):
		return Address{}, OurOwn
	case robot(to.local) || pathErr == nil && robot(path.local):
		return Address{}, Robot
	case automatic(o.AutoSubmitted):
		return Address{}, Automatic
	case slices.Contains([]string{"bulk", "list", "junk", "auto_reply"}, word(o.Precedence)):
		return Address{}, Bulk
	case o.List:
		return Address{}, ListMail
	case o.Suppress != "" && word(o.Suppress) != "none":
		return Address{}, Suppressed
	case word(o.ContentType) == "multipart/report":
		return Address{}, Machine
	case !o.Proved:
		return Address{}, Unproved
	}
	return to, ""
}

// automatic says that the value of Auto-Submitted is there and is not "no".
func automatic(v string) bool { w := word(v); return w != "" && w != "no" }

// word is the first word of a header value, lower case, without a comment or a
// parameter behind it.
func word(v string) string {
	v = strings.TrimSpace(v)
	if i := strings.IndexAny(v, "; \t\r\n,("); i >= 0 {
		v = v[:i]
	}
	return strings.ToLower(v)
}

// robot says that nobody reads what is sent to this local part. Spelling marks
// are left out first: no-reply, no_reply and noreply are one.
func robot(local string) bool {
	local, _, _ = strings.Cut(strings.ToLower(local), "+")
	if strings.HasPrefix(local, "owner-") || strings.HasSuffix(local, "-request") ||
		strings.HasSuffix(local, "-owner") || strings.HasSuffix(local, "-bounces") {
		return true
	}
	bare := strings.NewReplacer("-", "", "_", "", ".", "").Replace(local)
	switch bare {
	case "mailerdaemon", "postmaster", "daemon", "bounce", "bounces", "listserv", "majordomo",
		"nietantwoorden", "geenantwoord", "nepasrepondre", "pasdereponse", "nichtantworten", "keineantwort":
		return true
	}
	return strings.Contains(bare, "noreply") || strings.Contains(bare, "donotreply")
}

package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"bolwerk"
	"bolwerk/internal/web"
)

// Argon2id with the second recommended option of RFC 9106 section 4: 64 MiB,
// 3 passes, 4 lanes.
const (
	argonTime   = 3
	argonMemory = 64 << 10 // KiB
	argonLanes  = 4
	argonSalt   = 16
	argonKey    = 32
)

// hasher bounds how many passwords are hashed at once: each takes 64 MiB.
// Browsers that have logged in before have a lane of their own, so that a flood
// of guesses does not keep them waiting.
type hasher struct {
	known, others chan struct{}
	waiting       chan struct{}
}

func newHasher() *hasher {
	return &hasher{known: make(chan struct{}, 1), others: make(chan struct{}, 1), waiting: make(chan struct{}, 32)}
}

// run does fn in a lane. A full queue is a bolwerk.ErrFull.
func (h *hasher) run(ctx context.Context, known bool, fn func()) error {
	lane := h.others
	if known {
		lane = h.known
	} else {
		select {
		case h.waiting <- struct{}{}:
			defer func() { <-h.waiting }()
		default:
			return &web.Wait{Err: bolwerk.WithHint(fmt.Errorf("too many people log in at once: %w", bolwerk.ErrFull), "try again in a few seconds"), After: 5 * time.Second}
		}
	}
	select {
	case lane <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-lane }()
	fn()
	return nil
}

// checkPassword refuses what passwordFault finds, in words for the command line.
func checkPassword(login string, password bolwerk.Secret) error {
	switch fault, n := passwordFault(login, password); fault {
	case "":
		return nil
	case "short":
		return bolwerk.WithHint(bolwerk.Invalid("the password has %d characters, at least %d are needed", n, minPassword), "four words that you can remember make a good one")
	case "long":
		return bolwerk.Invalid("the password is longer than %d bytes", maxPassword)
	case "login":
		return bolwerk.Invalid("the password contains the log-in name")
	}
	return bolwerk.Invalid("the password is not readable text")
}

const (
	minPassword = 12  // characters
	maxPassword = 256 // bytes
)

// passwordFault says which rule a password breaks ("short", "long", "login",
// "unreadable"; text "account.password."+fault) and how many characters it has.
// There are no rules of composition: they make worse passwords (NIST SP 800-63B
// section 5.1.1.2).
func passwordFault(login string, password bolwerk.Secret) (string, int) {
	p := plain(password)
	n := utf8.RuneCountInString(p)
	switch {
	case !utf8.ValidString(p):
		return "unreadable", n
	case n < minPassword:
		return "short", n
	case len(p) > maxPassword:
		return "long", n
	case strings.Contains(strings.ToLower(p), login):
		return "login", n
	}
	return "", n
}

// plain is the password in one spelling: keyboards differ in how they compose
// letters (NIST SP 800-63B section 5.1.1.2 asks for this).
func plain(p bolwerk.Secret) string { return norm.NFC.String(p.Reveal()) }

// hashPassword gives the hash in the PHC format.
func hashPassword(password bolwerk.Secret) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(plain(password)), salt, argonTime, argonMemory, argonLanes, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// nobody is the hash that is checked for a log-in that does not exist, so that
// the answer takes as long. No password gives it: its key is not a hash.
var nobody = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
	base64.RawStdEncoding.EncodeToString(make([]byte, argonSalt)), base64.RawStdEncoding.EncodeToString(make([]byte, argonKey)))

// verifyPassword compares in constant time.
func verifyPassword(hash string, password bolwerk.Secret) bool {
	h, err := parseHash(hash)
	if err != nil {
		return false
	}
	got := argon2.IDKey([]byte(plain(password)), h.salt, h.time, h.memory, h.lanes, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(got, h.key) == 1
}

// outdated says that a hash was made with other parameters than today's.
func outdated(hash string) bool {
	h, err := parseHash(hash)
	return err != nil || h.time != argonTime || h.memory != argonMemory || h.lanes != argonLanes
}

type phc struct {
	time, memory uint32
	lanes        uint8
	salt, key    []byte
}

func parseHash(s string) (h phc, err error) {
	part := strings.Split(s, "$")
	if len(part) != 6 || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, bolwerk.Invalid("not an argon2id hash")
	}
	if _, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.lanes); err != nil {
		return h, bolwerk.Invalid("not an argon2id hash")
	}
	// Bounds, so that a changed row cannot take the machine's memory.
	if h.memory < 8 || h.memory > 256<<10 || h.time < 1 || h.time > 16 || h.lanes < 1 || h.lanes > 16 {
		return h, bolwerk.Invalid("argon2id parameters out of bounds")
	}
	if h.salt, err = base64.RawStdEncoding.DecodeString(part[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return h, bolwerk.Invalid("argon2id salt out of bounds")
	}
	if h.key, err = base64.RawStdEncoding.DecodeString(part[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return h, bolwerk.Invalid("argon2id key out of bounds")
	}
	return h, nil
}

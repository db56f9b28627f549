package ledger

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"bolwerk"
	"bolwerk/internal/disk"
)

// Key signs the heads of the log.
type Key struct {
	signer   note.Signer
	verifier note.Verifier
	public   string
}

// OpenKey reads the key in path, or makes one with this name. The name stays
// what it was when the key was made: it is part of every signature.
func OpenKey(path, name string) (k Key, err error) {
	b, err := disk.Read(disk.System{}, path, 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		secret, public, err := note.GenerateKey(rand.Reader, name)
		if err != nil {
			return k, fmt.Errorf("key of the log: %w", err)
		}
		b = []byte(secret + "\n" + public + "\n")
		if err := disk.Write(path, b, "ledger.key"); err != nil {
			return k, err
		}
	} else if err != nil {
		return k, err
	}
	secret, public, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if k.signer, err = note.NewSigner(secret); err != nil {
		return k, bolwerk.Invalid("file %s: not the key of a log", path) // never print it
	}
	k.public = strings.TrimSpace(public)
	if k.verifier, err = note.NewVerifier(k.public); err != nil || k.verifier.KeyHash() != k.signer.KeyHash() || k.verifier.Name() != k.signer.Name() {
		return k, bolwerk.Invalid("file %s: its public part does not fit the secret one", path)
	}
	return k, nil
}

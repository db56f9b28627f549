// Package keypair is a certificate with its key that follows its files, so that a
// renewal needs no restart.
package keypair

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Pair is a certificate and its key.
type Pair struct {
	cert, key string
	log       *slog.Logger

	mu   sync.Mutex
	at   [2]time.Time // when the files that are in use were written
	seen time.Time    // when they were looked at last
	now  *tls.Certificate
	told bool // that they cannot be read
}

// lookEvery is how late a renewed certificate is taken at most.
const lookEvery = 10 * time.Second

// Load reads the files, in PEM. Later trouble with them goes to log, once until they
// are good again.
func Load(cert, key string, log *slog.Logger) (*Pair, error) {
	p := &Pair{cert: cert, key: key, log: log}
	if err := p.look(); err != nil {
		return nil, err
	}
	return p, nil
}

// Serve is tls.Config.GetCertificate. Files that cannot be read leave the
// certificate that is in use.
func (p *Pair) Serve(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.seen) >= lookEvery {
		if err := p.look(); err != nil && !p.told {
			p.told = true
			p.log.Error("renewed certificate cannot be read; the old one serves on", "certificate", p.cert, "ends", p.now.Leaf.NotAfter, "err", err, "alarm", true)
		}
	}
	return p.now, nil
}

// Ends is when the certificate in use does.
func (p *Pair) Ends() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now.Leaf.NotAfter
}

// look reads the files if they have changed.
func (p *Pair) look() error {
	p.seen = time.Now()
	var at [2]time.Time
	for i, name := range []string{p.cert, p.key} {
		st, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		at[i] = st.ModTime()
	}
	if p.now != nil && at == p.at {
		return nil
	}
	c, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", p.cert, err)
	}
	p.now, p.at, p.told = &c, at, false
	return nil
}

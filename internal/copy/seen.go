package copy

import "bolwerk/internal/disk"

// Seen gives the audit heads that a host has kept in dir, oldest first, as far
// as trust or a key that followed it signed them. It changes nothing: the host
// may run.
func Seen(d disk.Disk, dir string, trust Trust) ([]AuditHead, error) {
	f := NewFiles(d, dir)
	var err error
	if f.trust, err = f.loadKeys(trust); err != nil {
		return nil, err
	}
	return f.Audit()
}

package copy

// Handing says that a relay has a head to hand on.
func (f *Follower) Handing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.given.line != nil && !f.renewed.IsZero()
}

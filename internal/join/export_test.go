package join

import "context"

// Forget drops what is known of hosts, as 5 s do.
func (a *Authority) Forget() { g := a.gate(); g.mu.Lock(); g.admits = nil; g.mu.Unlock() }

// Watch is watch.
func (a *Authority) Watch(ctx context.Context, cancel context.CancelFunc, id Identity) <-chan struct{} {
	return a.gate().watch(ctx, cancel, id)
}

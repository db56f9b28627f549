package join

import "context"

// Forget drops what is known of hosts, as 5 s do.
func (a *Authority) Forget() { a.mu.Lock(); a.admits = nil; a.mu.Unlock() }

// Watch is watch.
func (a *Authority) Watch(ctx context.Context, cancel context.CancelFunc, id Identity) <-chan struct{} {
	return a.watch(ctx, cancel, id)
}

package access

import (
	"context"
	"time"
)

// FirstHeard is what a desk that begins waits for accounting.
const FirstHeard = firstHeard

// ProveDue proves what is due at a desk that began then.
func (a *Access) ProveDue(ctx context.Context, began time.Time) {
	for _, w := range a.all {
		a.proveDue(ctx, w, began, time.Time{})
	}
}

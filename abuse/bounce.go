package abuse

import (
	"context"
	"encoding/json"
	"errors"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/reading"
)

// BounceTask is what a reader process is asked for a mail that came to a return path.
const BounceTask = "abuse.bounce"

// LookBounce reads such a mail in a reader process.
func LookBounce(raw []byte, _ json.RawMessage) json.RawMessage {
	out, err := json.Marshal(reading.BounceOf(raw))
	if err != nil {
		return nil
	}
	return out
}

// takeBounce takes a mail that came back. Nothing of it is kept: what it says of a message
// is done once, and a mail over which the reader dies says nothing.
func (d *Desk) takeBounce(ctx context.Context, body []byte) error {
	in, err := door.DecodeBounce(body)
	if err != nil {
		return err
	}
	answer, err := d.p.Reader.Look(ctx, BounceTask, in.Body, nil)
	if errors.Is(err, ErrDied) || errors.Is(err, bolwerk.ErrInvalid) {
		d.count.deaths.Inc()
		d.log.Warn("a reader died over a mail that came back", "how", err)
		return nil
	}
	if err != nil {
		return err
	}
	var b reading.Bounce
	if err := json.Unmarshal(answer, &b); err != nil {
		return nil // as if it said nothing
	}
	to := b.To
	if in.To != "" {
		to = append([]string{in.To}, to...)
	}
	return d.inform.Bounced(ctx, to, b)
}

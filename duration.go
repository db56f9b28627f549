package bolwerk

import (
	"strings"
	"time"
)

// Duration is a time span as a configuration writes it: "90s", "4h", "14d".
type Duration time.Duration

// D is the span as the standard library has it.
func (d Duration) D() time.Duration { return time.Duration(d) }

func (d Duration) String() string {
	if day := 24 * time.Hour; d.D() >= day && d.D()%day == 0 {
		return strings.TrimSuffix((d.D()/24).String(), "h0m0s") + "d"
	}
	return d.D().String()
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads, and whole days as "14d".
func (d *Duration) UnmarshalText(b []byte) error {
	text := string(b)
	if n, ok := strings.CutSuffix(text, "d"); ok {
		text = n + "h"
		v, err := time.ParseDuration(text)
		if err != nil || v < 0 || v > 36500*time.Hour {
			return Invalid("duration %q: want a number with a unit, such as 90s, 4h or 14d", b)
		}
		*d = Duration(24 * v)
		return nil
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return Invalid("duration %q: want a number with a unit, such as 90s, 4h or 14d", b)
	}
	*d = Duration(v)
	return nil
}

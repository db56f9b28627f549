package job

import (
	"errors"

	"bolwerk"
)

// final says that trying again cannot help.
func final(err error) bool {
	return errors.Is(err, bolwerk.ErrInvalid) || errors.Is(err, bolwerk.ErrForbidden)
}

//go:build !linux

package terminal

import (
	"errors"
	"os"
)

func size(*os.File) (columns, lines int, ok bool) { return 0, 0, false }

func keys(*os.File) (restore func(), err error) { return nil, errors.ErrUnsupported }

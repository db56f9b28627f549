package retest

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// ours is the error where it is of our side. That nobody answered, or refused, is an
// answer about the line.
func ours(err error) error {
	var late net.Error
	switch {
	case err == nil, errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ECONNRESET), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.As(err, &late) && late.Timeout():
		return nil
	}
	return err
}

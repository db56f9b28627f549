//go:build !linux

package reading

func canLimit() bool { return false }

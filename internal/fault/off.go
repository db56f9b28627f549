//go:build !fault

package fault

// Point does nothing in a build without the tag.
func Point(string) error { return nil }

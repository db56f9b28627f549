//go:build !fault

package fault

// On says that this build has faults in it.
const On = false

// Point does nothing in a build without the tag.
func Point(string) error { return nil }

// Torn is false in a build without the tag.
func Torn(string) bool { return false }

// Kill does nothing in a build without the tag.
func Kill() {}

//go:build linux && !amd64 && !arm64

package reading

// The filter's numbers and byte order were not checked on this architecture.
const auditArch = 0

var ocrNeedsHere []uint32

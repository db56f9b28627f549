package desk

// Waits is what waits for a person at a desk, as the first page tells it.
type Waits struct {
	Path string // of the page that lists it
	Text string // key of its name
	Counted
}

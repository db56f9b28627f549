package shield

import (
	"bufio"
	"io"
)

// maxLine bounds one line of a list of orders.
const maxLine = 64 << 10

func newLines(r io.Reader) *bufio.Scanner {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	return sc
}

package playbook

import (
	"bytes"
	"errors"

	"github.com/pelletier/go-toml/v2"

	"bolwerk"
)

// Parse reads a file of books, as they stand in the configuration below [abuse], and
// says everything that is wrong with them.
func Parse(raw []byte) ([]Book, error) {
	var file struct {
		Playbooks []Book `toml:"playbook"`
	}
	d := toml.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return nil, bolwerk.Invalid("playbooks: unknown settings:\n%s", strict.String())
		}
		return nil, bolwerk.Invalid("playbooks: %v", err)
	}
	if len(file.Playbooks) == 0 {
		return nil, bolwerk.Invalid("no [[playbook]] in it")
	}
	return file.Playbooks, Check(file.Playbooks)
}

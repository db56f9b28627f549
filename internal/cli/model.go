package cli

import "github.com/alecthomas/kong"

// Model is every command with what it takes, for the list in the documents.
func Model() (*kong.Application, error) {
	k, err := kong.New(&grammar{}, kong.Name("bolwerk"), kong.Description(description),
		kong.Vars{"data": "the demo's ./bolwerk-demo, else /var/lib/bolwerk"})
	if err != nil {
		return nil, err
	}
	return k.Model, nil
}

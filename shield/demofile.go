package shield

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"bolwerk"
)

// DemoFileName is the file in the demo's folder that says where everything is.
const DemoFileName = "demo.json"

// DemoFile is where the parts of a running demo are reached. Sites are
// addresses with their scheme, the rest host:port, files absolute paths.
type DemoFile struct {
	Console   string `json:"console"`
	Public    string `json:"public"`
	DNS       string `json:"dns"`
	RPZ       string `json:"rpz"`
	Warning   string `json:"warning"`
	TLS       string `json:"tls"`
	SMTP      string `json:"smtp"`
	HandIn    string `json:"handin"`
	Metrics   string `json:"metrics"`
	Upstream  string `json:"upstream"`
	TokenFile string `json:"token_file"`
	Data      string `json:"data"`
}

// ReadDemoFile reads DIR/demo.json. bolwerk.ErrNotFound says that no demo has
// left one there.
func ReadDemoFile(dir string) (DemoFile, error) {
	path := filepath.Join(dir, DemoFileName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return DemoFile{}, bolwerk.NotFound("no demo in %s", dir)
	}
	if err != nil {
		return DemoFile{}, fmt.Errorf("demo file: %w", err)
	}
	var d DemoFile
	if err := json.Unmarshal(b, &d); err != nil {
		return d, bolwerk.Invalid("%s: %v", path, err)
	}
	if d.TokenFile != "" && !filepath.IsAbs(d.TokenFile) {
		d.TokenFile = filepath.Join(dir, d.TokenFile)
	}
	return d, nil
}

// Write puts the file into dir in one step: a reader sees all of it or none.
func (d DemoFile) Write(dir string) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+DemoFileName)
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("demo file: %w", err)
	}
	return os.Rename(tmp, filepath.Join(dir, DemoFileName))
}

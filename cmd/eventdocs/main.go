// Command eventdocs writes docs/events.md: every command and event, with its
// subject, schema and a sample, and every failure code. All of it is derived
// from the operations, the schemas and the codes; `go generate ./...` runs it.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("o", "docs/events.md", "file to write")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "eventdocs:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	root, err := moduleRoot(".")
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := write(&text, root); err != nil {
		return err
	}
	return os.WriteFile(out, text.Bytes(), 0o644)
}

// moduleRoot is the folder with go.mod that dir is in.
func moduleRoot(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

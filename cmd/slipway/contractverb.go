package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// contractCmd is about contracts, wherever they are. Nothing is written.
type contractCmd struct {
	Check contractCheckCmd `cmd:"" help:"Say everything that is wrong with a contract, and how its files are written."`
	Find  contractFindCmd  `cmd:"" help:"List the contracts of a directory, a repository or a prefix."`
}

// contractPlace is where contracts are. The credentials are this program's own.
type contractPlace struct {
	Place       string `arg:"" optional:"" default:"." help:"Directory, or url of a repository, a directory or a prefix of an object store."`
	Branch      string `help:"Branch whose newest commit is meant. Default: the main one, or in a directory the files as they are."`
	Tag         string `help:"Tag whose commit is meant."`
	Commit      string `help:"Commit that is meant: 40 hexadecimal digits."`
	Credentials string `help:"Id of the credentials, found as workers find them." placeholder:"ID"`
}

type contractCheckCmd struct {
	contractPlace

	ContractPath    string `help:"Folder of the contract. Default: the root."`
	ModelType       string `help:"Type of the model, to be held against the contract." placeholder:"TYPE"`
	ExplainerType   string `help:"Type of the explainer, likewise." placeholder:"TYPE"`
	TransformerType string `help:"Type of the transformer, likewise." placeholder:"TYPE"`
}

// checkedContract is what a check of a contract comes to.
type checkedContract struct {
	deployment.Contract

	Right    bool                 `json:"right"`
	Message  string               `json:"message,omitempty"` // why it is not right
	Findings []deployment.Finding `json:"findings"`
	Files    []cleanFile          `json:"files"` // as they are written; not those of the model itself
}

// cleanFile is a file of a contract in the one form that is written.
type cleanFile struct {
	Path    string `json:"path"`
	Content string `json:"content"`
	Clean   bool   `json:"clean"` // whether it is so already
}

// Run checks the contract. One that is not right ends the program with exit code 3.
func (c *contractCheckCmd) Run(ctx context.Context, p *program) error {
	at, err := contract.ParsePath(c.ContractPath)
	if err != nil {
		return exitf(exitUsage, "--contract-path: %w", err)
	}
	declared, err := c.types()
	if err != nil {
		return err
	}
	place, err := p.open(ctx, c.contractPlace)
	if err != nil {
		return err
	}
	defer place.close()
	checked := checkedContract{Contract: place.from, Findings: []deployment.Finding{}, Files: []cleanFile{}}
	checked.Path = string(at)
	if err := checked.read(ctx, place.files, at, declared); err != nil {
		return err
	}
	if err := p.printChecked(checked); err != nil {
		return err
	}
	if !checked.Right {
		return &exitError{exitRejected, errSaid}
	}
	return nil
}

// types are those of the flags.
func (c *contractCheckCmd) types() (types contract.Types, err error) {
	for _, flag := range []struct {
		name, text string
		into       interface{ UnmarshalJSON(text []byte) error }
	}{
		{"model-type", c.ModelType, &types.Model},
		{"explainer-type", c.ExplainerType, &types.Explainer},
		{"transformer-type", c.TransformerType, &types.Transformer},
	} {
		if flag.text == "" {
			continue
		}
		if err := flag.into.UnmarshalJSON(typeText(flag.text)); err != nil {
			return types, exitf(exitUsage, "--%s: %w", flag.name, err)
		}
	}
	return types, nil
}

// read reads the contract and says what is wrong with it. Types are not in its
// files: that nobody has declared one is no fault of the contract.
func (c *checkedContract) read(ctx context.Context, files fs.FS, at contract.Path, declared contract.Types) error {
	read, err := contract.Read(ctx, files, at)
	if err == nil {
		c.Digest = read.Digest()
		for _, f := range read.Files(at) {
			is, err := fs.ReadFile(files, f.Name)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			c.Files = append(c.Files, cleanFile{f.Name, string(f.Content), bytes.Equal(is, f.Content)})
		}
		var types contract.Types
		if types, err = read.Resolve(declared, contract.Types{}); err == nil {
			c.ModelType = string(types.Model)
		} else if declared == (contract.Types{}) {
			err = nil
		}
	}
	refused, ok := errors.AsType[*deployment.Rejection](err)
	switch {
	case ok:
		c.Message, c.Findings = refused.Message, refused.Findings
	case err != nil:
		return err
	}
	c.Right = !ok
	return nil
}

func (p *program) printChecked(c checkedContract) error {
	if p.output == "json" {
		return p.printJSON(c)
	}
	name := folderText(c.Path)
	if !c.Right {
		fmt.Fprintf(p.stdout, "%s: %s\n", name, c.Message)
		for _, f := range c.Findings {
			fmt.Fprintf(p.stdout, "  %s  %s: %s\n", f.Code, f.Path, f.Message)
		}
		return nil
	}
	fmt.Fprintf(p.stdout, "%s: the contract is right\n", name)
	if err := p.printFields([][2]string{
		{"  repository", c.Repository},
		{"  url", c.URL},
		{"  branch", c.Branch},
		{"  commit", c.Commit},
		{"  digest", string(c.Digest)},
		{"  model type", c.ModelType},
	}); err != nil {
		return err
	}
	for _, f := range c.Files {
		if f.Clean {
			fmt.Fprintf(p.stdout, "%s is in clean form\n", f.Path)
		} else {
			fmt.Fprintf(p.stdout, "%s in clean form:\n%s", f.Path, f.Content)
		}
	}
	return nil
}

// folderText names the folder of a contract.
func folderText(path string) string {
	if path == "" {
		return "."
	}
	return path
}

type contractFindCmd struct{ contractPlace }

// foundContract is one contract of a place.
type foundContract struct {
	Path     string               `json:"path"`
	Right    bool                 `json:"right"`
	Findings []deployment.Finding `json:"findings"`
}

// Run lists the contracts, right or not.
func (c *contractFindCmd) Run(ctx context.Context, p *program) error {
	place, err := p.open(ctx, c.contractPlace)
	if err != nil {
		return err
	}
	defer place.close()
	paths, err := contract.Find(ctx, place.files)
	if err != nil {
		return err
	}
	list, rows := []foundContract{}, [][]string{}
	for _, at := range paths {
		checked := checkedContract{Findings: []deployment.Finding{}}
		if err := checked.read(ctx, place.files, at, contract.Types{}); err != nil {
			return err
		}
		list = append(list, foundContract{string(at), checked.Right, checked.Findings})
		rows = append(rows, []string{folderText(string(at)), fmt.Sprint(len(checked.Findings))})
	}
	if p.output == "json" {
		return p.printJSON(list)
	}
	return p.printTable("PATH FINDINGS", rows)
}

// openPlace is a place that is open.
type openPlace struct {
	files fs.FS
	from  deployment.Contract
	close func()
}

// open opens a place: files of this machine as they are, anything else as
// workers do.
func (p *program) open(ctx context.Context, c contractPlace) (openPlace, error) {
	where := c.Place
	if u, err := url.Parse(c.Place); err == nil && u.Scheme == "file" && u.Host == "" {
		where = u.Path
	}
	info, err := os.Stat(where)
	local := err == nil && info.IsDir()
	if !local && !strings.Contains(c.Place, ":") {
		return openPlace{}, exitf(exitNotFound, "there is no directory %s", where)
	}
	if local && c.Branch+c.Tag+c.Commit == "" && !isBare(where) {
		root, err := os.OpenRoot(where)
		if err != nil {
			return openPlace{}, err
		}
		return openPlace{files: root.FS(), close: func() { _ = root.Close() }}, nil
	}
	if local {
		if c.Place, err = filepath.Abs(where); err != nil {
			return openPlace{}, err
		}
	}
	contracts, done, err := p.contracts(ctx, c)
	if err != nil {
		return openPlace{}, err
	}
	place, err := contracts.Open(ctx, deployment.Source{
		Route: deployment.RouteExisting, URL: c.Place, Branch: c.Branch, Tag: c.Tag, Commit: c.Commit, CredentialsID: c.Credentials,
	})
	if err != nil {
		done()
		return openPlace{}, refusedPlace(err)
	}
	return openPlace{files: place.Files, from: place.From, close: func() { _ = place.Close(); done() }}, nil
}

// isBare reports whether a directory is a git repository without a work tree.
func isBare(dir string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// refusedPlace is err as the program ends with it: what is wrong with the place
// was typed, unless the place says so.
func refusedPlace(err error) error {
	r, ok := errors.AsType[*deployment.Rejection](err)
	if !ok {
		return err
	}
	code := classCode(r.Class)
	if code == exitRejected {
		code = exitUsage
	}
	return exitf(code, "%s: %s", r.Code, r.Message)
}

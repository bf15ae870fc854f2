package sourcing

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// Stores opens object stores that hold contracts. What cannot be opened is a
// *deployment.Rejection, and so is what may not be listed or read; every other
// error may pass.
type Stores interface {
	// Store is the store that a url of the schemes s3, gs, azblob or objects
	// names, and what of the names in it the url says. credentialsID may be "".
	Store(ctx context.Context, url, credentialsID string) (store contract.Store, prefix string, err error)
}

// Place is the files among which a contract lies.
type Place struct {
	Files fs.FS
	From  deployment.Contract // where they are: repository, branch, tag and commit, or url

	close   func() error
	changes bool // while it is read
}

// Close gives back what the place needs.
func (p *Place) Close() error { return p.close() }

// Open opens what a source of the route existing names: a commit of a git
// repository, a directory, or the objects below a prefix. What cannot be opened
// is a *deployment.Rejection; every other error may pass.
func (c *Contracts) Open(ctx context.Context, s deployment.Source) (*Place, error) {
	u, err := url.Parse(s.URL)
	if err != nil { // git has other spellings, and says what is wrong
		return c.repository(ctx, s)
	}
	switch u.Scheme {
	case "s3", "gs", "azblob", "objects":
		return c.prefix(ctx, s, u.Scheme)
	case "file":
		if c.AllowDirectories && s.Branch+s.Tag+s.Commit == "" && !isRepository(u.Path) {
			return directory(ctx, s)
		}
	}
	return c.repository(ctx, s)
}

// repository is a commit of a git repository.
func (c *Contracts) repository(ctx context.Context, s deployment.Source) (*Place, error) {
	source, err := c.source(ctx, s)
	if err != nil {
		return nil, err
	}
	snapshot, err := c.Repositories.Open(ctx, source)
	if err != nil {
		return nil, err
	}
	return &Place{
		Files: snapshot, close: snapshot.Close,
		From: deployment.Contract{
			Repository: s.URL, Branch: snapshot.Branch, Tag: s.Tag, Commit: snapshot.Commit,
			Message: deployment.Headline(snapshot.Message),
		},
	}, nil
}

// prefix is the objects below a prefix.
func (c *Contracts) prefix(ctx context.Context, s deployment.Source, scheme string) (*Place, error) {
	if err := checkPlace(s, scheme); err != nil {
		return nil, err
	}
	if c.Stores == nil {
		return nil, deployment.Reject(deployment.CodeURLNotAllowed, "source.url", "%s urls are not set up here: use a git repository", scheme)
	}
	store, prefix, err := c.Stores.Store(ctx, s.URL, s.CredentialsID)
	if err != nil {
		return nil, err
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	below, err := contract.OpenPrefix(ctx, store, prefix)
	if errors.Is(err, contract.ErrTooMany) {
		return nil, deployment.Reject(deployment.CodeRepositoryTooLarge, "source.url", "there are too many objects below the prefix: expected those of a few contracts")
	}
	if err != nil {
		return nil, err
	}
	return &Place{Files: below, From: deployment.Contract{URL: s.URL}, close: func() error { return nil }}, nil
}

// checkPlace refuses what only a git repository has.
func checkPlace(s deployment.Source, scheme string) error {
	var findings []deployment.Finding
	for _, m := range []struct{ name, text string }{{"branch", s.Branch}, {"tag", s.Tag}, {"commit", s.Commit}} {
		if m.text != "" {
			findings = append(findings, deployment.Finding{
				Code: deployment.CodeInvalidField, Path: "source." + m.name, Message: "is of a git repository: expected nothing there for " + scheme + " urls",
			})
		}
	}
	if s.CredentialsID != "" && (scheme == "file" || scheme == "objects") {
		findings = append(findings, deployment.Finding{
			Code: deployment.CodeInvalidField, Path: "source.credentialsId", Message: scheme + " urls need none: expected nothing there",
		})
	}
	if r := deployment.RejectAll(deployment.InvalidData, findings); r != nil {
		return r
	}
	return nil
}

// isRepository reports whether a directory is a git repository, with a work tree
// or without.
func isRepository(dir string) bool {
	there := func(names ...string) bool {
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				return false
			}
		}
		return true
	}
	return there(".git") || there("HEAD", "objects", "refs")
}

// directory opens a directory of this machine.
func directory(ctx context.Context, s deployment.Source) (*Place, error) {
	if err := checkPlace(s, "file"); err != nil {
		return nil, err
	}
	u, err := contract.ParseURL(s.URL, "file")
	switch {
	case err != nil:
		return nil, deployment.Reject(deployment.CodeURLInvalid, "source.url", "%s", err)
	case u.Host != "" && u.Host != "localhost", !filepath.IsAbs(u.Path), u.RawQuery != "", u.Fragment != "", strings.ContainsRune(u.Path, 0):
		return nil, deployment.Reject(deployment.CodeURLInvalid, "source.url", "expected the absolute path of a directory, as file:///path")
	}
	name := filepath.Clean(u.Path)
	info, err := os.Stat(name)
	if err == nil && !info.IsDir() {
		err = fs.ErrNotExist
	}
	var root *contract.Root
	if err == nil {
		root, err = (&contract.Folder{Dir: name}).Open(ctx)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, deployment.Reject(deployment.CodeRepositoryNotFound, "source.url", "there is no directory %s", name)
	case errors.Is(err, fs.ErrPermission):
		return nil, deployment.Reject(deployment.CodeRepositoryForbidden, "source.url", "directory %s may not be read", name)
	case err != nil:
		return nil, err
	}
	return &Place{Files: root, From: deployment.Contract{URL: s.URL}, close: root.Close, changes: true}, nil
}

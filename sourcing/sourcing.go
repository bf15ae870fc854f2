// Package sourcing turns a contract in a git repository, a directory or an object
// store into a model that can be deployed: it reads and checks the contract, keeps
// the model's file by its digest, and finds out what the contract leaves to the file. For commands
// that say what a contract is to be, it plans that, and writes it. Start reading
// at Contracts.Read.
package sourcing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
)

// Contracts reads contracts where commands say that they are, and writes them.
type Contracts struct {
	Repositories Repositories
	Credentials  Credentials
	Artifacts    Artifacts
	Objects      Objects                                                              // keeps the contracts of commands that name no repository
	Author       git.Person                                                           // of commits; for whom a command was sent is their author, if the command says it
	Stores       Stores                                                               // object stores that hold contracts; nil: none
	Images       Images                                                               // nil: images are not looked up
	Load         func(path string, m deployment.Model) (deployment.Inspection, error) // predict.Inspect

	AllowDirectories bool // whether a file url may name a directory of this machine
}

// Repositories opens what a source means, and changes contracts there;
// *git.Repositories is one.
type Repositories interface {
	Open(ctx context.Context, s git.Source) (*git.Snapshot, error)
	Plan(ctx context.Context, s git.Source, c git.Commit) (git.Result, error)
	Write(ctx context.Context, s git.Source, c git.Commit) (git.Result, error)
}

// Credentials finds secrets by their id, for the server of a url;
// *credentials.Finder is one.
type Credentials interface {
	For(ctx context.Context, id, url string) (credentials.Secret, error)
}

// Artifacts makes files ours; *artifacts.Store is one.
type Artifacts interface {
	Pin(ctx context.Context, a deployment.Artifact, progress func(done, total int64)) (path string, err error)
	Take(ctx context.Context, url, credentialsID string, progress func(done, total int64)) (deployment.Artifact, error)
	Keep(ctx context.Context, name string, open func(context.Context) (io.ReadCloser, int64, error), progress func(done, total int64)) (deployment.Artifact, error)
	Open(ctx context.Context, d deployment.Digest, size int64) (path string, err error)
}

// Read reads the contract, pinned to the commit that the source means now, or
// plans what the source wants written, and keeps the model's file. Everything that
// is wrong is said at once, in a *deployment.Rejection; every other error may
// pass. Nothing is written but a copy of the model's file, and that only when it
// can be served.
func (c *Contracts) Read(ctx context.Context, r deployment.Reading, progress func(string)) (deployment.Sourced, error) {
	w := parse(r)
	if r.Source.Route.Writes() {
		return c.plan(ctx, r, w, progress)
	}
	if err := w.rejection(); err != nil {
		return deployment.Sourced{}, err
	}
	return c.existing(ctx, r, w, progress)
}

// existing reads a contract that is there. Where no commit tells later what was
// there, what it says is pinned by its digest, and its model by that of the file.
func (c *Contracts) existing(ctx context.Context, r deployment.Reading, w wanted, progress func(string)) (s deployment.Sourced, err error) {
	progress("fetching the repository")
	p, err := c.Open(ctx, r.Source)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	s, err = c.readIn(ctx, p, r, w, progress)
	if err != nil || !p.changes {
		return s, err
	}
	again, err := contract.Read(ctx, p.Files, w.at)
	if err != nil || again.Digest() != s.Contract.Digest {
		return s, fmt.Errorf("contract in %s: %w", r.Source.URL, contract.ErrChanged)
	}
	return s, nil
}

// readIn reads a contract in a place.
func (c *Contracts) readIn(ctx context.Context, p *Place, r deployment.Reading, w wanted, progress func(string)) (s deployment.Sourced, err error) {
	progress("reading the contract")
	read, err := contract.Read(ctx, p.Files, w.at)
	if err != nil {
		return s, err
	}
	types, err := read.Resolve(w.types, recorded(r.Recorded))
	if err != nil {
		return s, relocate(err, typeMembers)
	}
	s.Contract = pinned(p.From, r.Source, read, types)
	if s.Unsupported = unsupported(w.at, read, types); len(s.Unsupported) > 0 {
		s.Images, err = c.images(ctx, imagesOf(w.at, read, types), progress)
		return s, err
	}
	s.Model, err = c.model(ctx, p.Files, described{at: w.at, contract: read, format: formats()[types.Model], target: r.Source.Target}, progress)
	return s, err
}

// pinned is what is recorded of a contract that was read where from says.
func pinned(from deployment.Contract, s deployment.Source, of contract.Contract, types contract.Types) deployment.Contract {
	from.Path, from.Digest, from.ModelType, from.CredentialsID = s.ContractPath, of.Digest(), string(types.Model), s.CredentialsID
	if of.Explainer != nil { // of one that is not there nothing was said
		from.ExplainerType = string(types.Explainer)
	}
	if of.Transformer != nil {
		from.TransformerType = string(types.Transformer)
	}
	return from
}

// source is where the repository is, with the secret that its id names.
func (c *Contracts) source(ctx context.Context, s deployment.Source) (git.Source, error) {
	out := git.Source{URL: s.URL, Branch: s.Branch, Tag: s.Tag, Commit: s.Commit}
	if s.CredentialsID == "" {
		return out, nil
	}
	secret, err := c.Credentials.For(ctx, s.CredentialsID, s.URL)
	if err != nil {
		return out, err
	}
	out.Credentials = git.Credentials{User: secret.User, Secret: secret.Password, Key: secret.Key, Phrase: secret.Phrase}
	return out, nil
}

// relocate is err with the paths of its findings as path has them.
func relocate(err error, path func(string) string) error {
	r, ok := errors.AsType[*deployment.Rejection](err)
	if !ok {
		return err
	}
	located := *r
	located.Findings = make([]deployment.Finding, len(r.Findings))
	for i, f := range r.Findings {
		f.Path = path(f.Path)
		located.Findings[i] = f
	}
	return &located
}

// open opens a file of the snapshot.
func open(fsys fs.FS, name string) func(context.Context) (io.ReadCloser, int64, error) {
	return func(context.Context) (io.ReadCloser, int64, error) {
		f, err := fsys.Open(name)
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		if err != nil {
			return nil, 0, errors.Join(err, f.Close())
		}
		return f, info.Size(), nil
	}
}

// quarters tells progress of every quarter of a file that was fetched.
func quarters(progress func(string)) func(done, total int64) {
	var told int64
	return func(done, total int64) {
		if q := 4 * done / max(total, 1); q > told {
			told = q
			progress(fmt.Sprintf("fetched %d of %d bytes", done, total))
		}
	}
}

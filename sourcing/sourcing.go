// Package sourcing turns a contract in a git repository into a model that can be
// deployed: it reads and checks the contract at a commit, keeps the model's file
// by its digest, and finds out what the contract leaves to the file. Start
// reading at Contracts.Read.
package sourcing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
)

// Contracts reads contracts where commands say that they are.
type Contracts struct {
	Repositories Repositories
	Credentials  Credentials
	Artifacts    Artifacts
	Load         func(path string, m deployment.Model) (deployment.Inspection, error) // predict.Inspect
}

// Repositories opens what a source means; *git.Repositories is one.
type Repositories interface {
	Open(ctx context.Context, s git.Source) (*git.Snapshot, error)
}

// Credentials finds secrets by their id, for the server of a url;
// *credentials.Finder is one.
type Credentials interface {
	For(ctx context.Context, id, url string) (credentials.Secret, error)
}

// Artifacts makes files ours; *artifacts.Store is one.
type Artifacts interface {
	Take(ctx context.Context, url, credentialsID string, progress func(done, total int64)) (deployment.Artifact, error)
	Keep(ctx context.Context, name string, open func(context.Context) (io.ReadCloser, int64, error), progress func(done, total int64)) (deployment.Artifact, error)
	Open(ctx context.Context, d deployment.Digest, size int64) (path string, err error)
}

// Read reads the contract, pinned to the commit that the source means now, and
// keeps its model's file. Everything that is wrong with the contract is said at
// once, in a *deployment.Rejection; every other error may pass. Nothing is
// written but a copy of the model's file, and that only when it can be served.
func (c *Contracts) Read(ctx context.Context, r deployment.Reading, progress func(string)) (s deployment.Sourced, err error) {
	if r.Source.Route.Writes() {
		return s, deployment.Reject(deployment.CodeInvalidField, "source.route", "contracts are not written here: expected the route %s", deployment.RouteExisting)
	}
	at, declared, err := parse(r.Source)
	if err != nil {
		return s, err
	}
	source, err := c.source(ctx, r.Source)
	if err != nil {
		return s, err
	}
	progress("fetching the repository")
	snapshot, err := c.Repositories.Open(ctx, source)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	progress("reading the contract")
	read, err := contract.Read(ctx, snapshot, at)
	if err != nil {
		return s, err
	}
	types, err := read.Resolve(declared, recorded(r.Recorded))
	if err != nil {
		return s, relocate(err, typeMembers)
	}
	s.Contract = deployment.Contract{
		Repository: r.Source.URL, Branch: snapshot.Branch, Tag: r.Source.Tag, Commit: snapshot.Commit,
		Path: r.Source.ContractPath, Digest: read.Digest(), ModelType: string(types.Model),
	}
	if s.Unsupported = unsupported(at, read, types); len(s.Unsupported) > 0 {
		return s, nil
	}
	s.Model, err = c.model(ctx, snapshot, described{at: at, contract: read, format: formats()[types.Model], target: r.Source.Target}, progress)
	return s, err
}

// Write writes no contract.
func (c *Contracts) Write(context.Context, deployment.Writing, func(string)) (deployment.ContractChange, error) {
	return deployment.ContractChange{}, deployment.Reject(deployment.CodeInvalidField, "source.route", "contracts are not written here: expected the route %s", deployment.RouteExisting)
}

// The members of a command's data that findings about types point to, by those
// that the package contract names.
func typeMembers(path string) string {
	switch path {
	case "model.type":
		return "source.modelType"
	case "explainer.type":
		return "source.explainerType"
	case "transformer.type":
		return "source.transformerType"
	default:
		return path
	}
}

// parse reads what a source says in the words of Deeploy.
func parse(s deployment.Source) (at contract.Path, types contract.Types, err error) {
	var findings []deployment.Finding
	note := func(code deployment.Code, path string, err error) {
		if err != nil {
			findings = append(findings, deployment.Finding{Code: code, Path: path, Message: err.Error()})
		}
	}
	at, err = contract.ParsePath(s.ContractPath)
	note(deployment.CodeContractPathInvalid, "source.contractPath", err)
	note(deployment.CodeUnknownEnum, "source.modelType", decode(s.ModelType, &types.Model))
	note(deployment.CodeUnknownEnum, "source.explainerType", decode(s.ExplainerType, &types.Explainer))
	note(deployment.CodeUnknownEnum, "source.transformerType", decode(s.TransformerType, &types.Transformer))
	if r := deployment.RejectAll(deployment.InvalidData, findings); r != nil {
		return at, types, r
	}
	return at, types, nil
}

func decode(text json.RawMessage, into json.Unmarshaler) error {
	if len(text) == 0 {
		return nil
	}
	return into.UnmarshalJSON(text)
}

// recorded are the types of the contract that serves now (deeploy.md D11).
func recorded(c *deployment.Contract) contract.Types {
	if c == nil {
		return contract.Types{}
	}
	return contract.Types{Model: contract.ModelType(c.ModelType)}
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

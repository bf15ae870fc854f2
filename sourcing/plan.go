package sourcing

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
)

// plan says what writing the contract comes to, and keeps the model's file. It
// writes nothing else (deeploy.md D17).
func (c *Contracts) plan(ctx context.Context, r deployment.Reading, w wanted, progress func(string)) (s deployment.Sourced, err error) {
	progress("planning the contract")
	planned, err := c.planned(ctx, r, w)
	if err = w.refuse(r, err); err != nil {
		return s, err
	}
	s.Unsupported = w.unsupported
	s.Contract = deployment.Contract{Repository: r.Source.URL, Branch: planned.Branch, Path: r.Source.ContractPath}
	if len(s.Unsupported) > 0 {
		return s, nil
	}
	of := planned.Plan.Contract
	types, err := of.Resolve(w.types, w.recorded(r.Recorded))
	if err != nil {
		return s, relocate(err, typeMembers)
	}
	s.Contract = pinned(s.Contract, r.Source, of, types)
	s.Change = change(r.Source, planned)
	if s.Change.Empty() {
		s.Contract.Commit = planned.Commit
	}
	if s.Unsupported = unsupported(w.at, of, types); len(s.Unsupported) > 0 {
		for i, f := range s.Unsupported {
			s.Unsupported[i].Path = w.locate(f.Path)
		}
		s.Images, err = c.images(ctx, imagesOf(w.at, of, types), progress)
		for _, image := range s.Images {
			for i, f := range image.Refused {
				image.Refused[i].Path = w.locate(f.Path)
			}
		}
		return s, err
	}
	repository, err := c.holding(ctx, r.Source, planned)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, repository.Close()) }()
	d := described{at: w.at, contract: of, format: formats()[types.Model], target: r.Source.Target, upload: w.upload}
	s.Model, err = c.model(ctx, repository, d, progress)
	return s, relocate(err, w.locateModel)
}

// planned is what the change comes to where it is to be written.
func (c *Contracts) planned(ctx context.Context, r deployment.Reading, w wanted) (git.Result, error) {
	if len(w.unsupported) > 0 || !w.plannable() {
		return git.Result{}, nil
	}
	if r.Source.URL == "" {
		return c.planObjects(ctx, r, w)
	}
	source, err := c.source(ctx, r.Source)
	if err != nil {
		return git.Result{}, err
	}
	return c.Repositories.Plan(ctx, source, git.Commit{At: w.at, Change: w.change, Message: r.Source.CommitMessage, Author: c.Author})
}

// change is what is planned, as events say it.
func change(s deployment.Source, planned git.Result) *deployment.ContractChange {
	plan := planned.Plan
	out := &deployment.ContractChange{
		Repository: s.URL, Branch: planned.Branch, ContractPath: s.ContractPath, Digest: plan.Contract.Digest(),
		Files: make([]deployment.ContractFile, len(plan.Write)), Removed: plan.Remove, Kept: plan.Kept,
	}
	for i, f := range plan.Write {
		out.Files[i] = deployment.ContractFile{Path: f.Name, Content: string(f.Content)}
	}
	switch {
	case out.Empty():
		out.Commit = planned.Commit
	case s.URL != "":
		out.Message = strings.TrimSpace(cmp.Or(s.CommitMessage, plan.Message()))
	}
	return out
}

// snapshot is the files of a repository.
type snapshot interface {
	fs.FS
	Close() error
}

// holding is the repository as it was planned on, if the model is a file in it
// that stays.
func (c *Contracts) holding(ctx context.Context, s deployment.Source, planned git.Result) (snapshot, error) {
	if planned.Plan.Contract.Model.File == nil {
		return nowhere{}, nil
	}
	source, err := c.source(ctx, s)
	if err != nil {
		return nil, err
	}
	source.Branch, source.Commit = planned.Branch, planned.Commit
	return c.Repositories.Open(ctx, source)
}

// nowhere holds no files.
type nowhere struct{}

func (nowhere) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (nowhere) Close() error { return nil }

// plannable reports whether it makes sense to look at what is there: the folder
// can be named, and there is something to write.
func (w *wanted) plannable() bool {
	for _, f := range w.found {
		if f.Code == deployment.CodeContractPathInvalid {
			return false
		}
	}
	return w.change.Model != nil || w.change.Explainer != nil || w.change.Transformer != nil || w.change.Metadata != nil
}

// refuse joins what is wrong with the command with what planning has found, which
// is everything then. It is nil when nothing is.
func (w *wanted) refuse(r deployment.Reading, err error) error {
	refused, wrong := errors.AsType[*deployment.Rejection](err)
	switch {
	case !wrong && (err == nil || len(w.found) > 0):
		return w.rejection() // that the repository cannot be asked makes a wrong command no better
	case !wrong:
		return err
	}
	out := deployment.Rejection{Code: refused.Code, Class: refused.Class, Message: refused.Message}
	if len(w.found) > 0 {
		first := w.found[0].Code
		out = deployment.Rejection{Code: first, Class: first.Class(), Message: deployment.InvalidData, Findings: w.found}
	}
	for _, f := range refused.Findings {
		if f.Path = w.locate(f.Path); !w.noted(f.Path) {
			out.Findings = append(out.Findings, f)
		}
	}
	if len(w.found) == 0 {
		out.Findings = append(out.Findings, w.typeFindings(r)...)
	}
	return &out
}

// noted reports whether something is said already of the part of the command that
// a path is in.
func (w *wanted) noted(at string) bool {
	for _, f := range w.found {
		for _, part := range []struct{ command, file string }{
			{"source.model", "source.model"},
			{"source.explainer", "source.explainer"},
			{"source.transformer", "source.transformer"},
			{"source.metadata", w.metadataFile() + "#"},
			{"source.artifact", "source.artifact"},
		} {
			if below(f.Path, part.command) && (below(at, part.file) || strings.HasPrefix(at, part.file)) {
				return true
			}
		}
	}
	return false
}

// below reports whether a path is of the member, or of one in it.
func below(path, member string) bool {
	rest, ok := strings.CutPrefix(path, member)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// typeFindings are what is wrong with the type of a model that is given, when the
// contract around it could not be planned.
func (w *wanted) typeFindings(r deployment.Reading) []deployment.Finding {
	if w.change.Model == nil {
		return nil
	}
	_, err := contract.Contract{Model: contract.Part{Reference: w.change.Model}}.Resolve(contract.Types{Model: w.types.Model}, recorded(r.Recorded))
	if refused, wrong := errors.AsType[*deployment.Rejection](relocate(err, typeMembers)); wrong {
		return refused.Findings
	}
	return nil
}

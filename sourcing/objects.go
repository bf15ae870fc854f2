package sourcing

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
)

// Objects is the object store that keeps contracts; *jetstream.Objects is one.
// Get and Size return an error that wraps fs.ErrNotExist when there is no such
// object.
type Objects interface {
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	Put(ctx context.Context, name string, r io.Reader) error
	Size(ctx context.Context, name string) (int64, error) // bytes
}

// Prefix is what the names of the objects begin with that keep the contract of
// that digest. What is there never changes.
func Prefix(d deployment.Digest) string { return "contracts/" + d.Hex() + "/" }

// planObjects plans a contract that is to be kept in the object store: that of
// the model that serves, if it is kept there, with the change.
func (c *Contracts) planObjects(ctx context.Context, r deployment.Reading, w wanted) (git.Result, error) {
	kept := keptContract{Objects: c.Objects, at: w.at}
	prefix := ""
	if before := r.Recorded; before != nil && before.Repository == "" && before.URL == "" && before.Path == string(w.at) {
		prefix = Prefix(before.Digest)
	}
	base, err := contract.OpenPrefix(ctx, kept, prefix)
	if err != nil {
		return git.Result{}, err
	}
	change := w.change
	change.Overwrite = true // nothing is: each contract has a place of its own
	plan, err := change.Plan(ctx, base, w.at)
	if err != nil {
		return git.Result{}, err
	}
	plan.Write, plan.Remove = nil, nil
	for _, f := range plan.Contract.Files(w.at) {
		size, err := c.Objects.Size(ctx, Prefix(plan.Contract.Digest())+f.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && size != int64(len(f.Content)):
			plan.Write = append(plan.Write, f)
		case err != nil:
			return git.Result{}, err
		}
	}
	return git.Result{Changed: !plan.Empty(), Plan: plan}, nil
}

// writeObjects keeps a contract as it was planned.
func (c *Contracts) writeObjects(ctx context.Context, planned git.Result) error {
	for _, f := range planned.Plan.Write {
		if err := c.Objects.Put(ctx, Prefix(planned.Plan.Contract.Digest())+f.Name, bytes.NewReader(f.Content)); err != nil {
			return err
		}
	}
	return nil
}

// keptContract lists the files of one contract without listing the whole store:
// their names are known.
type keptContract struct {
	Objects

	at contract.Path
}

// List implements contract.Store.
func (k keptContract) List(ctx context.Context, prefix string, _ int) (listed []contract.Object, err error) {
	if prefix == "" { // there is no contract yet
		return nil, nil
	}
	for _, name := range []string{"model/reference.json", "explainer/reference.json", "transformer/reference.json", "metadata.json"} {
		name = prefix + path.Join(string(k.at), name)
		size, err := k.Size(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		listed = append(listed, contract.Object{Name: name, Size: size})
	}
	return listed, nil
}

// Get implements contract.Store.
func (k keptContract) Get(ctx context.Context, o contract.Object) (io.ReadCloser, error) {
	return k.Objects.Get(ctx, o.Name)
}

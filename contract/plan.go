package contract

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Change is what to write into a contract folder. What is nil stays as it is.
type Change struct {
	Model       *Reference
	Explainer   *Reference
	Transformer *Reference
	Metadata    *Metadata

	Overwrite         bool // replace what is in the folders of the parts above
	OverwriteMetadata bool // replace a metadata.json that says something else
}

// Plan is what a change comes to in one repository. A plan without Write and
// Remove has nothing to do: the contract says already what it should.
type Plan struct {
	At       Path
	Contract Contract // what the folder says once the plan is carried out
	Write    []Write  // by name
	Remove   []string // by name
	Kept     []string // files that differ from the change and stay, for want of OverwriteMetadata
	parts    []string // changed, for the message
}

// Write is one file with its new content. Names are from the root of the
// repository.
type Write struct {
	Name    string
	Content []byte
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Write) == 0 && len(p.Remove) == 0 }

// Message says in one line what the plan does, for who wants to say nothing
// else (deeploy.md D8).
func (p Plan) Message() string {
	if p.Empty() {
		return fmt.Sprintf("Nothing to change in %s", p.At)
	}
	list := p.parts[0]
	if n := len(p.parts); n > 1 {
		list = strings.Join(p.parts[:n-1], ", ") + " and " + p.parts[n-1]
	}
	return fmt.Sprintf("Set %s in %s", list, p.At)
}

// Files are the files of the contract but for those that are the model or the
// explainer themselves, as they are written, by name.
func (c Contract) Files(at Path) (files []Write) {
	reference := func(p part, from *Part) {
		if from != nil && from.Reference != nil {
			files = append(files, Write{at.join(p.name, referenceFile), from.Reference.Bytes()})
		}
	}
	reference(explainerPart, c.Explainer)
	if c.Metadata != nil {
		files = append(files, Write{at.join(metadataFile), c.Metadata.Bytes()})
	}
	reference(modelPart, &c.Model)
	reference(transformerPart, c.Transformer)
	return files
}

// Plan decides what to write for the change, from what is in the repository
// now. It writes nothing. Whatever would be wrong with the contract afterwards,
// the parts that stay included, is a *deployment.Rejection with all of it
// (deeploy.md D6, D12, D17); every other error means that the repository could
// not be read.
func (ch Change) Plan(ctx context.Context, fsys fs.FS, at Path) (Plan, error) {
	var f findings
	pl := planner{tree: tree{fsys, ctx, &f}, change: ch, Plan: Plan{At: at}}
	if err := pl.plan(); err != nil {
		return Plan{}, fmt.Errorf("plan contract in %s: %w", at, err)
	}
	if err := f.rejection("the contract in " + at.String() + " cannot be written"); err != nil {
		return Plan{}, err
	}
	slices.SortFunc(pl.Write, func(a, b Write) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(pl.Remove)
	return pl.Plan, nil
}

type planner struct {
	tree
	Plan

	change Change
}

func (pl *planner) plan() error {
	if _, err := ParsePath(string(pl.At)); err != nil {
		pl.found.add(CodePathInvalid, "", "%s", err)
		return nil
	}
	if pl.change == (Change{Overwrite: pl.change.Overwrite, OverwriteMetadata: pl.change.OverwriteMetadata}) {
		pl.found.add(CodeEmptyChange, "", "expected a model, an explainer, a transformer or metadata to write")
		return nil
	}
	if ok, err := pl.canHold(); !ok || err != nil {
		return err
	}
	model, err := pl.part(modelPart, pl.change.Model)
	if err != nil {
		return err
	}
	if model != nil {
		pl.Contract.Model = *model
	} else if folder := pl.At.join(modelPart.name); !pl.found.within(folder) {
		pl.found.add(CodeMissingReference, folder, "missing model reference file in repository: expected a model in the change, or %s in the folder", modelPart.expected())
	}
	if pl.Contract.Explainer, err = pl.part(explainerPart, pl.change.Explainer); err != nil {
		return err
	}
	if pl.Contract.Transformer, err = pl.part(transformerPart, pl.change.Transformer); err != nil {
		return err
	}
	pl.Contract.Metadata, err = pl.metadata()
	return err
}

// canHold reports whether the folder of the contract is there or can be made.
func (pl *planner) canHold() (bool, error) {
	before := len(*pl.found)
	name := pl.At.join(".")
	info, err := pl.look(name)
	if err == nil && info != nil && !info.IsDir() {
		pl.found.add(CodePathInvalid, name, "is not a folder")
	}
	return len(*pl.found) == before, err
}

// part plans one part, and returns what it is afterwards.
func (pl *planner) part(p part, wanted *Reference) (*Part, error) {
	if wanted == nil {
		return pl.tree.part(pl.At, p)
	}
	folder := pl.At.join(p.name)
	before := len(*pl.found)
	wanted.check(p, path.Join(folder, referenceFile)+"#reference", pl.found)
	wrong := len(*pl.found) > before
	before = len(*pl.found)
	entries, err := pl.list(folder)
	if err != nil || len(*pl.found) > before {
		return nil, err
	}
	if !wrong {
		same, err := pl.says(folder, p, entries, *wanted)
		if err != nil {
			return nil, err
		}
		if same {
			return &Part{Reference: wanted}, nil
		}
	}
	if len(entries) > 0 && !pl.change.Overwrite {
		pl.found.add(CodeFolderNotEmpty, folder, "the folder is not empty: set overwriteContract to replace what is in it, or choose another contract path")
		return nil, nil
	}
	if wrong {
		return nil, nil
	}
	if err := pl.empty(folder, entries); err != nil {
		return nil, err
	}
	pl.Write = append(pl.Write, Write{path.Join(folder, referenceFile), wanted.Bytes()})
	pl.parts = append(pl.parts, p.name)
	return &Part{Reference: wanted}, nil
}

// says reports whether the folder holds nothing but this reference, however it
// is spelled.
func (pl *planner) says(folder string, p part, entries []fs.DirEntry, wanted Reference) (bool, error) {
	if len(entries) != 1 || entries[0].Name() != referenceFile || !entries[0].Type().IsRegular() {
		return false, nil
	}
	var ignored findings // what is wrong there now is about to be replaced
	r, err := tree{pl.FS, pl.ctx, &ignored}.reference(folder, p)
	if err != nil || r == nil || len(ignored) > 0 {
		return false, err
	}
	return bytes.Equal(r.Bytes(), wanted.Bytes()), nil
}

// empty removes what is in a folder, but not another contract.
func (pl *planner) empty(folder string, entries []fs.DirEntry) error {
	written := path.Join(folder, referenceFile)
	for _, entry := range entries {
		name := path.Join(folder, entry.Name())
		if !entry.IsDir() {
			if name != written || !entry.Type().IsRegular() {
				pl.Remove = append(pl.Remove, name)
			}
			continue
		}
		err := fs.WalkDir(pl.FS, name, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case pl.ctx.Err() != nil:
				return context.Cause(pl.ctx)
			case len(pl.Remove) > maxEntries:
				pl.found.add(CodeLayoutInvalid, folder, "holds more than %d files: empty it first", maxEntries)
				return fs.SkipAll
			case entry.IsDir():
				return nil
			case entry.Name() == referenceFile:
				pl.found.add(CodeFolderNotEmpty, path.Dir(name), "holds a %s of its own, which is not replaced: choose another contract path", referenceFile)
				return fs.SkipAll
			}
			pl.Remove = append(pl.Remove, name)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// metadata plans metadata.json, and returns what it says afterwards.
func (pl *planner) metadata() (*Metadata, error) {
	wanted := pl.change.Metadata
	if wanted == nil {
		return pl.tree.metadata(pl.At)
	}
	name := pl.At.join(metadataFile)
	before := len(*pl.found)
	written := wanted.check(name, pl.found)
	info, err := pl.look(name)
	if err != nil || len(*pl.found) > before {
		return nil, err
	}
	if info != nil && !info.Mode().IsRegular() {
		pl.found.add(CodeMetadataInvalid, name, "is not a regular file")
		return nil, nil
	}
	if info != nil {
		var unread findings
		now, err := tree{pl.FS, pl.ctx, &unread}.metadata(pl.At)
		if err != nil {
			return nil, err
		}
		switch {
		case now != nil && len(unread) == 0 && bytes.Equal(now.Bytes(), written):
			return wanted, nil
		case !pl.change.OverwriteMetadata:
			*pl.found = append(*pl.found, unread...)
			pl.Kept = append(pl.Kept, name)
			return now, nil
		}
	}
	pl.Write = append(pl.Write, Write{name, written})
	pl.parts = append(pl.parts, "metadata")
	return wanted, nil
}

// check is the content of the file, and says what is wrong with it: what would
// be found when it is read again.
func (m Metadata) check(name string, f *findings) []byte {
	written, err := tryEncode(m)
	switch {
	case err != nil:
		f.add(CodeMetadataInvalid, name, "cannot be written as JSON: %s", err)
	case m.empty():
		f.add(CodeMetadataInvalid, name, "expected at least one member")
	case len(written) > maxMetadataBytes:
		f.add(CodeMetadataInvalid, name, "has more than the %d bytes that such a file may have", maxMetadataBytes)
	default:
		readMetadata(name, written, f)
	}
	return written
}

package contract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Read reads the contract in a folder of a repository. A contract that is not
// right is a *deployment.Rejection with everything that is wrong with it; every
// other error means that the files could not be read. The context stops the
// reading of large files.
func Read(ctx context.Context, fsys fs.FS, at Path) (Contract, error) {
	var f findings
	c, err := tree{fsys, ctx, &f}.contract(at)
	if err != nil {
		return Contract{}, fmt.Errorf("read contract in %s: %w", at, err)
	}
	if err := f.rejection("the contract in " + at.String() + " is not right"); err != nil {
		return Contract{}, err
	}
	return c, nil
}

// rejection is nil, also as an error, when nothing was found.
func (f findings) rejection(message string) error {
	if r := deployment.RejectAll(message, f); r != nil {
		return r
	}
	return nil
}

func (t tree) contract(at Path) (c Contract, err error) {
	if ok, err := t.folder(at); !ok || err != nil {
		return c, err
	}
	model, err := t.part(at, modelPart)
	if err != nil {
		return c, err
	}
	if model != nil {
		c.Model = *model
	} else if folder := at.join(modelPart.name); !t.found.within(folder) {
		t.found.add(CodeMissingReference, folder, "missing model reference file in repository: expected %s in it", modelPart.expected())
	}
	if c.Explainer, err = t.part(at, explainerPart); err != nil {
		return c, err
	}
	if c.Transformer, err = t.part(at, transformerPart); err != nil {
		return c, err
	}
	c.Metadata, err = t.metadata(at)
	return c, err
}

// folder reports whether the folder of the contract is there.
func (t tree) folder(at Path) (bool, error) {
	if _, err := ParsePath(string(at)); err != nil {
		t.found.add(CodePathInvalid, "", "%s", err)
		return false, nil
	}
	name := at.join(".")
	before := len(*t.found)
	info, err := t.look(name)
	switch {
	case err != nil:
		return false, err
	case len(*t.found) > before: // a link or a file is in the way
		return false, nil
	case info == nil || !info.IsDir():
		t.found.add(CodePathInvalid, name, "there is no such folder in the repository")
		return false, nil
	}
	return true, nil
}

// part is one part of the contract, or nil when there is nothing of it or when
// what there is is not right.
func (t tree) part(at Path, p part) (*Part, error) {
	folder := at.join(p.name)
	entries, err := t.list(folder)
	if err != nil {
		return nil, err
	}
	var own []string
	for _, e := range entries {
		name := path.Join(folder, printable(e.Name()))
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			t.found.add(CodeLayoutInvalid, name, "is a symbolic link: expected %s", p.expected())
		case e.IsDir():
			t.found.add(CodeLayoutInvalid, name, "is a folder: expected nothing but %s", p.expected())
		case e.Name() == referenceFile || p.owns(e.Name()):
			own = append(own, e.Name())
		default:
			t.found.add(CodeLayoutInvalid, name, "does not belong there: expected nothing but %s", p.expected())
		}
	}
	switch {
	case len(own) == 0:
		return nil, nil
	case len(own) > 1:
		t.found.add(CodeReferenceAmbiguous, folder, "holds %s: expected exactly one of them", strings.Join(own, " and "))
		return nil, nil
	case own[0] != referenceFile:
		file, err := t.digest(path.Join(folder, own[0]))
		if err != nil || file == nil {
			return nil, err
		}
		return &Part{File: file}, nil
	}
	r, err := t.reference(folder, p)
	if err != nil || r == nil {
		return nil, err
	}
	return &Part{Reference: r}, nil
}

// reference is what the reference.json of a folder says, nil when it cannot be
// read.
func (t tree) reference(folder string, p part) (*Reference, error) {
	name := path.Join(folder, referenceFile)
	data, err := t.read(name, maxReferenceBytes, CodeInvalidReference)
	if err != nil || data == nil {
		return nil, err
	}
	r := readReference(p, name, data, t.found)
	return &r, nil
}

func (t tree) metadata(at Path) (*Metadata, error) {
	name := at.join(metadataFile)
	data, err := t.read(name, maxMetadataBytes, CodeMetadataInvalid)
	if err != nil || data == nil {
		return nil, err
	}
	m := readMetadata(name, data, t.found)
	if m.empty() {
		return nil, nil
	}
	return &m, nil
}

// within reports whether something was found about the file or folder, or below.
func (f findings) within(name string) bool {
	for _, finding := range f {
		rest, ok := strings.CutPrefix(finding.Path, name)
		if ok && (rest == "" || rest[0] == '/' || rest[0] == '#') {
			return true
		}
	}
	return false
}

// printable is a name as a message can show it.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// What Find looks at, at most.
const (
	maxLooked    = 100_000
	maxContracts = 1_000
)

// ErrTooMany is why Find stops in a repository that holds too much.
var ErrTooMany = errors.New("repository holds too many files to look for contracts in")

// Find returns the folders of a repository that hold a contract, right or not:
// those with a folder model in which there is a reference.json or a
// model.<ext>. They come in the order of their names.
func Find(ctx context.Context, fsys fs.FS) ([]Path, error) {
	found := map[Path]bool{}
	looked := 0
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		looked++
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case looked > maxLooked || len(found) > maxContracts:
			return ErrTooMany
		case entry.IsDir() && (entry.Name() == ".git" || strings.Count(name, "/") > maxDepth):
			return fs.SkipDir
		case !entry.IsDir() && path.Base(path.Dir(name)) == modelPart.name && (entry.Name() == referenceFile || modelPart.owns(entry.Name())):
			folder := path.Dir(path.Dir(name))
			if folder == "." {
				folder = ""
			}
			if at, err := ParsePath(folder); err == nil { // else nobody could name it
				found[at] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find contracts: %w", err)
	}
	return slices.Sorted(maps.Keys(found)), nil
}

package git

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	memorystore "github.com/go-git/go-git/v5/storage/memory"

	"github.com/slipway-ml/slipway/contract"
)

// memory holds the objects that a commit adds.
type memory struct {
	store *memorystore.Storage
	added []plumbing.Hash
}

func newMemory() *memory { return &memory{store: memorystore.NewStorage()} }

func (m *memory) add(kind plumbing.ObjectType, content []byte) (plumbing.Hash, error) {
	object := &plumbing.MemoryObject{}
	object.SetType(kind)
	if _, err := object.Write(content); err != nil {
		return plumbing.ZeroHash, err
	}
	if _, known := m.store.Objects[object.Hash()]; !known {
		m.added = append(m.added, object.Hash())
	}
	return m.store.SetEncodedObject(object)
}

// pack is what a push sends.
func (m *memory) pack() (io.ReadCloser, error) {
	var b bytes.Buffer
	_, err := packfile.NewEncoder(&b, m.store, false).Encode(m.added, 0)
	return io.NopCloser(&b), err
}

// edit is a change to one tree: the files to write there, nil to remove, and the
// folders below.
type edit struct {
	files   map[string][]byte
	folders map[string]*edit
}

// edits are the changes of a plan, folder by folder.
func edits(p contract.Plan) *edit {
	root := &edit{}
	for _, name := range p.Remove {
		root.set(name, nil)
	}
	for _, w := range p.Write {
		root.set(w.Name, w.Content)
	}
	return root
}

func (e *edit) set(name string, content []byte) {
	first, rest, below := strings.Cut(name, "/")
	if !below {
		if e.files == nil {
			e.files = map[string][]byte{}
		}
		e.files[first] = content
		return
	}
	if e.folders == nil {
		e.folders = map[string]*edit{}
	}
	if e.folders[first] == nil {
		e.folders[first] = &edit{}
	}
	e.folders[first].set(rest, content)
}

// apply is the tree after the edit; the zero hash when nothing is left in it.
// What is not named stays as it is, down to its mode.
func (m *memory) apply(objects *objects, tree plumbing.Hash, e *edit) (plumbing.Hash, error) {
	var entries []entry
	if !tree.IsZero() {
		known, err := objects.tree(tree)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		entries = slices.Clone(known)
	}
	drop := func(name string) {
		entries = slices.DeleteFunc(entries, func(e entry) bool { return e.name == name })
	}
	for _, name := range slices.Sorted(maps.Keys(e.files)) {
		drop(name)
		if content := e.files[name]; content != nil {
			hash, err := m.add(plumbing.BlobObject, content)
			if err != nil {
				return plumbing.ZeroHash, err
			}
			entries = append(entries, entry{name, filemode.Regular, hash})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.folders)) {
		var below plumbing.Hash
		if i := index(entries, name); i >= 0 && entries[i].isDir() {
			below = entries[i].hash
		}
		hash, err := m.apply(objects, below, e.folders[name])
		if err != nil {
			return plumbing.ZeroHash, err
		}
		drop(name)
		if !hash.IsZero() {
			entries = append(entries, entry{name, filemode.Dir, hash})
		}
	}
	if len(entries) == 0 {
		return plumbing.ZeroHash, nil
	}
	return m.add(plumbing.TreeObject, encodeTree(entries))
}

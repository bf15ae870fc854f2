package git

import (
	"bytes"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// maxChain is how many deltas may lead to one object; git makes no more.
const maxChain = 4095

// index says where each object of a pack is. Memory is needed for the objects
// that deltas are about, not for the others.
//
// go-git's own parser is not used: it holds each object in memory as a whole,
// and its writer of packs runs it in a goroutine, where a pack that makes it
// panic would end the process.
func (r *Repositories) index(pack *os.File) (*idxfile.MemoryIndex, plumbing.Hash, error) {
	x := &indexer{
		limit: r.limit(), tooLarge: r.tooLarge, cache: cache.NewBufferLRU(cacheBytes),
		at: map[int64]*packed{}, named: map[plumbing.Hash]*packed{},
	}
	checksum, err := x.scan(pack)
	if err != nil {
		return nil, checksum, err
	}
	if err := x.resolve(); err != nil {
		return nil, checksum, err
	}
	var w idxfile.Writer
	for _, o := range x.objects {
		w.Add(o.hash, uint64(o.offset), o.crc) //nolint:gosec // offsets are not negative
	}
	if err := w.OnFooter(checksum); err != nil {
		return nil, checksum, err
	}
	content, err := w.Index()
	return content, checksum, err
}

type indexer struct {
	limit    int64
	tooLarge func() error
	scanner  *packfile.Scanner
	objects  []*packed
	at       map[int64]*packed
	named    map[plumbing.Hash]*packed
	cache    *cache.BufferLRU // contents by offset
}

// packed is one object of a pack.
type packed struct {
	offset int64
	crc    uint32
	kind   plumbing.ObjectType // of a delta: that of what it makes, once that is known
	hash   plumbing.Hash       // zero until it is known

	isDelta  bool
	chain    int     // deltas that lead to it
	base     *packed // of a delta; nil until it is known
	baseHash plumbing.Hash
}

// scan reads the pack once. It refuses one that would unpack to more than
// allowed: deltas say in their first bytes how large they make an object.
func (x *indexer) scan(pack io.ReadSeeker) (checksum plumbing.Hash, err error) {
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return checksum, err
	}
	x.scanner = packfile.NewScanner(pack)
	_, count, err := x.scanner.Header()
	if err != nil {
		return checksum, damaged("pack: %s", err)
	}
	if count > maxObjects {
		return checksum, x.tooLarge()
	}
	var total int64
	for range count {
		header, err := x.scanner.NextObjectHeader()
		if err != nil {
			return checksum, damaged("pack: %s", err)
		}
		if total += header.Length; header.Length > x.limit || total > x.limit {
			return checksum, x.tooLarge()
		}
		makes, err := x.add(header)
		if err != nil {
			return checksum, err
		}
		if total += makes; makes < 0 || makes > x.limit || total > x.limit {
			return checksum, x.tooLarge()
		}
	}
	if checksum, err = x.scanner.Checksum(); err != nil {
		return checksum, damaged("pack: %s", err)
	}
	return checksum, nil
}

// add takes the object whose header was read. It returns how many bytes a delta
// makes, negative when it cannot say.
func (x *indexer) add(header *packfile.ObjectHeader) (makes int64, err error) {
	o := &packed{offset: header.Offset, kind: header.Type, baseHash: header.Reference}
	o.isDelta = header.Type == plumbing.OFSDeltaObject || header.Type == plumbing.REFDeltaObject
	if header.Type == plumbing.OFSDeltaObject {
		if o.base = x.at[header.OffsetReference]; o.base == nil {
			return 0, damaged("pack: a delta has no base")
		}
	}
	var start deltaHead
	sum := plumbing.NewHasher(header.Type, header.Length)
	if o.isDelta {
		_, o.crc, err = x.scanner.NextObject(&start)
	} else {
		_, o.crc, err = x.scanner.NextObject(sum)
	}
	if err != nil {
		return 0, damaged("pack: %s", err)
	}
	x.objects = append(x.objects, o)
	x.at[o.offset] = o
	if o.isDelta {
		return start.makes(), nil
	}
	x.name(o, sum.Sum())
	return 0, nil
}

func (x *indexer) name(o *packed, hash plumbing.Hash) {
	o.hash = hash
	x.named[hash] = o
}

// resolve finds out what the deltas make. One may come before its base.
func (x *indexer) resolve() error {
	for waiting := x.objects; ; {
		var still []*packed
		for _, o := range waiting {
			if o.base == nil && o.isDelta {
				o.base = x.named[o.baseHash]
			}
			switch {
			case !o.hash.IsZero():
			case o.base == nil || o.base.hash.IsZero():
				still = append(still, o)
			default:
				if err := x.patch(o); err != nil {
					return err
				}
			}
		}
		if len(still) == 0 {
			return nil
		}
		if len(still) == len(waiting) {
			return damaged("pack: %d deltas have no base", len(still))
		}
		waiting = still
	}
}

func (x *indexer) patch(o *packed) error {
	if o.chain = o.base.chain + 1; o.chain > maxChain {
		return damaged("pack: more than %d deltas lead to an object", maxChain)
	}
	o.kind = o.base.kind
	content, err := x.content(o)
	if err != nil {
		return err
	}
	x.name(o, plumbing.ComputeHash(o.kind, content))
	return nil
}

// content is what an object holds, deltas applied.
func (x *indexer) content(o *packed) ([]byte, error) {
	if known, ok := x.cache.Get(o.offset); ok {
		return known, nil
	}
	var base []byte
	if o.isDelta {
		var err error
		if base, err = x.content(o.base); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	if _, err := x.scanner.SeekObjectHeader(o.offset); err != nil {
		return nil, damaged("pack: %s", err)
	}
	if _, _, err := x.scanner.NextObject(&b); err != nil {
		return nil, damaged("pack: %s", err)
	}
	content := b.Bytes()
	if o.isDelta {
		var err error
		if content, err = packfile.PatchDelta(base, content); err != nil {
			return nil, damaged("pack: %s", err)
		}
	}
	x.cache.Put(o.offset, content)
	return content, nil
}

// deltaHead keeps the first bytes of a delta: two sizes, of what it starts from
// and of what it makes, seven bits a byte, lowest first.
type deltaHead struct{ b []byte }

func (h *deltaHead) Write(p []byte) (int, error) {
	const most = 20
	h.b = append(h.b, p[:min(len(p), most-len(h.b))]...)
	return len(p), nil
}

// makes is the size of what the delta makes, negative when it cannot be said.
func (h *deltaHead) makes() int64 {
	var size int64
	b := h.b
	for range 2 {
		size = 0
		for shift := 0; ; shift += 7 {
			if len(b) == 0 || shift > 56 {
				return -1
			}
			next := b[0]
			b = b[1:]
			size |= int64(next&0x7f) << shift
			if next&0x80 == 0 {
				break
			}
		}
	}
	return size
}

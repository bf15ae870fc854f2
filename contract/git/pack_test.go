package git_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // it is what git names its objects by
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/revlist"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
)

// packed are objects as a pack has them: each the bytes of its header and then
// the content, which is compressed.
func packed(tb testing.TB, objects ...[2][]byte) []byte {
	tb.Helper()
	b := bytes.NewBufferString("PACK")
	for _, n := range []uint32{2, uint32(len(objects))} { //nolint:gosec // a few
		if err := binary.Write(b, binary.BigEndian, n); err != nil {
			tb.Fatal(err)
		}
	}
	for _, o := range objects {
		b.Write(o[0])
		z := zlib.NewWriter(b)
		if _, err := z.Write(o[1]); err != nil {
			tb.Fatal(err)
		}
		if err := z.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	sum := sha1.Sum(b.Bytes()) //nolint:gosec // see above
	return append(b.Bytes(), sum[:]...)
}

// size is a number as the headers of a pack and of deltas have it.
func size(n uint64, first byte, firstBits int) []byte {
	b := []byte{first | byte(n&(1<<firstBits-1))}
	for n >>= firstBits; n > 0; n >>= 7 {
		b[len(b)-1] |= 0x80
		b = append(b, byte(n&0x7f))
	}
	return b
}

func TestPacksThatUnpackToTooMuch(t *testing.T) {
	t.Parallel()
	base := bytes.Repeat([]byte("m"), 100)
	blob := [2][]byte{size(100, 3<<4, 4), base}
	delta := func(makes uint64, from, to []byte) [2][]byte {
		content := append(append(size(100, 0, 7), size(makes, 0, 7)...), from...)
		header := size(uint64(len(content)), 6<<4, 4)
		distance := byte(len(packed(t, blob)) - 12 - 20) // back to where the base begins
		return [2][]byte{append(header, distance), append(content, to...)}
	}
	copyAll := []byte{0x80 | 0x10, 100} // the whole base
	for _, test := range []struct {
		name string
		pack []byte
		code deployment.Code // "": it is taken
	}{
		{"as it should be", packed(t, blob, delta(100, copyAll, nil)), ""},
		{"a delta that makes a petabyte", packed(t, blob, delta(1<<50, copyAll, nil)), git.CodeRepositoryTooLarge},
		{"a delta that overflows", packed(t, blob, delta(1<<62, copyAll, nil)), git.CodeRepositoryTooLarge},
		{"a delta that says less than it makes", packed(t, blob, delta(10, bytes.Repeat(copyAll, 100), nil)), git.CodeInvalidRepository},
		{"an object that says it is large", packed(t, [2][]byte{size(1<<40, 3<<4, 4), base}), git.CodeRepositoryTooLarge},
		{"an object that is larger than it says", packed(t, [2][]byte{size(10, 3<<4, 4), base}), git.CodeInvalidRepository},
		{"many objects", packed(t, blob, blob, blob, blob, blob, blob, blob, blob, blob, blob, blob), git.CodeRepositoryTooLarge},
		{"cut", packed(t, blob)[:40], git.CodeInvalidRepository},
		{"nothing", nil, git.CodeInvalidRepository},
		{"something else", []byte("<html>"), git.CodeInvalidRepository},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			err := git.Unpack(dir, test.pack, 1000)
			if test.code == "" {
				if err != nil {
					t.Error(err)
				}
			} else {
				wantRejection(t, err, test.code)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
				t.Errorf("got %v left on disk", left)
			}
		})
	}
}

// FuzzPack takes any bytes as a pack: they are taken or rejected, and nothing of
// them is left on disk.
func FuzzPack(f *testing.F) {
	st := filesystem.NewStorage(osfs.New(f.TempDir()), cache.NewObjectLRUDefault())
	if err := st.Init(); err != nil {
		f.Fatal(err)
	}
	put(f, st, "main", map[string]string{"a": strings.Repeat("similar ", 100), "b": strings.Repeat("similar ", 99)})
	tip := put(f, st, "main", map[string]string{"a": strings.Repeat("similar ", 98), "c/d": "x"})
	all, err := revlist.Objects(st, []plumbing.Hash{tip}, nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, byName := range []bool{false, true} { // how deltas name their base
		var pack bytes.Buffer
		if _, err := packfile.NewEncoder(&pack, st, byName).Encode(all, 10); err != nil {
			f.Fatal(err)
		}
		f.Add(pack.Bytes())
	}
	f.Add(packed(f, [2][]byte{size(10, 3<<4, 4), []byte("0123456789")}))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, pack []byte) {
		err := git.Unpack(dir, pack, 1<<20)
		if _, rejected := errors.AsType[*deployment.Rejection](err); err != nil && !rejected {
			t.Errorf("got %v, want a rejection", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 8 { // of those who run at the same time
			t.Errorf("got %d folders left on disk", len(left))
		}
	})
}

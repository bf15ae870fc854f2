package git_test

import (
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"golang.org/x/crypto/ssh"

	"github.com/slipway-ml/slipway/contract/git/gittest"
)

type server = gittest.Server

var noon = gittest.Noon

func put(tb testing.TB, st *filesystem.Storage, branch string, files map[string]string) plumbing.Hash {
	tb.Helper()
	return gittest.Put(tb, st, branch, files)
}

func putOn(tb testing.TB, st *filesystem.Storage, branch string, files map[string]string, parents ...plumbing.Hash) {
	tb.Helper()
	gittest.PutOn(tb, st, branch, files, parents...)
}

func treeOf(tb testing.TB, st *filesystem.Storage, files map[string]string) plumbing.Hash {
	tb.Helper()
	return gittest.Tree(tb, st, files)
}

func store(tb testing.TB, st *filesystem.Storage, o interface {
	Encode(plumbing.EncodedObject) error
},
) plumbing.Hash {
	tb.Helper()
	return gittest.Store(tb, st, o)
}

func newKey(tb testing.TB, phrase string) (ssh.Signer, []byte) {
	tb.Helper()
	return gittest.NewKey(tb, phrase)
}

// Package git keeps contracts in git repositories: it reads the tree of a
// branch, tag or commit without a work tree, and writes a contract as one
// commit that is pushed fast-forward. It speaks git's protocol over https and
// ssh itself, and needs no git binary. Start reading at Repositories.Open and
// Repositories.Write.
package git

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/slipway-ml/slipway/deployment"
)

// Repositories reads and writes git repositories. The zero value is usable: it
// speaks https only. It must not be copied after its first use.
type Repositories struct {
	AllowLocal            bool            // whether the path of a repository on this machine may be named
	AllowHTTP             bool            // whether plain http may be named; everything sent, credentials too, can be read on the way
	AllowPrivateRedirects bool            // whether a server may redirect to a private address
	KnownHosts            string          // path of the known_hosts file for ssh; "": no ssh
	MaxBytes              int64           // what a fetch may bring, and what it may unpack to; 0: 1 GiB
	Dir                   string          // where fetched objects lie while they are in use; "": the system's directory for such files
	Transport             *http.Transport // for https; nil: one with a connect and a response-header timeout

	mu   sync.Mutex
	busy map[string]chan struct{} // repositories being written, closed when that ends
}

// Source names a repository and what of it is meant: a branch, a tag, a commit,
// or with none of them the branch that HEAD of the repository names. A commit
// beside a branch or tag is the one that was seen there before.
type Source struct {
	URL         string // https://host/path, ssh://user@host/path, user@host:path; a path or file url, http where allowed
	Branch      string
	Tag         string
	Commit      string // 40 hexadecimal digits
	Credentials Credentials
}

// Credentials are a user and password, a token, or a private key. Whatever
// prints them prints nothing of them.
type Credentials struct {
	User   string // for https; may be empty with a token
	Secret string // for https: a password or token
	Key    []byte // for ssh: a private key in PEM or OpenSSH form
	Phrase []byte // that protects the key, if any
}

const hidden = "(hidden)"

// String hides the credentials.
func (Credentials) String() string { return hidden }

// GoString hides the credentials.
func (Credentials) GoString() string { return hidden }

// LogValue hides the credentials.
func (Credentials) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the credentials, in JSON too.
func (Credentials) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Snapshot is the tree of one commit as an fs.FS. Nothing that happens to the
// repository changes it. It is safe for use by several goroutines.
type Snapshot struct {
	*treeFS

	Commit  string // 40 hexadecimal digits
	Message string // of the commit
	Branch  string // "" when a tag or a commit was asked for
}

// Close gives back what the snapshot needs on disk.
func (s *Snapshot) Close() error { return s.objects.Close() }

// Open fetches what the source means, pinned to its commit. A source that
// cannot be had as it is described is a *deployment.Rejection; every other
// error may pass when it is tried again.
func (r *Repositories) Open(ctx context.Context, s Source) (*Snapshot, error) {
	snap, err := r.open(ctx, s)
	if err != nil {
		return nil, explain(ctx, "open", s.URL, err)
	}
	return snap, nil
}

func (r *Repositories) open(ctx context.Context, s Source) (*Snapshot, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	remote, err := r.remote(s)
	if err != nil {
		return nil, err
	}
	var branch string
	objects, tip, err := remote.fetch(ctx, func(known refs) (hash plumbing.Hash, err error) {
		hash, branch, err = s.pick(known)
		return hash, err
	}, everything)
	if err != nil {
		return nil, err
	}
	if s.Commit != "" && !objects.has(tip) {
		return nil, errors.Join(s.gone(), objects.Close())
	}
	commit, err := objects.commit(tip)
	if err != nil {
		return nil, errors.Join(err, objects.Close())
	}
	return &Snapshot{&treeFS{objects: objects, root: commit.tree}, commit.hash.String(), commit.message, branch}, nil
}

// everything is what fetch is told when no file may be left out.
const everything = 0

// remote is one repository, wherever it is.
type remote interface {
	// fetch returns objects that hold what pick chooses of the refs. Files of
	// that many bytes or more may be left out.
	fetch(ctx context.Context, pick func(refs) (plumbing.Hash, error), leave uint64) (*objects, plumbing.Hash, error)
	// push makes the branch point to the new commit, whose new objects are in
	// the pack, provided that it points to old; errMoved if it does not.
	push(ctx context.Context, branch string, old, commit plumbing.Hash, added *memory) error
}

// remote chooses how to reach the repository.
func (r *Repositories) remote(s Source) (remote, error) {
	at, err := r.parse(s.URL)
	if err != nil {
		return nil, err
	}
	switch at.scheme {
	case "file":
		return &local{path: at.path}, nil
	case "ssh":
		return r.ssh(at, s.Credentials)
	default:
		return r.http(at, s.Credentials), nil
	}
}

// check refuses a source that means nothing.
func (s Source) check() error {
	if s.Branch != "" && s.Tag != "" {
		return deployment.Reject(deployment.CodeInvalidField, atTag, "expected a branch or a tag, got both")
	}
	if s.Branch != "" && plumbing.NewBranchReferenceName(s.Branch).Validate() != nil {
		return deployment.Reject(deployment.CodeInvalidField, atBranch, "%q is not the name of a branch", shortened(s.Branch))
	}
	if s.Tag != "" && plumbing.NewTagReferenceName(s.Tag).Validate() != nil {
		return deployment.Reject(deployment.CodeInvalidField, atTag, "%q is not the name of a tag", shortened(s.Tag))
	}
	if s.Commit != "" && (!plumbing.IsHash(s.Commit) || len(s.Commit) != 40) {
		return deployment.Reject(deployment.CodeInvalidField, atCommit, "expected the 40 hexadecimal digits of a commit, got %q", shortened(s.Commit))
	}
	return nil
}

// gone says that the repository does not have the commit that was asked for.
func (s Source) gone() error {
	if s.Branch != "" || s.Tag != "" {
		return deployment.Reject(CodeHistoryRewritten, atCommit, "commit %s is not in the repository any more: its history was rewritten", s.Commit)
	}
	return deployment.Reject(CodeRevisionNotFound, atCommit, "the repository has no commit %s", s.Commit)
}

func shortened(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%.*s…", most, s)
	}
	return s
}

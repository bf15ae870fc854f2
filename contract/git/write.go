package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	memorystore "github.com/go-git/go-git/v5/storage/memory"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// Commit is a change of one contract, and who makes it.
type Commit struct {
	At       contract.Path
	Change   contract.Change
	Message  string            // "": what the plan says of itself
	Trailers []string          // lines that follow the message: "Key: value"
	Author   Person            // of the change
	By       Person            // who commits; zero: the author
	When     time.Time         // the same for the same command, so that its commit is the same too; zero: now
	Digest   deployment.Digest // of what the contract is to say then; "": whatever it comes to

	// Hold is asked before each push, after what is pushed onto was read: its error
	// ends the write. Who has taken over has either moved the branch since, so that
	// the push is refused, or will find it done. Nil: nobody takes over.
	Hold func(ctx context.Context) error
}

// Person is who did something, as git writes it.
type Person struct{ Name, Email string }

// Result is what a write came to, or would come to. Commit is on the branch of
// the repository.
type Result struct {
	Commit  string // 40 hexadecimal digits; "" if the repository has none
	Branch  string
	Changed bool // false: the contract said already what it should, and there is no new commit
	Plan    contract.Plan
}

const (
	maxTries   = 12
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
	maxMessage = 64 << 10
)

// ErrChanged is why a write does nothing whose contract would not say what
// Commit.Digest wants. It passes when it is planned again.
var ErrChanged = errors.New("the contract in the repository has changed meanwhile")

// ErrDiverged is why a write gives up for now: others pushed to the branch each
// time. It may pass.
var ErrDiverged = errors.New("others keep pushing to the branch")

// Write makes the contract say what the commit wants, as one commit on top of
// the branch that is pushed fast-forward, and touches no file outside of the
// contract's folder. When somebody else was faster it decides again on what is
// there then. When the contract says already what it should, nothing is
// written: the same Write twice is the same as once.
//
// In one process, one write at a time is done to a repository. A commit that is
// not possible is a *deployment.Rejection that has changed nothing; every other
// error may pass when it is tried again.
func (r *Repositories) Write(ctx context.Context, s Source, c Commit) (Result, error) {
	result, err := r.write(ctx, s, c)
	if err != nil {
		return Result{}, explain(ctx, "write", s.URL, err)
	}
	return result, nil
}

func (r *Repositories) write(ctx context.Context, s Source, c Commit) (Result, error) {
	if err := errors.Join(s.check(), s.writable(), c.check()); err != nil {
		return Result{}, err
	}
	at, err := r.parse(s.URL)
	if err != nil {
		return Result{}, err
	}
	unlock, err := r.lock(ctx, at.key())
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	remote, err := r.remote(s)
	if err != nil {
		return Result{}, err
	}
	pause := firstPause
	for range maxTries {
		result, err := try(ctx, remote, s, c)
		if !errors.Is(err, errMoved) {
			return result, err
		}
		if err := wait(ctx, pause/2+rand.N(pause/2)); err != nil {
			return Result{}, err
		}
		pause = min(2*pause, lastPause)
	}
	return Result{}, fmt.Errorf("%w: gave up after %d tries", ErrDiverged, maxTries)
}

// Plan says what Write would come to, and does nothing (deeploy.md D18). The
// commit is the one that the new one would be put on.
func (r *Repositories) Plan(ctx context.Context, s Source, c Commit) (Result, error) {
	result, err := r.plan(ctx, s, c)
	if err != nil {
		return Result{}, explain(ctx, "plan", s.URL, err)
	}
	return result, nil
}

func (r *Repositories) plan(ctx context.Context, s Source, c Commit) (Result, error) {
	if err := errors.Join(s.check(), s.writable(), c.check()); err != nil {
		return Result{}, err
	}
	remote, err := r.remote(s)
	if err != nil {
		return Result{}, err
	}
	base, plan, err := planOn(ctx, remote, s, c)
	if err != nil {
		return Result{}, err
	}
	return Result{Commit: base.commit(), Branch: base.branch, Changed: !plan.Empty(), Plan: plan}, base.objects.Close()
}

// writable refuses a source that no commit can be put on.
func (s Source) writable() error {
	if s.Tag != "" || s.Commit != "" {
		return deployment.Reject(deployment.CodeInvalidField, atBranch, "a contract is written to a branch: expected no tag or commit")
	}
	return nil
}

func (c Commit) check() error {
	by := c.committer()
	for _, part := range []struct{ at, text string }{
		{"author.name", c.Author.Name},
		{"author.email", c.Author.Email},
		{"committer.name", by.Name},
		{"committer.email", by.Email},
	} {
		if strings.TrimSpace(part.text) == "" || strings.ContainsAny(part.text, "<>\x00\r\n") || len(part.text) > 200 {
			return deployment.Reject(deployment.CodeInvalidField, part.at, "expected 1 to 200 bytes on one line, without < and >")
		}
	}
	if len(c.Message) > maxMessage || strings.ContainsRune(c.Message, 0) {
		return deployment.Reject(deployment.CodeInvalidField, "commitMessage", "expected text of %d bytes at most", maxMessage)
	}
	return nil
}

func (c Commit) committer() Person {
	if c.By == (Person{}) {
		return c.Author
	}
	return c.By
}

// base is what a commit is put on: the zero tip in a repository without commits.
type base struct {
	objects *objects
	branch  string
	tip     plumbing.Hash
	tree    plumbing.Hash
}

// commit is the tip as text, "" in a repository without commits.
func (b base) commit() string {
	if b.tip.IsZero() {
		return ""
	}
	return b.tip.String()
}

func (b base) files() fs.FS {
	if b.tree.IsZero() {
		return emptyFS{}
	}
	return &treeFS{objects: b.objects, root: b.tree}
}

// planBytes is how large files may be for a plan to need what is in them, unless
// they are models that stay as they are.
const planBytes = 5 << 20

// planOn plans on what is there. It does without large files first: most plans
// need none of them.
func planOn(ctx context.Context, remote remote, s Source, c Commit) (base, contract.Plan, error) {
	for leave := uint64(planBytes); ; leave = everything {
		base, err := fetchBase(ctx, remote, s, leave)
		if err != nil {
			return base, contract.Plan{}, err
		}
		plan, err := c.Change.Plan(ctx, base.files(), c.At)
		if err == nil {
			return base, plan, nil
		}
		if err := base.objects.Close(); err != nil {
			return base, plan, err
		}
		if _, left := errors.AsType[missing](err); !left || leave == everything {
			return base, plan, err
		}
	}
}

func fetchBase(ctx context.Context, remote remote, s Source, leave uint64) (base, error) {
	var branch string
	objects, tip, err := remote.fetch(ctx, func(known refs) (hash plumbing.Hash, err error) {
		hash, branch, err = s.pick(known)
		return hash, err
	}, leave)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		if branch = s.Branch; branch == "" {
			branch = "main"
		}
		return base{objects: newObjects(memorystore.NewStorage(), func() error { return nil }), branch: branch}, nil
	}
	if err != nil {
		return base{}, err
	}
	commit, err := objects.commit(tip)
	if err != nil {
		return base{}, errors.Join(err, objects.Close())
	}
	return base{objects, branch, tip, commit.tree}, nil
}

// try plans on what is there, commits and pushes, once.
func try(ctx context.Context, remote remote, s Source, c Commit) (Result, error) {
	base, plan, err := planOn(ctx, remote, s, c)
	if err != nil {
		return Result{}, err
	}
	defer base.objects.Close()
	if c.Digest != "" && plan.Contract.Digest() != c.Digest {
		return Result{}, ErrChanged
	}
	result := Result{Branch: base.branch, Plan: plan}
	if plan.Empty() {
		result.Commit = base.commit()
		return result, nil
	}
	added := newMemory()
	tree, err := added.apply(base.objects, base.tree, edits(plan))
	if err != nil {
		return Result{}, err
	}
	hash, err := added.add(plumbing.CommitObject, c.text(tree, base.tip, plan))
	if err != nil {
		return Result{}, err
	}
	if c.Hold != nil {
		if err := c.Hold(ctx); err != nil {
			return Result{}, err
		}
	}
	if err := remote.push(ctx, base.branch, base.tip, hash, added); err != nil {
		return Result{}, err
	}
	result.Commit, result.Changed = hash.String(), true
	return result, nil
}

// text is the commit as git stores it.
func (c Commit) text(tree, parent plumbing.Hash, plan contract.Plan) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\n", tree)
	if !parent.IsZero() {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	when := c.When
	if when.Unix() < 0 { // git knows nothing before 1970
		when = time.Now()
	}
	who := func(p Person) string {
		return fmt.Sprintf("%s <%s> %d +0000", strings.TrimSpace(p.Name), strings.TrimSpace(p.Email), when.Unix())
	}
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n", who(c.Author), who(c.committer()))
	message := strings.TrimSpace(strings.ToValidUTF8(c.Message, "�"))
	if message == "" {
		message = plan.Message()
	}
	b.WriteString(message + "\n")
	if len(c.Trailers) > 0 {
		b.WriteString("\n" + strings.Join(c.Trailers, "\n") + "\n")
	}
	return b.Bytes()
}

// lock waits until nobody in this process writes to the repository.
func (r *Repositories) lock(ctx context.Context, key string) (unlock func(), err error) {
	for {
		r.mu.Lock()
		busy, taken := r.busy[key]
		if !taken {
			mine := make(chan struct{})
			if r.busy == nil {
				r.busy = make(map[string]chan struct{})
			}
			r.busy[key] = mine
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				delete(r.busy, key)
				r.mu.Unlock()
				close(mine)
			}, nil
		}
		r.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// emptyFS is a repository without a commit.
type emptyFS struct{}

func (emptyFS) Open(name string) (fs.File, error) {
	if name == "." {
		return contract.OpenFolder(info{entry: entry{name: ".", mode: 0o40000}}, ".", nil), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

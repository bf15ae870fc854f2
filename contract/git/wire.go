package git

import (
	"context"
	"errors"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/slipway-ml/slipway/deployment"
)

// wire is a repository behind a server that speaks git's protocol.
type wire struct {
	repositories *Repositories
	fetching     func(ctx context.Context) (transport.UploadPackSession, error)
	pushing      func(ctx context.Context) (transport.ReceivePackSession, error)
}

// fetch brings one commit without its history where the server can do that.
func (w *wire) fetch(ctx context.Context, pick func(refs) (plumbing.Hash, error), leave uint64) (*objects, plumbing.Hash, error) {
	session, err := w.fetching(ctx)
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	defer session.Close()
	ar, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	if err := sha1Only(ar.Capabilities); err != nil {
		return nil, plumbing.ZeroHash, err
	}
	known := advertised(ar)
	want, err := pick(known)
	if err != nil {
		return nil, want, err
	}
	if known.points(want) || givesAny(ar.Capabilities) {
		got, err := w.download(ctx, session, ar, scope{depth: 1, leave: leave}, want)
		if err == nil || known.points(want) || ctx.Err() != nil {
			return got, want, err
		}
		if _, rejected := errors.AsType[*deployment.Rejection](err); rejected {
			return nil, want, err
		}
	}
	// A commit that no name stands for, and that the server does not give by
	// itself: it may be in the history of one that it gives.
	got, err := w.history(ctx)
	return got, want, err
}

// history brings all that the branches and tags lead to.
func (w *wire) history(ctx context.Context) (*objects, error) {
	session, err := w.fetching(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	ar, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, err
	}
	tips := advertised(ar).tips()
	if len(tips) == 0 {
		return nil, transport.ErrEmptyRemoteRepository
	}
	return w.download(ctx, session, ar, scope{}, tips...)
}

// scope is what of some commits is fetched, where the server can choose.
type scope struct {
	depth int    // commits of the history; 0: all
	leave uint64 // files of that many bytes or more are left out; 0: none
}

func (w *wire) download(ctx context.Context, session transport.UploadPackSession, ar *packp.AdvRefs, of scope, wants ...plumbing.Hash) (*objects, error) {
	request := packp.NewUploadPackRequestFromCapabilities(ar.Capabilities)
	request.Wants = wants
	if of.depth > 0 && ar.Capabilities.Supports(capability.Shallow) {
		request.Depth = packp.DepthCommits(of.depth)
		if err := request.Capabilities.Set(capability.Shallow); err != nil {
			return nil, err
		}
	}
	if of.leave > 0 && ar.Capabilities.Supports(capability.Filter) {
		request.Filter = packp.FilterBlobLimit(of.leave, packp.BlobLimitPrefixNone)
		if err := request.Capabilities.Set(capability.Filter); err != nil {
			return nil, err
		}
	}
	response, err := session.UploadPack(ctx, request)
	if err != nil {
		return nil, err
	}
	defer response.Close()
	var pack io.Reader = response
	switch {
	case request.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, response)
	case request.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, response)
	}
	return w.repositories.unpack(pack)
}

// givesAny reports whether the server gives a commit that no name stands for.
func givesAny(c *capability.List) bool {
	return c.Supports(capability.AllowReachableSHA1InWant) || c.Supports("allow-any-sha1-in-want")
}

// sha1Only refuses repositories whose names of objects are of another kind.
func sha1Only(c *capability.List) error {
	for _, format := range c.Get("object-format") {
		if format != "sha1" {
			return deployment.Reject(CodeInvalidRepository, atURL, "the repository names its objects by %s: expected sha1", shortened(format))
		}
	}
	return nil
}

var (
	// errMoved says that the branch does not point to where it did.
	errMoved = errors.New("the branch has moved")
	// errMaybe says that a push ended without an answer.
	errMaybe = errors.New("no answer to the push")
)

// push sends the pack, and asks the server what became of it whenever that is
// not plain: an answer may be lost, and a refusal may be a race that was lost.
func (w *wire) push(ctx context.Context, branch string, old, commit plumbing.Hash, added *memory) error {
	refused, err := w.send(ctx, branch, old, commit, added)
	if err == nil || errors.Is(err, errMoved) || ctx.Err() != nil {
		return err
	}
	now, lookErr := w.tip(ctx, branch)
	switch {
	case lookErr != nil:
		return errors.Join(errMaybe, err)
	case now == commit:
		return nil
	case now != old:
		return errMoved
	case refused && isRace(err):
		return errMoved
	case refused:
		return deployment.Reject(CodePushRefused, atBranch, "the server refuses the push to %s: %s", branch, spoken(err))
	}
	return err
}

// send reports whether the server has understood and refused the push.
func (w *wire) send(ctx context.Context, branch string, old, commit plumbing.Hash, added *memory) (refused bool, err error) {
	session, err := w.pushing(ctx)
	if err != nil {
		return isDenied(err), err
	}
	defer session.Close()
	ar, err := session.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) { // which a push may make full
		ar = packp.NewAdvRefs()
		err = ar.Capabilities.Set(capability.ReportStatus)
	}
	if err != nil {
		return isDenied(err), err
	}
	name := plumbing.NewBranchReferenceName(branch)
	if advertised(ar).byName[name] != old {
		return false, errMoved
	}
	request := packp.NewReferenceUpdateRequestFromCapabilities(ar.Capabilities)
	request.Commands = []*packp.Command{{Name: name, Old: old, New: commit}}
	var said remarks
	if ar.Capabilities.Supports(capability.Sideband64k) {
		request.Progress = &said
		if err := request.Capabilities.Set(capability.Sideband64k); err != nil {
			return false, err
		}
	}
	if request.Packfile, err = added.pack(); err != nil {
		return false, err
	}
	report, err := session.ReceivePack(ctx, request)
	switch {
	case err == nil && report != nil:
		return false, nil
	case err == nil: // the server does not report
		return false, errMaybe
	case report != nil:
		return true, said.because(err)
	}
	return isDenied(err), err
}

// tip is what the branch points to now; the zero hash when there is none.
func (w *wire) tip(ctx context.Context, branch string) (plumbing.Hash, error) {
	session, err := w.fetching(ctx)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer session.Close()
	ar, err := session.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return plumbing.ZeroHash, nil
	}
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return advertised(ar).byName[plumbing.NewBranchReferenceName(branch)], nil
}

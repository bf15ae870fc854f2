package git

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/slipway-ml/slipway/deployment"
)

// explain turns an error on the way to a repository into what its reader can do
// about it: a rejection when the request has to change, and otherwise an error
// that says what was done to what. No url of a redirect and nothing that the
// server wrote into a page is in it.
func explain(ctx context.Context, op, name string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", op, redact(name), context.Cause(ctx))
	}
	if rejection, ok := errors.AsType[*deployment.Rejection](bare(err)); ok {
		return rejection
	}
	err = bare(err)
	reject := func(code deployment.Code, message string) error {
		return deployment.Reject(code, atURL, "%s", message)
	}
	status := 0
	if answer, ok := errors.AsType[*githttp.Err](err); ok {
		status = answer.StatusCode()
	}
	switch {
	case errors.Is(err, transport.ErrRepositoryNotFound), status == http.StatusGone:
		return reject(CodeRepositoryNotFound, "there is no repository, or it may not be seen with these credentials")
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return reject(CodeRepositoryForbidden, "the server does not accept the credentials, or needs some")
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return reject(CodeRepositoryForbidden, "the credentials may not read the repository")
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return deployment.Reject(CodeRevisionNotFound, atBranch, "the repository is empty")
	case isHostKey(err):
		return reject(CodeHostKeyRefused, "the ssh server does not show a key that is known of it: expected one in the known_hosts file")
	case strings.Contains(err.Error(), "http redirect: "): // go-git has no type for it
		return reject(deployment.CodeURLInvalid, "the server redirects in a way that is not followed: expected the url that it redirects to")
	case isNoGit(err):
		return reject(CodeInvalidRepository, "what answers is not a git repository")
	case status != 0:
		return fmt.Errorf("%s %s: server answered %d", op, redact(name), status)
	}
	return fmt.Errorf("%s %s: %w", op, redact(name), err)
}

// bare is err without the wrappers that hide it or that quote urls.
func bare(err error) error {
	for {
		if unexpected, ok := errors.AsType[*plumbing.UnexpectedError](err); ok {
			err = unexpected.Err
		} else if permanent, ok := errors.AsType[*plumbing.PermanentError](err); ok {
			err = permanent.Err
		} else if at, ok := errors.AsType[*url.Error](err); ok {
			err = at.Err
		} else {
			return err
		}
	}
}

func isHostKey(err error) bool {
	_, unknown := errors.AsType[*knownhosts.KeyError](err)
	_, revoked := errors.AsType[*knownhosts.RevokedError](err)
	return unknown || revoked
}

// isNoGit reports whether an answer was not in git's protocol.
func isNoGit(err error) bool {
	_, data := errors.AsType[*packp.ErrUnexpectedData](err)
	return data || errors.Is(err, packp.ErrEmptyInput) || errors.Is(err, pktline.ErrInvalidPktLen)
}

package git

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// maxRemarks is how much of what a server says while it takes a push is kept.
const maxRemarks = 2000

// remarks are what the server says to the person who pushes.
type remarks struct{ text strings.Builder }

func (r *remarks) Write(p []byte) (int, error) {
	r.text.Write(p[:min(len(p), maxRemarks-r.text.Len())])
	return len(p), nil
}

// because adds the remarks to an error: they say why a hook has declined.
func (r *remarks) because(err error) error {
	if text := spokenText(r.text.String()); text != "" {
		return fmt.Errorf("%w (%s)", err, text)
	}
	return err
}

// isRace reports whether a server refuses because somebody else was faster. It
// may say so before it shows where the branch points to then.
func isRace(err error) bool {
	text := strings.ToLower(err.Error())
	for _, sign := range []string{"lock", "fast-forward", "fetch first", "stale", "already exists", "failed to update ref", "incorrect old value"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// isDenied reports whether the server does not let these credentials push.
func isDenied(err error) bool {
	err = bare(err)
	return errors.Is(err, transport.ErrAuthenticationRequired) || errors.Is(err, transport.ErrAuthorizationFailed)
}

// spoken is why the server refuses, in one line.
func spoken(err error) string {
	switch err := bare(err); {
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return "it needs other credentials"
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return "the credentials may not push"
	default:
		return spokenText(err.Error())
	}
}

// spokenText is text of a server as a message can show it.
func spokenText(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

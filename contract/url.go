package contract

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/outbound"
)

// ParseURL reads an absolute url with one of the schemes, and refuses one that
// carries a secret: a contract is kept for ever and read by many (deeploy.md
// D13). Its errors never quote the url.
func ParseURL(text string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("url cannot be parsed: expected an absolute url with the scheme %s", either(schemes))
	}
	if u.User != nil {
		return nil, errors.New("url carries a user or password: expected one without, and credentials named by their id")
	}
	if !slices.Contains(schemes, u.Scheme) {
		return nil, fmt.Errorf("url has the scheme %q: expected %s", u.Scheme, either(schemes))
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("query of the url cannot be parsed")
	}
	for name := range query {
		if outbound.IsSecret(name) {
			return nil, fmt.Errorf("url carries a credential in its query member %s: expected one without, and credentials named by their id", quote(name))
		}
	}
	return u, nil
}

func either(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

package deployment

import (
	"fmt"
	"regexp"
)

// Name is the name of a deployment or of a model. One name is valid as a token
// of a NATS subject, as a DNS label and as a KServe resource name.
type Name string

// NamePattern is what a Name has to match: lower-case letters, digits and
// dashes, a letter first, no dash last, 53 characters at most.
const NamePattern = `^[a-z]([-a-z0-9]{0,51}[a-z0-9])?$`

var namePattern = regexp.MustCompile(NamePattern)

// ParseName returns s as a Name, or an error that says what a name looks like.
func ParseName(s string) (Name, error) {
	if !namePattern.MatchString(s) {
		return "", fmt.Errorf("name %q: expected 1 to 53 lower-case letters, digits and dashes, starting with a letter and not ending with a dash", s)
	}
	return Name(s), nil
}

// Kind says what a command or event is about.
type Kind string

// The kinds of things that have a history of their own in the ledger.
const (
	KindDeployment Kind = "deployment"
	KindModel      Kind = "model"
)

package deployment

import (
	"slices"
	"strings"
)

// PredictionTarget is what a model predicts when nobody has said how it is called.
const PredictionTarget = "prediction"

// Contract is the contract that a model was deployed from: what is in it cannot
// change any more.
type Contract struct {
	Repository string `json:"repository,omitempty"` // "" without a URL: it lies in the artifacts object store, below its digest
	URL        string `json:"url,omitempty"`        // of the directory or prefix where it was, if not in a repository
	Branch     string `json:"branch,omitempty"`     // that named it then
	Tag        string `json:"tag,omitempty"`
	Commit     string `json:"commit,omitempty"`  // of the repository; "": not committed yet
	Message    string `json:"message,omitempty"` // of the commit: its first line
	Path       string `json:"path"`              // folder in the repository; "": its root
	Digest     Digest `json:"digest"`            // of what the contract says
	ModelType  string `json:"modelType"`         // in Deeploy's words

	// Of parts that the contract has: what they were declared to be, which an
	// update keeps (deeploy.md D7). "": it has none.
	ExplainerType   string `json:"explainerType,omitempty"`
	TransformerType string `json:"transformerType,omitempty"`

	CredentialsID string `json:"credentialsId,omitempty"` // that the repository was read with
}

// At is the contract in another commit of the same repository; nil if it is in
// none, or in one without commits.
func (c *Contract) At(commit string) *Source {
	if c == nil || c.Repository == "" || c.Commit == "" {
		return nil
	}
	return &Source{Route: RouteExisting, URL: c.Repository, Commit: commit, ContractPath: c.Path, CredentialsID: c.CredentialsID}
}

// longestHeadline is how much of a commit message is kept, in bytes.
const longestHeadline = 200

// Headline is the first line of a commit message, as much as is kept of it.
func Headline(message string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	if len(line) > longestHeadline {
		line = strings.ToValidUTF8(line[:longestHeadline], "") + "…"
	}
	return strings.TrimSpace(line)
}

// Reading asks for a contract to be read or, for a route that writes one, for
// what would be written to be planned.
type Reading struct {
	Source   Source
	Recorded *Contract // of the model that serves now; nil: it has none
}

// Sourced is what a contract that was read, or that is to be written, comes to.
// Exactly one of the last three says something.
type Sourced struct {
	Contract    Contract        // without a commit if it has to be written first
	Change      *ContractChange // what writing it does; nil: the route writes none
	Images      []Image         // that the contract names
	Model       *Model          // without an id; its artifact is kept already
	Unsupported []Finding       // what of the contract cannot be served here
	Refused     *Rejection      // why the contract cannot be used
}

// ContractChange is what a command writes into a contract, or would write.
type ContractChange struct {
	Repository   string         `json:"repository,omitempty"` // "": the artifacts object store, below the digest
	Branch       string         `json:"branch,omitempty"`
	Commit       string         `json:"commit,omitempty"` // that holds the contract; "": none yet
	ContractPath string         `json:"contractPath"`     // folder in the repository; "": its root
	Digest       Digest         `json:"digest"`           // of what the contract says then
	Message      string         `json:"message,omitempty"`
	Files        []ContractFile `json:"files"`             // that are written; empty: it says so already
	Removed      []string       `json:"removed,omitempty"` // names from the root of the repository
	Kept         []string       `json:"kept,omitempty"`    // files that say something else and stay (deeploy.md D12)
}

// ContractFile is a file of a contract that is written.
type ContractFile struct {
	Path    string `json:"path"`              // from the root of the repository
	Content string `json:"content,omitempty"` // in a dry run
}

// Empty reports whether there is nothing to write.
func (c *ContractChange) Empty() bool { return c == nil || len(c.Files)+len(c.Removed) == 0 }

// Brief is the change as it is reported once it is made: without what is in the
// files.
func (c *ContractChange) Brief() *ContractChange {
	brief := clone(c)
	if brief == nil {
		return nil
	}
	brief.Files = make([]ContractFile, len(c.Files))
	for i, f := range c.Files {
		brief.Files[i].Path = f.Path
	}
	return brief
}

// Writing asks for a contract to be written, as it was planned.
type Writing struct {
	Reading Reading
	Digest  Digest // of what the contract is to say: if it came to anything else, it is planned anew
	Command Command
}

// CheckSourced says as checks what a contract comes to.
func CheckSourced(s Sourced) Checks {
	if s.Refused != nil {
		return Checks{CheckContract: {Failing, s.Refused.Error()}}
	}
	checks := Checks{CheckContract: {Passing, s.verdict()}}
	if r := RejectAll(unsupported, s.Unsupported); r != nil {
		checks[CheckSupported] = Check{Failing, r.Error()}
	}
	if len(s.Images) > 0 {
		checks[CheckImages] = checkImages(s.Images)
	}
	return checks
}

const unsupported = "the contract describes what no prediction server here can run"

// Rejection is why nothing can be deployed from the contract, or nil.
func (s Sourced) Rejection() *Rejection {
	if s.Refused != nil {
		return s.Refused
	}
	findings := slices.Clone(s.Unsupported)
	for _, i := range s.Images {
		findings = append(findings, i.Refused...)
	}
	return RejectAll(unsupported, findings)
}

// verdict says that the contract is right.
func (s Sourced) verdict() string {
	switch {
	case s.Contract.Commit != "":
		return "The contract is right, at commit " + s.Contract.Commit + "."
	case s.Contract.URL != "":
		return "The contract is right, with the digest " + string(s.Contract.Digest) + "."
	case s.Change.Empty():
		return "The contract is right."
	default:
		return "The contract can be written."
	}
}

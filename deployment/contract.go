package deployment

import "encoding/json"

// Source is where a command says that the contract is which describes its model
// (deeploy.md D1). Without branch, tag and commit it is the main branch of the
// repository.
type Source struct {
	Route         Route  `json:"route"`
	URL           string `json:"url"`
	Branch        string `json:"branch,omitempty"`
	Tag           string `json:"tag,omitempty"`
	Commit        string `json:"commit,omitempty"` // 40 hexadecimal digits
	ContractPath  string `json:"contractPath,omitempty"`
	CredentialsID string `json:"credentialsId,omitempty"` // an id, never the credentials

	// Target is the name of what the model predicts, which a contract does not
	// say; "": that of the current model, or PredictionTarget.
	Target string `json:"target,omitempty"`

	// The types of the parts: names in any case, or integers (deeploy.md D28).
	ModelType       json.RawMessage `json:"modelType,omitempty"`
	ExplainerType   json.RawMessage `json:"explainerType,omitempty"`
	TransformerType json.RawMessage `json:"transformerType,omitempty"`
}

// Route is how a model comes to Slipway. It is never guessed from what else a
// command says (deeploy.md D1).
type Route string

// RouteExisting is that of a contract which is there already.
const RouteExisting Route = "existing"

// PredictionTarget is what a model predicts when nobody has said how it is called.
const PredictionTarget = "prediction"

// Contract is the contract that a model was deployed from: what is in it cannot
// change any more.
type Contract struct {
	Repository string `json:"repository"`
	Branch     string `json:"branch,omitempty"` // that named it then
	Tag        string `json:"tag,omitempty"`
	Commit     string `json:"commit"`
	Path       string `json:"path"`      // folder in the repository; "": its root
	Digest     Digest `json:"digest"`    // of what the contract says
	ModelType  string `json:"modelType"` // in Deeploy's words
}

// Reading asks for a contract to be read.
type Reading struct {
	Source   Source
	Recorded *Contract // of the model that serves now; nil: it has none
}

// Sourced is what a contract that was read comes to. Exactly one of the last
// three says something.
type Sourced struct {
	Contract    Contract
	Model       *Model     // without an id; its artifact is kept already
	Unsupported []Finding  // what of the contract cannot be served here
	Refused     *Rejection // why the contract cannot be used
}

// CheckSourced says as checks what a contract comes to.
func CheckSourced(s Sourced) Checks {
	if s.Refused != nil {
		return Checks{CheckContract: {Failing, s.Refused.Error()}}
	}
	checks := Checks{CheckContract: {Passing, "The contract is right, at commit " + s.Contract.Commit + "."}}
	if r := s.Rejection(); r != nil {
		checks[CheckSupported] = Check{Failing, r.Error()}
	}
	return checks
}

// Rejection is why nothing can be deployed from the contract, or nil.
func (s Sourced) Rejection() *Rejection {
	if s.Refused != nil {
		return s.Refused
	}
	return RejectAll("the contract describes what no prediction server here can run", s.Unsupported)
}

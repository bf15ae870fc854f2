package deployment

import (
	"cmp"
	"encoding/json"
)

// Source is where a command says that the contract is which describes its model,
// or with what it is to be written there first (deeploy.md D1). Without branch,
// tag and commit it is the main branch of the repository.
type Source struct {
	Route         Route  `json:"route"`
	URL           string `json:"url,omitempty"` // of a git repository; "": the contract is to lie in the artifacts object store
	Branch        string `json:"branch,omitempty"`
	Tag           string `json:"tag,omitempty"`
	Commit        string `json:"commit,omitempty"` // 40 hexadecimal digits
	ContractPath  string `json:"contractPath,omitempty"`
	CredentialsID string `json:"credentialsId,omitempty"` // an id, never the credentials

	// What is to be written, of routes that write: references as reference.json
	// has them below "reference", and what metadata.json is to say.
	Model       json.RawMessage `json:"model,omitempty"`    // of the route reference
	Artifact    *Upload         `json:"artifact,omitempty"` // of the route artifact
	Explainer   json.RawMessage `json:"explainer,omitempty"`
	Transformer json.RawMessage `json:"transformer,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`

	// How it is to be written.
	OverwriteContract bool   `json:"overwriteContract,omitempty"` // replace what is in the folders of the parts above
	Overwrite         bool   `json:"overwrite,omitempty"`         // another name of OverwriteContract (deeploy.md D6)
	OverwriteMetadata bool   `json:"overwriteMetadata,omitempty"`
	CommitMessage     string `json:"commitMessage,omitempty"` // "": one that says what changes (deeploy.md D8)

	// Target is the name of what the model predicts, which a contract does not
	// say; "": that of the current model, or PredictionTarget.
	Target string `json:"target,omitempty"`

	// The types of the parts: names in any case, or integers (deeploy.md D28).
	ModelType       json.RawMessage `json:"modelType,omitempty"`
	ExplainerType   json.RawMessage `json:"explainerType,omitempty"`
	TransformerType json.RawMessage `json:"transformerType,omitempty"`
}

// Upload is the files of a model that lie in an object store of the NATS server
// (deeploy.md D14).
type Upload struct {
	Bucket string         `json:"bucket,omitempty"` // "": UploadBucket
	Stem   string         `json:"stem,omitempty"`   // of a model that is one file; "": model (deeploy.md D15)
	Files  []UploadedFile `json:"files"`
}

// UploadBucket is the object store that files are taken from.
const UploadBucket = "artifacts"

// UploadedFile is one file of an Upload.
type UploadedFile struct {
	Path   string `json:"path"`             // in the folder of the model: "model.onnx"
	Object string `json:"object"`           // its name in the bucket
	Digest Digest `json:"digest,omitempty"` // required; that it is missing is said with what else is wrong
	Size   int64  `json:"size"`             // bytes
}

// Route is how a model comes to Slipway. It is never guessed from what else a
// command says (deeploy.md D1).
type Route string

// The routes.
const (
	RouteExisting  Route = "existing"  // the contract is there already
	RouteReference Route = "reference" // the command says where the model is, and the contract is written
	RouteArtifact  Route = "artifact"  // the model's files were uploaded, and the contract is written
)

// Writes reports whether the route writes a contract.
func (r Route) Writes() bool { return r != RouteExisting }

// Overwrites reports whether what is in the folders of the parts is replaced.
func (s Source) Overwrites() bool { return s.OverwriteContract || s.Overwrite }

// Check says what of a source does not go together. Nothing is guessed from it,
// and nothing that was said is passed over.
func (s Source) Check() (findings []Finding) {
	add := func(code Code, member, message string) {
		findings = append(findings, Finding{Code: code, Path: "source." + member, Message: message})
	}
	only := func(set bool, member string, routes ...Route) {
		for _, r := range routes {
			set = set && s.Route != r
		}
		if set {
			add(CodeInvalidField, member, "is not for the route "+string(s.Route)+": expected "+routesText(routes)+", or nothing there")
		}
	}
	only(len(s.Model) > 0, "model", RouteReference)
	only(s.Artifact != nil, "artifact", RouteArtifact)
	for _, m := range []struct {
		set  bool
		name string
	}{
		{len(s.Explainer) > 0, "explainer"},
		{len(s.Transformer) > 0, "transformer"},
		{len(s.Metadata) > 0, "metadata"},
		{s.OverwriteContract, "overwriteContract"},
		{s.Overwrite, "overwrite"},
		{s.OverwriteMetadata, "overwriteMetadata"},
		{s.CommitMessage != "", "commitMessage"},
	} {
		only(m.set, m.name, RouteReference, RouteArtifact)
	}
	only(s.Tag != "", "tag", RouteExisting)
	only(s.Commit != "", "commit", RouteExisting)
	switch {
	case s.Route == RouteExisting && s.URL == "":
		add(CodeMissingField, "url", "source.url is required")
	case s.Route == RouteArtifact && s.Artifact == nil:
		add(CodeMissingField, "artifact", "source.artifact is required")
	case s.Route == RouteReference && len(s.Model)+len(s.Explainer)+len(s.Transformer)+len(s.Metadata) == 0:
		add(CodeEmptyUpdate, "model", "expected a model, an explainer, a transformer or metadata to write")
	}
	if s.URL == "" && s.Route.Writes() {
		const without = "is of a repository: expected source.url, or nothing there"
		for _, m := range []struct{ name, text string }{{"branch", s.Branch}, {"credentialsId", s.CredentialsID}, {"commitMessage", s.CommitMessage}} {
			if m.text != "" {
				add(CodeInvalidField, m.name, without)
			}
		}
	}
	if a := s.Artifact; a != nil && cmp.Or(a.Bucket, UploadBucket) != UploadBucket {
		add(CodeInvalidField, "artifact.bucket", "expected "+UploadBucket+", the bucket that models are uploaded to")
	}
	return findings
}

func routesText(routes []Route) string {
	text := "the route " + string(routes[0])
	for _, r := range routes[1:] {
		text += " or " + string(r)
	}
	return text
}

package sourcing

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// wanted is what a source asks for, in the words of contracts.
type wanted struct {
	at     contract.Path
	types  contract.Types       // as declared
	change contract.Change      // of a route that writes
	upload *deployment.Artifact // that comes to be the model

	found       []deployment.Finding // what is wrong with it
	unsupported []deployment.Finding // what of it cannot be served here
}

// parse reads what a source says in the words of Deeploy. It says everything that
// is wrong with it, and looks at nothing else.
func parse(r deployment.Reading) wanted {
	s := r.Source
	var w wanted
	note := func(code deployment.Code, path string, err error) {
		if err != nil {
			w.found = append(w.found, deployment.Finding{Code: code, Path: path, Message: err.Error()})
		}
	}
	var err error
	w.at, err = contract.ParsePath(s.ContractPath)
	note(deployment.CodeContractPathInvalid, "source.contractPath", err)
	note(deployment.CodeUnknownEnum, "source.modelType", decode(s.ModelType, &w.types.Model))
	note(deployment.CodeUnknownEnum, "source.explainerType", decode(s.ExplainerType, &w.types.Explainer))
	note(deployment.CodeUnknownEnum, "source.transformerType", decode(s.TransformerType, &w.types.Transformer))
	if !s.Route.Writes() {
		return w
	}
	var found []deployment.Finding
	w.change, found = contract.ReadGiven(contract.Given{Model: s.Model, Explainer: s.Explainer, Transformer: s.Transformer, Metadata: s.Metadata}, "source")
	w.found = append(w.found, found...)
	w.change.Overwrite, w.change.OverwriteMetadata = s.Overwrites(), s.OverwriteMetadata
	if w.change.Explainer != nil && w.types.Explainer == contract.NoExplainer {
		note(deployment.CodeExplainerTypeMismatch, "source.explainerType", fmt.Errorf("%s, but an explainer is given: expected its type, or no explainer", contract.NoExplainer))
	}
	if w.change.Transformer != nil && w.types.Transformer == contract.NoTransformer {
		note(deployment.CodeInvalidField, "source.transformerType", fmt.Errorf("%s, but a transformer is given: expected %s, or no transformer", contract.NoTransformer, contract.TransformerCustom))
	}
	if s.Artifact != nil {
		w.take(*s.Artifact, recorded(r.Recorded).Model)
	}
	return w
}

// take checks the files of an upload. A model that is one file comes to be a blob
// in our own store, under its digest, where nobody can change it any more.
func (w *wanted) take(u deployment.Upload, recorded contract.ModelType) {
	paths := make([]string, len(u.Files))
	for i, f := range u.Files {
		paths[i] = f.Path
		if f.Digest == "" {
			w.found = append(w.found, deployment.Finding{
				Code: deployment.CodeDigestMissing, Path: fmt.Sprintf("source.artifact.files[%d].digest", i),
				Message: "is required: expected sha256: and the 64 hexadecimal digits of the file's SHA-256",
			})
		}
	}
	layout, found := contract.CheckUpload(w.types.Model, recorded, cmp.Or(u.Stem, "model"), paths)
	w.found = append(w.found, found...)
	w.types.Model = layout.Type
	f := u.Files[0]
	w.change.Model = &contract.Reference{Blob: &contract.Blob{URL: "objects://" + deployment.UploadBucket + "/sha256/" + f.Digest.Hex()}}
	w.upload = &deployment.Artifact{Object: f.Object, Digest: f.Digest, Size: f.Size}
	cannot := func(path, message string) {
		w.unsupported = append(w.unsupported, deployment.Finding{Code: deployment.CodeUnsupportedArtifact, Path: path, Message: message})
	}
	switch _, served := formats()[layout.Type]; {
	case len(found) > 0:
	case !served:
		cannot("source.modelType", notServed(layout.Type))
	case len(u.Files) > 1:
		cannot("source.artifact.files", fmt.Sprintf("models of several files cannot be served here: expected one file, of type %s", names(formats())))
	}
}

// rejection is why nothing can be done for the source, or nil.
func (w *wanted) rejection() error {
	if r := deployment.RejectAll(deployment.InvalidData, w.found); r != nil {
		return r
	}
	return nil
}

// locate is where the command says what a finding is about: parts that it gives
// are not in the repository yet.
func (w *wanted) locate(at string) string {
	for _, part := range []struct {
		name  string
		given bool
	}{
		{"model", w.change.Model != nil},
		{"explainer", w.change.Explainer != nil},
		{"transformer", w.change.Transformer != nil},
	} {
		member, inside := strings.CutPrefix(at, path.Join(string(w.at), part.name, "reference.json")+"#reference")
		switch {
		case !inside || !part.given:
		case part.name == "model" && w.upload != nil:
			return "source.artifact.files[0]"
		default:
			return "source." + part.name + member
		}
	}
	return typeMembers(at)
}

// locateModel is locate for findings about the model that metadata was given for.
func (w *wanted) locateModel(at string) string {
	if member, inside := strings.CutPrefix(at, w.metadataFile()+"#"); inside && w.change.Metadata != nil {
		return "source.metadata." + member
	}
	return w.locate(at)
}

func (w *wanted) metadataFile() string { return path.Join(string(w.at), "metadata.json") }

// The members of a command's data that findings about types point to, by those
// that the package contract names.
func typeMembers(path string) string {
	switch path {
	case "model.type":
		return "source.modelType"
	case "explainer.type":
		return "source.explainerType"
	case "transformer.type":
		return "source.transformerType"
	case "commitMessage":
		return "source.commitMessage"
	default:
		return path
	}
}

func decode(text json.RawMessage, into json.Unmarshaler) error {
	if len(text) == 0 {
		return nil
	}
	return into.UnmarshalJSON(text)
}

// recorded are the types of the contract that serves now (deeploy.md D11).
func recorded(c *deployment.Contract) contract.Types {
	if c == nil {
		return contract.Types{}
	}
	return contract.Types{
		Model: contract.ModelType(c.ModelType), Explainer: contract.ExplainerType(c.ExplainerType), Transformer: contract.TransformerType(c.TransformerType),
	}
}

// recorded are those types but for parts that are given anew: an explainer that
// is written now is not left alone because the one before was.
func (w *wanted) recorded(c *deployment.Contract) contract.Types {
	types := recorded(c)
	if w.change.Explainer != nil {
		types.Explainer = ""
	}
	if w.change.Transformer != nil {
		types.Transformer = ""
	}
	return types
}

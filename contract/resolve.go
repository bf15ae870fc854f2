package contract

import (
	"path"
	"slices"
	"strings"
)

// Types say what the parts of a contract are. Its files do not: types are
// declared by who deploys. "" is not declared.
type Types struct {
	Model       ModelType       `json:"model,omitempty"`
	Explainer   ExplainerType   `json:"explainer,omitempty"`
	Transformer TransformerType `json:"transformer,omitempty"`
}

// The members of a command's data that findings about types point to.
const (
	atModelType       = "model.type"
	atExplainerType   = "explainer.type"
	atTransformerType = "transformer.type"
)

// Resolve settles the type of every part from what is declared, what the
// contract itself leaves open, and what was recorded for the version before;
// both may be the zero Types. A part that is not there, or is declared not to
// be used, comes out as NO_EXPLAINER or NO_TRANSFORMER. Types that are missing
// or contradict the contract are a *deployment.Rejection with all of them
// (deeploy.md D7, D11, D15). Who has just written an explainer or transformer
// leaves what was recorded for it out, so that it is not ignored.
func (c Contract) Resolve(declared, recorded Types) (Types, error) {
	var f findings
	out := Types{
		Model:       modelType(c.Model, declared.Model, recorded.Model, &f),
		Explainer:   explainerType(c.Explainer, declared.Explainer, recorded.Explainer, &f),
		Transformer: transformerType(c.Transformer, declared.Transformer, recorded.Transformer, &f),
	}
	if err := f.rejection("the types do not fit the contract"); err != nil {
		return Types{}, err
	}
	return out, nil
}

// isImage reports whether a reference is a program that answers predictions,
// rather than a model that some runtime reads.
func (k Kind) isImage() bool { return k == KindDocker || k == KindAzureML }

func modelType(p Part, declared, recorded ModelType, f *findings) ModelType {
	kind := p.Kind()
	fits, known := modelTypesOf(p)
	switch {
	case declared != "" && known && !slices.Contains(fits, declared),
		declared == ModelCustom && !kind.isImage():
		if !known {
			f.add(CodeModelMismatch, atModelType, "%s is a docker image, but the model comes from %s", declared, where(p))
			return ""
		}
		f.add(CodeModelMismatch, atModelType, "expected %s for a model from %s, got %s", either(texts(fits)), where(p), declared)
		return ""
	case declared != "":
		return declared
	case known && len(fits) == 1:
		return fits[0]
	case recorded != "" && recorded != ModelCustom && recorded != ModelHuggingFace && (!known || slices.Contains(fits, recorded)):
		return recorded
	}
	f.add(CodeMissingModelType, atModelType, "is required for a model from %s: expected %s", where(p), either(texts(ModelTypes())))
	return ""
}

// modelTypesOf are the types that a part can be of, if it says something of it.
func modelTypesOf(p Part) (fits []ModelType, known bool) {
	switch kind := p.Kind(); {
	case kind.isImage():
		return []ModelType{ModelCustom}, true
	case kind == KindHuggingFace:
		return []ModelType{ModelHuggingFace}, true
	case kind == KindFile:
		fits = modelTypesOfFile(p.File.Name)
		return fits, len(fits) > 0
	default:
		return nil, false
	}
}

// modelTypesOfFile are the types whose runtimes read files of that name
// (deeploy.md section 7, D15).
func modelTypesOfFile(name string) []ModelType {
	switch strings.ToLower(path.Ext(name)) {
	case ".joblib", ".pkl", ".pickle":
		return []ModelType{ModelSKLearn}
	case ".json", ".ubj":
		return []ModelType{ModelXGBoost}
	case ".bst":
		return []ModelType{ModelXGBoost, ModelLightGBM}
	case ".pmml":
		return []ModelType{ModelPMML}
	case ".mar":
		return []ModelType{ModelPyTorch}
	case ".onnx":
		return []ModelType{ModelONNX}
	case ".cbm":
		return []ModelType{ModelCatBoost}
	default:
		return nil
	}
}

func explainerType(p *Part, declared, recorded ExplainerType, f *findings) ExplainerType {
	wanted := declared
	if wanted == "" {
		wanted = recorded
	}
	switch {
	case wanted == NoExplainer, p == nil && wanted == "":
		return NoExplainer
	case p == nil:
		f.add(CodeExplainerMissing, atExplainerType, "no configuration has been found for explainer %s: expected explainer/%s in the contract, or %s", wanted, explainerPart.expected(), NoExplainer)
		return ""
	}
	if image := p.Kind().isImage(); declared != "" && image != (declared == ExplainerCustom) {
		f.add(CodeExplainerMismatch, atExplainerType, "%s does not fit an explainer from %s: %s is for images, and images are for nothing else", declared, where(*p), ExplainerCustom)
		return ""
	} else if image {
		return ExplainerCustom
	}
	if wanted == "" || wanted == ExplainerCustom {
		f.add(CodeMissingExplainerType, atExplainerType, "is required for an explainer from %s: expected %s", where(*p), either(texts(ExplainerTypes())))
		return ""
	}
	return wanted
}

func transformerType(p *Part, declared, recorded TransformerType, f *findings) TransformerType {
	wanted := declared
	if wanted == "" {
		wanted = recorded
	}
	switch {
	case wanted == NoTransformer, p == nil && wanted == "":
		return NoTransformer
	case p == nil:
		f.add(CodeTransformerMissing, atTransformerType, "no docker configuration has been found for the transformer: expected transformer/%s in the contract, or %s", referenceFile, NoTransformer)
		return ""
	}
	return TransformerCustom
}

// where says where a part comes from.
func where(p Part) string {
	if p.File != nil {
		return path.Base(p.File.Name)
	}
	return string(p.Kind())
}

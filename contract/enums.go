package contract

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ModelType is the framework that a model is of. It is read as its name in any
// case or as Deeploy's integer of today, and written as its name (deeploy.md
// section 3, D28).
type ModelType string

// The model types.
const (
	ModelTensorFlow  ModelType = "TENSORFLOW"
	ModelPyTorch     ModelType = "PYTORCH"
	ModelSKLearn     ModelType = "SKLEARN"
	ModelXGBoost     ModelType = "XGBOOST"
	ModelONNX        ModelType = "ONNX"
	ModelTriton      ModelType = "TRITON"
	ModelCustom      ModelType = "CUSTOM"
	ModelLightGBM    ModelType = "LIGHTGBM"
	ModelPMML        ModelType = "PMML"
	ModelHuggingFace ModelType = "HUGGINGFACE"
	ModelCatBoost    ModelType = "CATBOOST"
)

// ModelTypes are all model types; the index is the integer.
func ModelTypes() []ModelType {
	return []ModelType{
		ModelTensorFlow, ModelPyTorch, ModelSKLearn, ModelXGBoost, ModelONNX, ModelTriton,
		ModelCustom, ModelLightGBM, ModelPMML, ModelHuggingFace, ModelCatBoost,
	}
}

// ExplainerType is what explains the predictions of a model. It is read and
// written as a ModelType is.
type ExplainerType string

// The explainer types.
const (
	NoExplainer         ExplainerType = "NO_EXPLAINER"
	ExplainerAnchorTab  ExplainerType = "ANCHOR_TABULAR"
	ExplainerAnchorImg  ExplainerType = "ANCHOR_IMAGES"
	ExplainerAnchorText ExplainerType = "ANCHOR_TEXT"
	ExplainerSHAPKernel ExplainerType = "SHAP_KERNEL"
	ExplainerPDP        ExplainerType = "PDP_TABULAR"
	ExplainerMACE       ExplainerType = "MACE_TABULAR"
	ExplainerCustom     ExplainerType = "CUSTOM"
	ExplainerIntegrated ExplainerType = "INTEGRATED_EXPLAINER"
	ExplainerSHAPTree   ExplainerType = "SHAP_TREE"
	ExplainerSaliency   ExplainerType = "SALIENCY"
	ExplainerAttention  ExplainerType = "ATTENTION"
)

// ExplainerTypes are all explainer types; the index is the integer.
func ExplainerTypes() []ExplainerType {
	return []ExplainerType{
		NoExplainer, ExplainerAnchorTab, ExplainerAnchorImg, ExplainerAnchorText, ExplainerSHAPKernel, ExplainerPDP,
		ExplainerMACE, ExplainerCustom, ExplainerIntegrated, ExplainerSHAPTree, ExplainerSaliency, ExplainerAttention,
	}
}

// TransformerType is what changes requests before the model sees them. It is
// read and written as a ModelType is.
type TransformerType string

// The transformer types.
const (
	NoTransformer     TransformerType = "NO_TRANSFORMER"
	TransformerCustom TransformerType = "CUSTOM"
)

// TransformerTypes are all transformer types; the index is the integer.
func TransformerTypes() []TransformerType { return []TransformerType{NoTransformer, TransformerCustom} }

// UnmarshalJSON reads a name or an integer; null is no type.
func (t *ModelType) UnmarshalJSON(data []byte) (err error) {
	*t, err = readType(ModelTypes(), "model type", data)
	return err
}

// UnmarshalJSON reads a name or an integer; null is no type.
func (t *ExplainerType) UnmarshalJSON(data []byte) (err error) {
	*t, err = readType(ExplainerTypes(), "explainer type", data)
	return err
}

// UnmarshalJSON reads a name or an integer; null is no type.
func (t *TransformerType) UnmarshalJSON(data []byte) (err error) {
	*t, err = readType(TransformerTypes(), "transformer type", data)
	return err
}

func readType[T ~string](all []T, what string, data []byte) (none T, err error) {
	v, err := parse(data)
	if err != nil {
		return none, fmt.Errorf("%s: %w", what, err)
	}
	switch v.kind {
	case null:
		return none, nil
	case text:
		name := T(strings.ToUpper(v.text))
		if slices.Contains(all, name) {
			return name, nil
		}
	case number:
		if i, err := strconv.Atoi(v.text); err == nil && i >= 0 && i < len(all) {
			return all[i], nil
		}
	default: // no type is written that way
	}
	return none, fmt.Errorf("%s: expected %s, or a number from 0 to %d, got %s",
		what, either(texts(all)), len(all)-1, shown(v))
}

func shown(v value) string {
	if v.kind == number {
		return json.Number(v.text).String()
	}
	return described(v)
}

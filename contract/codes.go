package contract

import "github.com/slipway-ml/slipway/deployment"

// The codes of findings in a contract and in what is to be written into one
// (deeploy.md section 10). A finding's path is the file from the root of the
// repository, then "#" and the member in it: "model/reference.json#reference.blob.url".
const (
	CodePathInvalid        deployment.Code = "contract_path_invalid" // the folder is not one, or cannot be named
	CodeMissingReference   deployment.Code = "missing_reference"     // there is no model
	CodeInvalidReference   deployment.Code = "invalid_reference"     // reference.json is not what one looks like
	CodeReferenceAmbiguous deployment.Code = "reference_kind_ambiguous"
	CodeReferenceShort     deployment.Code = "reference_incomplete"
	CodeMetadataInvalid    deployment.Code = "metadata_invalid"
	CodeLayoutInvalid      deployment.Code = "layout_invalid" // a file that does not belong there, or is too large
	CodeFolderNotEmpty     deployment.Code = "folder_not_empty"

	CodeMissingModelType     deployment.Code = "missing_model_type"
	CodeModelMismatch        deployment.Code = "model_type_mismatch"
	CodeExplainerMissing     deployment.Code = "explainer_config_missing"
	CodeMissingExplainerType deployment.Code = "missing_explainer_type"
	CodeExplainerMismatch    deployment.Code = "explainer_type_mismatch"
	CodeTransformerMissing   deployment.Code = "transformer_docker_config_missing"

	CodeEmptyChange deployment.Code = "empty_update"
)

package contract

import "github.com/slipway-ml/slipway/deployment"

// The codes of findings in a contract and in what is to be written into one
// (deeploy.md section 10). A finding's path is the file from the root of the
// repository, then "#" and the member in it: "model/reference.json#reference.blob.url".
const (
	CodePathInvalid        = deployment.CodeContractPathInvalid // the folder is not one, or cannot be named
	CodeMissingReference   = deployment.CodeMissingReference    // there is no model
	CodeInvalidReference   = deployment.CodeInvalidReference    // reference.json is not what one looks like
	CodeReferenceAmbiguous = deployment.CodeReferenceAmbiguous
	CodeReferenceShort     = deployment.CodeReferenceIncomplete
	CodeMetadataInvalid    = deployment.CodeMetadataInvalid
	CodeLayoutInvalid      = deployment.CodeLayoutInvalid // a file that does not belong there, or is too large
	CodeFolderNotEmpty     = deployment.CodeFolderNotEmpty

	CodeMissingModelType     = deployment.CodeMissingModelType
	CodeModelMismatch        = deployment.CodeModelTypeMismatch
	CodeExplainerMissing     = deployment.CodeExplainerConfigMissing
	CodeMissingExplainerType = deployment.CodeMissingExplainerType
	CodeExplainerMismatch    = deployment.CodeExplainerTypeMismatch
	CodeTransformerMissing   = deployment.CodeTransformerMissing
	CodeArchiveMissing       = deployment.CodeArchiveMissing

	CodeEmptyChange = deployment.CodeEmptyUpdate
)

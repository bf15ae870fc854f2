package deployment

// Code names what went wrong. Codes are on the wire: they are never renamed and
// never removed, only added (deeploy.md section 10, datarobot.md R22).
type Code string

// Class groups the codes by what the sender can do about them; it corresponds
// to an HTTP status (datarobot.md R22).
type Class string

// The classes.
const (
	ClassInvalid   Class = "invalid"   // 422: the request is wrong
	ClassForbidden Class = "forbidden" // 403: the sender may not
	ClassNotFound  Class = "not_found" // 404: what it is about does not exist
	ClassConflict  Class = "conflict"  // 409: not in this state
	ClassInternal  Class = "internal"  // 500: an effect did not succeed
)

// The codes.
const (
	// The message is not a command that can be carried out.
	CodeNotCloudEvent    Code = "not_cloudevent"
	CodeInvalidEvent     Code = "invalid_event"
	CodeSubjectMismatch  Code = "subject_mismatch"
	CodeTypeMismatch     Code = "type_mismatch"
	CodeInvalidName      Code = "invalid_name"
	CodeUnknownOperation Code = "unknown_operation"
	CodeTooLarge         Code = "too_large"
	CodeIDReused         Code = "id_reused"

	// The data of the command is wrong.
	CodeInvalidField Code = "invalid_field"
	CodeMissingField Code = "missing_field"
	CodeUnknownField Code = "unknown_field"
	CodeUnknownEnum  Code = "unknown_enum"
	CodeEmptyUpdate  Code = "empty_update"

	// The command names what there is not, or its sender may not send it.
	CodeUnknownServer Code = "unknown_prediction_server"
	CodeNotPermitted  Code = "not_permitted"

	// Nobody has shown that the command is of the actor whom it names.
	CodeNotSigned        Code = "not_signed"
	CodeUnknownActor     Code = "unknown_actor"
	CodeUnknownKey       Code = "unknown_key" // it is none of that actor's
	CodeInvalidSignature Code = "invalid_signature"

	// The state does not allow it.
	CodeDeploymentExists   Code = "deployment_exists"
	CodeDeploymentNotFound Code = "deployment_not_found"
	CodeDeploymentFailed   Code = "deployment_failed"
	CodeDeploymentInactive Code = "deployment_inactive"
	CodeAlreadyInStatus    Code = "already_in_status"
	CodeModelExists        Code = "model_exists"
	CodeModelNotFound      Code = "model_not_found"
	CodeIsCurrentModel     Code = "is_current_model"
	CodeModelNeverServed   Code = "model_never_served"
	CodeNoEarlierModel     Code = "no_earlier_model"
	CodeVersionNotFound    Code = "version_not_found"
	CodeNoContract         Code = "no_contract" // what serves was deployed from none
	CodeValidationFailed   Code = "validation_failed"
	CodeCommandNotFound    Code = "command_not_found"
	CodeCommandFinished    Code = "command_finished"

	// The artifact is not what the command says.
	CodeURLInvalid          Code = "url_invalid"
	CodeURLNotAllowed       Code = "url_not_allowed"
	CodeArtifactNotFound    Code = "artifact_not_found"
	CodeArtifactForbidden   Code = "artifact_forbidden"
	CodeArtifactTooLarge    Code = "artifact_too_large"
	CodeDigestMissing       Code = "digest_missing"
	CodeDigestMismatch      Code = "digest_mismatch"
	CodeSizeMismatch        Code = "size_mismatch"
	CodeUnsupportedArtifact Code = "unsupported_artifact"
	CodeArtifactInvalid     Code = "artifact_invalid"
	CodeCredentialsMissing  Code = "credentials_missing" // there are none of that id, or none that the store takes
	CodeImageNotFound       Code = "image_not_found"     // in its registry
	CodeImageForbidden      Code = "image_forbidden"     // or there is none: registries do not tell
	CodeImagePlatform       Code = "image_platform_mismatch"
	CodeImageInvalid        Code = "image_invalid" // its name is none, or what the registry has is none
	CodeModelCannotPredict  Code = "model_cannot_predict"
	CodeGoldenRowsFailing   Code = "golden_rows_failing"
	CodeChecksFailing       Code = "checks_failing"

	// The contract, or the repository that it is in, is not what the command says
	// (deeploy.md section 10).
	CodeContractPathInvalid    Code = "contract_path_invalid"    // the folder is not one, or cannot be named
	CodeMissingReference       Code = "missing_reference"        // there is no model
	CodeInvalidReference       Code = "invalid_reference"        // reference.json is not what one looks like
	CodeReferenceAmbiguous     Code = "reference_kind_ambiguous" // several kinds, or several files
	CodeReferenceIncomplete    Code = "reference_incomplete"
	CodeMetadataInvalid        Code = "metadata_invalid"
	CodeLayoutInvalid          Code = "layout_invalid" // a file that does not belong there, or is too large
	CodeArchiveMissing         Code = "pytorch_archive_missing"
	CodeFolderNotEmpty         Code = "folder_not_empty"
	CodeMissingModelType       Code = "missing_model_type"
	CodeModelTypeMismatch      Code = "model_type_mismatch"
	CodeExplainerConfigMissing Code = "explainer_config_missing"
	CodeMissingExplainerType   Code = "missing_explainer_type"
	CodeExplainerTypeMismatch  Code = "explainer_type_mismatch"
	CodeTransformerMissing     Code = "transformer_docker_config_missing"
	CodeRepositoryNotFound     Code = "repository_not_found" // there is none, or it may not be seen
	CodeRepositoryForbidden    Code = "repository_forbidden" // the credentials may not read
	CodeRepositoryTooLarge     Code = "repository_too_large"
	CodeInvalidRepository      Code = "invalid_repository" // what answers is no git repository, or a damaged one
	CodeRevisionNotFound       Code = "revision_not_found" // no such branch, tag or commit
	CodeHistoryRewritten       Code = "history_rewritten"  // a commit that was seen is gone
	CodeHostKeyRefused         Code = "host_key_refused"   // the ssh server is not the known one
	CodePushRefused            Code = "push_refused"
	CodeCredentialsInvalid     Code = "credentials_invalid" // those with that id are of no use here

	// An effect did not succeed.
	CodeStoreUnavailable  Code = "store_unavailable"
	CodeServerUnavailable Code = "prediction_server_unavailable"
	CodeServerFailed      Code = "prediction_server_failed"
	CodeAttemptsExhausted Code = "attempts_exhausted"
	CodePanic             Code = "panic"
	CodeWorkerStopped     Code = "worker_stopped"
	CodeDeadlineExceeded  Code = "deadline_exceeded"
	CodeMemoryExceeded    Code = "memory_exceeded"
	CodeBusy              Code = "busy" // of a request that is answered at once
)

// Class is the class of the code.
func (c Code) Class() Class {
	switch c {
	case CodeDeploymentNotFound, CodeModelNotFound, CodeModelNeverServed, CodeVersionNotFound, CodeCommandNotFound, CodeRepositoryNotFound, CodeRevisionNotFound:
		return ClassNotFound
	case CodeDeploymentExists, CodeDeploymentFailed, CodeDeploymentInactive, CodeAlreadyInStatus, CodeModelExists, CodeIsCurrentModel, CodeValidationFailed, CodeNoEarlierModel, CodeNoContract, CodeIDReused, CodeCommandFinished, CodeHistoryRewritten:
		return ClassConflict
	case CodeURLNotAllowed, CodeNotPermitted, CodeNotSigned, CodeUnknownActor, CodeUnknownKey, CodeInvalidSignature, CodeRepositoryForbidden, CodeHostKeyRefused, CodePushRefused:
		return ClassForbidden
	case CodeStoreUnavailable, CodeServerUnavailable, CodeServerFailed, CodeAttemptsExhausted, CodePanic, CodeWorkerStopped, CodeDeadlineExceeded, CodeMemoryExceeded, CodeBusy:
		return ClassInternal
	default:
		return ClassInvalid
	}
}

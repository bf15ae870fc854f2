package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
)

// urlSecret is in a command, so that it is for ever in the stream of commands; no
// event may have it.
const urlSecret = "planted-url-s3cret"

// writeRefusals are commands of the route reference that are refused. Without a
// change they would write a contract into the folder of their name.
func writeRefusals(web, model string) []contractRefusal {
	to := func(reference string) func(*deployment.Source) {
		return func(s *deployment.Source) { s.Model = json.RawMessage(reference) }
	}
	typed := func(model string) func(*deployment.Source) {
		return func(s *deployment.Source) { s.ModelType = json.RawMessage(model) }
	}
	with := func(set func(*deployment.Source)) func(*deployment.Source) { return set }
	none := map[string]string{}
	invalid := deployment.ClassInvalid
	return []contractRefusal{
		// The request.
		{"w-route", none, with(func(s *deployment.Source) { s.Route = "guess" }), deployment.CodeUnknownEnum, invalid, "source.route", `source.route: expected one of existing, reference, artifact, got "guess"`},
		{"w-nothing", none, to(""), deployment.CodeEmptyUpdate, invalid, "source.model", "expected a model, an explainer, a transformer or metadata to write"},
		{"w-existing-model", none, with(func(s *deployment.Source) { s.Route = deployment.RouteExisting }), deployment.CodeInvalidField, invalid, "source.model", "is not for the route existing: expected the route reference, or nothing there"},
		{"w-existing-url", none, with(func(s *deployment.Source) {
			s.Route, s.URL, s.Model, s.CredentialsID = deployment.RouteExisting, "", nil, ""
		}), deployment.CodeMissingField, invalid, "source.url", "source.url is required"},
		{"w-tag", none, with(func(s *deployment.Source) { s.Tag = "v1" }), deployment.CodeInvalidField, invalid, "source.tag", "is not for the route reference: expected the route existing, or nothing there"},
		{"w-commit", none, with(func(s *deployment.Source) { s.Commit = strings.Repeat("a", 40) }), deployment.CodeInvalidField, invalid, "source.commit", "is not for the route reference"},
		{"w-branch-url", none, with(func(s *deployment.Source) { s.URL, s.CredentialsID, s.Branch = "", "", "main" }), deployment.CodeInvalidField, invalid, "source.branch", "is of a repository: expected source.url, or nothing there"},
		{"w-path", none, with(func(s *deployment.Source) { s.ContractPath = "a/../b" }), deployment.CodeContractPathInvalid, invalid, "source.contractPath", `contract path "a/../b": expected a folder`},
		{"w-message", none, with(func(s *deployment.Source) { s.CommitMessage = "a\x00b" }), deployment.CodeInvalidField, invalid, "source.commitMessage", "expected text of 65536 bytes at most"},
		{"w-unknown", none, to(`{"blob":{"url":"s3://b/m","urll":"x"}}`), deployment.CodeUnknownField, invalid, "source.model.blob.urll", "is not a known member"},
		{"w-empty", none, to(`{"blob":null}`), deployment.CodeInvalidReference, invalid, "source.model", "no information on what is to be deployed: expected one of blob, docker, mlflow, azureML, databricks or huggingface"},
		{"w-both", none, to(`{"blob":{"url":"s3://b/m"},"huggingface":{"model":"m"}}`), deployment.CodeReferenceAmbiguous, invalid, "source.model", "got blob and huggingface: expected exactly one"},
		{"w-short", none, to(`{"blob":{}}`), deployment.CodeReferenceIncomplete, invalid, "source.model.blob.url", "is required"},
		{"w-docker-short", none, to(`{"docker":{"image":"a"}}`), deployment.CodeReferenceIncomplete, invalid, "source.model.docker.uri", "is required"},
		{"w-azure-short", none, to(`{"azure_ml":{"image":"a","uri":"/s","readinessPath":"/","livenessPath":"/"}}`), deployment.CodeReferenceIncomplete, invalid, "source.model.azureML.port", "is required"},
		{"w-secret", none, to(`{"blob":{"url":"https://host/m?X-Amz-Signature=` + urlSecret + `"}}`), deployment.CodeURLInvalid, invalid, "source.model.blob.url", `url carries a credential in its query member "X-Amz-Signature"`},
		{"w-scheme", none, to(`{"blob":{"url":"ftp://host/m"}}`), deployment.CodeURLInvalid, invalid, "source.model.blob.url", `url has the scheme "ftp": expected s3, gs, azblob, hf, http, https, file or objects`},
		{"w-type", none, typed(""), deployment.CodeMissingModelType, invalid, "source.modelType", "is required for a model from blob"},
		{"w-type-unknown", none, typed(`99`), deployment.CodeUnknownEnum, invalid, "source.modelType", "model type: expected TENSORFLOW"},
		{"w-type-mismatch", none, to(`{"docker":{"image":"example/a:1","uri":"/p"}}`), deployment.CodeModelTypeMismatch, invalid, "source.modelType", "expected CUSTOM for a model from docker, got XGBOOST"},
		{"w-explainer-type", none, with(func(s *deployment.Source) { s.Explainer = blob("s3://b/e") }), deployment.CodeMissingExplainerType, invalid, "source.explainerType", "is required for an explainer from blob"},
		{"w-explainer-none", none, with(func(s *deployment.Source) { s.ExplainerType = json.RawMessage(`"SHAP_KERNEL"`) }), deployment.CodeExplainerConfigMissing, invalid, "source.explainerType", "no configuration has been found for explainer SHAP_KERNEL"},
		{"w-explainer-no", none, with(func(s *deployment.Source) { s.Explainer, s.ExplainerType = blob("s3://b/e"), json.RawMessage(`0`) }), deployment.CodeExplainerTypeMismatch, invalid, "source.explainerType", "NO_EXPLAINER, but an explainer is given"},
		{"w-explainer-kind", none, with(func(s *deployment.Source) { s.Explainer = json.RawMessage(`{"huggingface":{"model":"m"}}`) }), deployment.CodeInvalidReference, invalid, "source.explainer", "explainer cannot come from huggingface"},
		{"w-transformer", none, with(func(s *deployment.Source) { s.Transformer = blob("s3://b/t") }), deployment.CodeTransformerMissing, invalid, "source.transformer", "a transformer needs a docker image"},
		{"w-transformer-no", none, with(func(s *deployment.Source) {
			s.Transformer, s.TransformerType = json.RawMessage(`{"docker":{"image":"a","uri":"/"}}`), json.RawMessage(`0`)
		}), deployment.CodeInvalidField, invalid, "source.transformerType", "NO_TRANSFORMER, but a transformer is given"},
		{"w-metadata", none, with(func(s *deployment.Source) { s.Metadata = json.RawMessage(`{"problemType":"ranking"}`) }), deployment.CodeMetadataInvalid, invalid, "source.metadata.problemType", `expected classification or regression, got "ranking"`},
		{"w-metadata-empty", none, with(func(s *deployment.Source) { s.Metadata = json.RawMessage(`{}`) }), deployment.CodeMetadataInvalid, invalid, "source.metadata", "expected at least one member"},
		{"w-metadata-unknown", none, with(func(s *deployment.Source) { s.Metadata = json.RawMessage(`{"labels":["a"]}`) }), deployment.CodeUnknownField, invalid, "source.metadata.labels", "is not a known member"},
		{"w-credentials", none, with(func(s *deployment.Source) { s.CredentialsID = "nobody" }), deployment.CodeCredentialsMissing, invalid, "source.credentialsId", `there are no credentials "nobody"`},
		// The repository and what is in it.
		{"w-repository", none, with(func(s *deployment.Source) { s.URL += ".not" }), deployment.CodeRepositoryNotFound, deployment.ClassNotFound, "source.url", "there is no repository"},
		{"w-forbidden", none, with(func(s *deployment.Source) { s.CredentialsID = "other" }), deployment.CodeRepositoryForbidden, deployment.ClassForbidden, "source.url", "the server does not accept the credentials, or needs some"},
		{"w-reader", none, with(func(s *deployment.Source) { s.CredentialsID = "reader" }), deployment.CodePushRefused, deployment.ClassForbidden, "source.branch", "the server refuses the push"},
		{"w-branch", none, with(func(s *deployment.Source) { s.Branch = "nope" }), deployment.CodeRevisionNotFound, deployment.ClassNotFound, "source.branch", `the repository has no branch "nope"`},
		{"w-full", map[string]string{"model/model.ubj": model}, nil, deployment.CodeFolderNotEmpty, invalid, "w-full/model", "the folder is not empty: set overwriteContract to replace what is in it, or choose another contract path"},
		{"w-nested", map[string]string{"model/inner/reference.json": "{}"}, with(func(s *deployment.Source) { s.OverwriteContract = true }), deployment.CodeFolderNotEmpty, invalid, "w-nested/model/inner", "holds a reference.json of its own, which is not replaced"},
		{"w-link", map[string]string{"model@": "../../etc"}, nil, deployment.CodeLayoutInvalid, invalid, "w-link/model", "is a symbolic link"},
		{"w-file", map[string]string{"model": "x"}, nil, deployment.CodeLayoutInvalid, invalid, "w-file/model", "is not a folder"},
		{"w-stays", map[string]string{"explainer/reference.json": "{"}, nil, deployment.CodeInvalidReference, invalid, "w-stays/explainer/reference.json", "is not JSON"},
		{"w-kept", map[string]string{"metadata.json": `{"problemType":3}`}, with(func(s *deployment.Source) { s.Metadata = json.RawMessage(churnMetadata) }), deployment.CodeMetadataInvalid, invalid, "w-kept/metadata.json#problemType", "expected classification or regression"},
		{"w-model-stays", none, with(func(s *deployment.Source) { s.Model, s.Metadata = nil, json.RawMessage(churnMetadata) }), deployment.CodeMissingReference, invalid, "w-model-stays/model", "missing model reference file in repository"},
		// What cannot be served here.
		{"w-image", none, with(func(s *deployment.Source) {
			s.Model, s.ModelType = json.RawMessage(`{"docker":{"image":"127.0.0.1:1/a:1","uri":"/p"}}`), nil
		}), deployment.CodeUnsupportedArtifact, invalid, "source.model.docker", "images are not run here"},
		{"w-sklearn", none, typed(`2`), deployment.CodeUnsupportedArtifact, invalid, "source.modelType", "models of type SKLEARN cannot be served here"},
		{"w-mlflow", none, to(`{"mlflow":{"model":"m","version":7}}`), deployment.CodeUnsupportedArtifact, invalid, "source.model.mlflow", "models from mlflow cannot be fetched"},
		{"w-explainer", none, with(func(s *deployment.Source) { s.Explainer, s.ExplainerType = blob("s3://b/e"), json.RawMessage(`9`) }), deployment.CodeUnsupportedArtifact, invalid, "source.explainerType", "explainers are not run here"},
		// The model.
		{"w-blob-none", none, to(string(blob(web + "/none.ubj"))), deployment.CodeArtifactNotFound, invalid, "source.model.blob.url", "server answered 404"},
		{"w-blob-file", none, to(`{"blob":{"url":"file:///etc/passwd"}}`), deployment.CodeURLNotAllowed, deployment.ClassForbidden, "source.model.blob.url", "file urls are not allowed here"},
		{"w-broken", none, to(string(blob(web + "/page/"))), deployment.CodeArtifactInvalid, invalid, "source.model.blob.url", "artifact is not an xgboost model"},
		{"w-features", none, with(func(s *deployment.Source) { s.Metadata = json.RawMessage(`{"features":[{"name":"a"}]}`) }), deployment.CodeChecksFailing, invalid, "source.metadata.features", "expected the 6 features"},
		{"w-regression", none, with(func(s *deployment.Source) { s.Metadata = json.RawMessage(`{"problemType":"regression"}`) }), deployment.CodeChecksFailing, invalid, "source.metadata.problemType", "expected a target of type Binary"},
	}
}

// uploadRefusals are commands of the route artifact that are refused. Without a
// change they would deploy one file.
func uploadRefusals() []contractRefusal {
	change := func(set func(*deployment.Source, *deployment.Upload)) func(*deployment.Source) {
		return func(s *deployment.Source) { set(s, s.Artifact) }
	}
	listed := func(paths ...string) func(*deployment.Source, *deployment.Upload) {
		return func(_ *deployment.Source, u *deployment.Upload) {
			first := u.Files[0]
			u.Files = nil
			for _, p := range paths {
				first.Path = p
				u.Files = append(u.Files, first)
			}
		}
	}
	typed := func(name string, paths ...string) func(*deployment.Source) {
		return change(func(s *deployment.Source, u *deployment.Upload) {
			listed(paths...)(s, u)
			s.ModelType = json.RawMessage(name)
		})
	}
	none := map[string]string{}
	invalid := deployment.ClassInvalid
	return []contractRefusal{
		{"u-none", none, func(s *deployment.Source) { s.Artifact = nil }, deployment.CodeMissingField, invalid, "source.artifact", "source.artifact is required"},
		{"u-model", none, func(s *deployment.Source) { s.Model = blob("s3://b/m") }, deployment.CodeInvalidField, invalid, "source.model", "is not for the route artifact: expected the route reference"},
		{"u-bucket", none, change(func(_ *deployment.Source, u *deployment.Upload) { u.Bucket = "others" }), deployment.CodeInvalidField, invalid, "source.artifact.bucket", "expected artifacts"},
		{"u-no-digest", none, change(func(_ *deployment.Source, u *deployment.Upload) { u.Files[0].Digest = "" }), deployment.CodeDigestMissing, invalid, "source.artifact.files[0].digest", "is required: expected sha256:"},
		{"u-odd-digest", none, change(func(_ *deployment.Source, u *deployment.Upload) { u.Files[0].Digest = "SHA-256=abc" }), deployment.CodeInvalidField, invalid, "source.artifact.files[0].digest", "source.artifact.files[0].digest: expected a string that matches"},
		{"u-digest", none, change(func(_ *deployment.Source, u *deployment.Upload) {
			u.Files[0].Digest = deployment.Digest("sha256:" + strings.Repeat("0", 64))
		}), deployment.CodeDigestMismatch, invalid, "source.artifact.files[0].digest", "artifact has the digest sha256:"},
		{"u-size", none, change(func(_ *deployment.Source, u *deployment.Upload) {
			u.Files[0].Size, u.Files[0].Digest = 7, deployment.Digest("sha256:"+strings.Repeat("7", 64))
		}), deployment.CodeSizeMismatch, invalid, "source.artifact.files[0].size", "artifact has 8 or more bytes, expected 7"},
		{"u-object", none, change(func(_ *deployment.Source, u *deployment.Upload) {
			u.Files[0].Object, u.Files[0].Digest = "no-such", deployment.Digest("sha256:"+strings.Repeat("8", 64))
		}), deployment.CodeArtifactNotFound, invalid, "source.artifact.files[0].object", "the object store has no object no-such"},
		{"u-twice", none, change(listed("model.ubj", "model.ubj")), deployment.CodeLayoutInvalid, invalid, "source.artifact.files[1].path", `"model.ubj" is listed twice`},
		{"u-second", none, change(listed("model.ubj", "model.json")), deployment.CodeMissingModelType, invalid, "source.modelType", "is required for these files"},
		{"u-second-typed", none, typed(`3`, "model.ubj", "model.json"), deployment.CodeLayoutInvalid, invalid, "source.artifact.files[1].path", "is a second model beside model.ubj: expected one file model.bst, model.json or model.ubj"},
		{"u-extra", none, typed(`"xgboost"`, "model.ubj", "train.py"), deployment.CodeLayoutInvalid, invalid, "source.artifact.files[1].path", "does not belong there: expected one file model.bst, model.json or model.ubj"},
		{"u-up", none, change(listed("../model.ubj")), deployment.CodeLayoutInvalid, invalid, "source.artifact.files[0].path", `expected a file such as "model.onnx", without a slash at either end, "." or "..", got "../model.ubj"`},
		{"u-root", none, change(listed("/model.ubj")), deployment.CodeLayoutInvalid, invalid, "source.artifact.files[0].path", "expected a file such as"},
		{"u-git", none, change(listed(".git/model.ubj")), deployment.CodeLayoutInvalid, invalid, "source.artifact.files[0].path", `".git" belongs to git`},
		{"u-stem", none, change(listed("churn.ubj")), deployment.CodeLayoutInvalid, invalid, "source.artifact.files[0].path", "expected the name model.ubj, or source.artifact.stem to say another one"},
		{"u-bst", none, change(listed("model.bst")), deployment.CodeMissingModelType, invalid, "source.modelType", "is required for these files: expected TENSORFLOW"},
		{"u-mismatch", none, typed(`"ONNX"`, "model.ubj"), deployment.CodeModelTypeMismatch, invalid, "source.modelType", "expected XGBOOST for model.ubj, got ONNX"},
		{"u-catboost", none, change(listed("model.cbm")), deployment.CodeUnsupportedArtifact, invalid, "source.modelType", "models of type CATBOOST are not taken as files: expected the route reference"},
		{"u-mar", none, typed(`"PYTORCH"`, "config/config.properties"), deployment.CodeArchiveMissing, invalid, "source.artifact.files", "expected model-store/model.mar"},
		{"u-tensorflow", none, change(listed("model/saved_model.pb")), deployment.CodeLayoutInvalid, invalid, "source.artifact.files[0].path", "does not belong there: expected a file in <int>/"},
		{"u-triton", none, typed(`"TRITON"`, "churn/config.pbtxt"), deployment.CodeLayoutInvalid, invalid, "source.artifact.files", "expected a file churn/<int>/"},
		{"u-sklearn", none, change(listed("model.joblib")), deployment.CodeUnsupportedArtifact, invalid, "source.modelType", "models of type SKLEARN cannot be served here: expected LIGHTGBM, ONNX or XGBOOST"},
		{"u-pytorch", none, change(listed("model-store/model.mar")), deployment.CodeUnsupportedArtifact, invalid, "source.modelType", "models of type PYTORCH cannot be served here"},
		{"u-onnx-folder", none, typed(`4`, "churn/config.pbtxt", "churn/1/model.onnx"), deployment.CodeUnsupportedArtifact, invalid, "source.artifact.files", "models of several files cannot be served here: expected one file, of type LIGHTGBM, ONNX or XGBOOST"},
	}
}

// Whatever is wrong with a command that is to write a contract is said by code,
// message and place before the first write: neither the repository nor the state
// changes, and no secret is anywhere (deeploy.md section 10, D16, D17, U13).
func TestContractWriteRefusals(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(pages(t))
	t.Cleanup(web.Close)
	written, uploaded := writeRefusals(web.URL, string(readDemo(t, "churn-v1.ubj"))), uploadRefusals()
	repo := newRepository(t)
	repo.server.Reader = "reader"
	files := churn(t, "fine/", "churn-v1.ubj")
	for _, c := range written {
		for name, content := range c.files {
			files[c.name+"/"+name] = content
		}
	}
	tip := repo.put(t, files)
	s := startUp(t, gitEnvironment("SLIPWAY_CREDENTIAL_OTHER", "planted-other-s3cret",
		"SLIPWAY_CREDENTIAL_READER", fmt.Sprintf(`{"user":"reader","password":%q}`, gitSecret)))
	fine := repo.source()
	fine.ContractPath = "fine"
	if deployed := s.command(deployment.KindDeployment, "fine", "deploy", deployFrom(fine)); deployed.Outcome != events.Completed {
		t.Fatalf("got %s %+v, want completed", deployed.Outcome, deployed.Failure)
	}
	before := s.state("fine") + s.state("new")
	n := 0
	refuse := func(c contractRefusal, source deployment.Source) {
		source.ContractPath = c.name
		if c.change != nil {
			c.change(&source)
		}
		n++
		for op, data := range map[string]any{"deploy": deployFrom(source), "replace": replaceFrom(source)} {
			// By turns; a replacement keeps the type of the model before (deeploy.md D11).
			if turn := map[bool]string{true: "replace", false: "deploy"}[n%2 == 0 && c.code != deployment.CodeMissingModelType]; op != turn {
				continue
			}
			got := s.command(deployment.KindDeployment, map[string]string{"deploy": "new", "replace": "fine"}[op], op, data)
			wantContractRefusal(t, c, op, got)
			if text := fmt.Sprintf("%+v %s", got.Failure, got.Stored.Body); strings.Contains(text, urlSecret) {
				t.Errorf("%s %s: the event quotes the secret of the url:\n%s", op, c.name, text)
			}
			if now := repo.log(t)[0].Hash.String(); now != tip {
				t.Fatalf("%s %s: the repository is at %s, want %s as before", op, c.name, now, tip)
			}
		}
	}
	for _, c := range written {
		source := repo.source()
		source.Route, source.Model, source.ModelType = deployment.RouteReference, blob(web.URL+"/model.ubj"), json.RawMessage(`"XGBOOST"`)
		refuse(c, source)
	}
	for _, c := range uploaded {
		source := repo.source()
		source.Route = deployment.RouteArtifact
		source.Artifact = &deployment.Upload{Files: []deployment.UploadedFile{s.put("run-1", readDemo(t, "churn-v2.ubj"))}}
		refuse(c, source)
	}
	if after := s.state("fine") + s.state("new"); after != before {
		t.Errorf("got\n%s\nafter the refusals, want what was before:\n%s", after, before)
	}
	s.stop()
	wantNowhere(t, s, repo.url, gitSecret, "planted-other-s3cret")
}

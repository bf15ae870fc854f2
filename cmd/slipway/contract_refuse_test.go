package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
)

// contractRefusal is a deploy from a contract that is refused: what is special
// about its files and its source, and the finding that says so.
type contractRefusal struct {
	name    string // and the folder of the contract
	files   map[string]string
	change  func(*deployment.Source)
	code    deployment.Code
	class   deployment.Class
	path    string
	message string
}

const (
	blobFile = `{"reference":{"blob":{"url":"%s"}}}`
	dockered = `{"reference":{"docker":{"image":"127.0.0.1:1/image:1","uri":"/predict"}}}` // nobody listens there
)

func contractRefusals(web string, model string) []contractRefusal {
	only := func(reference string) map[string]string { return map[string]string{"model/reference.json": reference} }
	with := func(name, content string) map[string]string {
		return map[string]string{"model/model.ubj": model, name: content}
	}
	fine := with("README.md", "fine")
	typed := func(name string) func(*deployment.Source) {
		return func(s *deployment.Source) { s.ModelType = json.RawMessage(name) }
	}
	invalid := deployment.ClassInvalid
	return []contractRefusal{
		// The request.
		{"path-up", fine, func(s *deployment.Source) { s.ContractPath = "../x" }, deployment.CodeContractPathInvalid, invalid, "source.contractPath", `contract path "../x": expected a folder of the repository such as "models/churn", without a slash at either end, "." or ".."; nothing for its root`},
		{"path-none", fine, func(s *deployment.Source) { s.ContractPath = "no/such" }, deployment.CodeContractPathInvalid, invalid, "no/such", "there is no such folder in the repository"},
		{"type-unknown", fine, typed(`"TENSORFLOWS"`), deployment.CodeUnknownEnum, invalid, "source.modelType", `model type: expected TENSORFLOW, PYTORCH, SKLEARN, XGBOOST, ONNX, TRITON, CUSTOM, LIGHTGBM, PMML, HUGGINGFACE or CATBOOST, or a number from 0 to 10, got "TENSORFLOWS"`},
		{"type-number", fine, typed(`11`), deployment.CodeUnknownEnum, invalid, "source.modelType", "model type: expected TENSORFLOW, PYTORCH, SKLEARN, XGBOOST, ONNX, TRITON, CUSTOM, LIGHTGBM, PMML, HUGGINGFACE or CATBOOST, or a number from 0 to 10, got 11"},
		{"type-missing", only(fmt.Sprintf(blobFile, web+"/model.ubj")), nil, deployment.CodeMissingModelType, invalid, "source.modelType", "is required for a model from blob: expected TENSORFLOW, PYTORCH, SKLEARN, XGBOOST, ONNX, TRITON, CUSTOM, LIGHTGBM, PMML, HUGGINGFACE or CATBOOST"},
		{"type-mismatch", fine, typed(`"LIGHTGBM"`), deployment.CodeModelTypeMismatch, invalid, "source.modelType", "expected XGBOOST for a model from model.ubj, got LIGHTGBM"},
		{"explainer-none", fine, func(s *deployment.Source) { s.ExplainerType = json.RawMessage(`"shap_kernel"`) }, deployment.CodeExplainerConfigMissing, invalid, "source.explainerType", "no configuration has been found for explainer SHAP_KERNEL: expected explainer/reference.json or one explainer.dill in the contract, or NO_EXPLAINER"},
		{"explainer-untyped", with("explainer/explainer.dill", "x"), nil, deployment.CodeMissingExplainerType, invalid, "source.explainerType", "is required for an explainer from explainer.dill: expected NO_EXPLAINER, ANCHOR_TABULAR, ANCHOR_IMAGES, ANCHOR_TEXT, SHAP_KERNEL, PDP_TABULAR, MACE_TABULAR, CUSTOM, INTEGRATED_EXPLAINER, SHAP_TREE, SALIENCY or ATTENTION"},
		{"transformer-none", fine, func(s *deployment.Source) { s.TransformerType = json.RawMessage(`1`) }, deployment.CodeTransformerMissing, invalid, "source.transformerType", "no docker configuration has been found for the transformer: expected transformer/reference.json in the contract, or NO_TRANSFORMER"},
		{"credentials-none", fine, func(s *deployment.Source) { s.CredentialsID = "nobody" }, deployment.CodeCredentialsMissing, invalid, "source.credentialsId", `there are no credentials "nobody": expected them in the variable SLIPWAY_CREDENTIAL_NOBODY of the worker, or as a file in its SLIPWAY_CREDENTIALS_DIR`},
		{"credentials-wrong", fine, func(s *deployment.Source) { s.CredentialsID = "other" }, deployment.CodeRepositoryForbidden, deployment.ClassForbidden, "source.url", "the server does not accept the credentials, or needs some"},
		{"credentials-path", fine, func(s *deployment.Source) { s.CredentialsID = "../git" }, deployment.CodeInvalidField, invalid, "source.credentialsId", "expected an id of letters, digits, dots, dashes and underscores"},
		{"url-password", fine, func(s *deployment.Source) { s.URL = "https://ann:hunter2@host/models.git" }, deployment.CodeURLInvalid, invalid, "source.url", "url carries a user or password: expected one without, and credentials named by their id"},
		{"url-local", fine, func(s *deployment.Source) { s.URL = "/srv/models.git" }, deployment.CodeURLNotAllowed, deployment.ClassForbidden, "source.url", "repositories on this machine are not allowed here: use https or ssh"},
		{"branch-and-tag", fine, func(s *deployment.Source) { s.Branch, s.Tag = "main", "v1" }, deployment.CodeInvalidField, invalid, "source.tag", "expected a branch or a tag, got both"},
		// The repository.
		{"repository-none", fine, func(s *deployment.Source) { s.URL += ".not" }, deployment.CodeRepositoryNotFound, deployment.ClassNotFound, "source.url", "there is no repository, or it may not be seen with these credentials"},
		{"repository-page", fine, func(s *deployment.Source) { s.URL = web + "/page" }, deployment.CodeInvalidRepository, invalid, "source.url", "what answers is not a git repository"},
		{"branch-none", fine, func(s *deployment.Source) { s.Branch = "nope" }, deployment.CodeRevisionNotFound, deployment.ClassNotFound, "source.branch", `the repository has no branch "nope"`},
		{"tag-none", fine, func(s *deployment.Source) { s.Tag = "v9" }, deployment.CodeRevisionNotFound, deployment.ClassNotFound, "source.tag", `the repository has no tag "v9"`},
		{"commit-none", fine, func(s *deployment.Source) { s.Commit = strings.Repeat("a", 40) }, deployment.CodeRevisionNotFound, deployment.ClassNotFound, "source.commit", "the repository has no commit aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{"commit-rewritten", fine, func(s *deployment.Source) { s.Branch, s.Commit = "main", strings.Repeat("a", 40) }, deployment.CodeHistoryRewritten, deployment.ClassConflict, "source.commit", "commit aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa is not in the repository any more: its history was rewritten"},
		// The contract.
		{"reference-none", map[string]string{"metadata.json": "{}"}, nil, deployment.CodeMissingReference, invalid, "reference-none/model", "missing model reference file in repository: expected reference.json or one model.<ext> in it"},
		{"reference-broken", only("{"), nil, deployment.CodeInvalidReference, invalid, "reference-broken/model/reference.json", "is not JSON: line 1: unexpected EOF"},
		{"reference-nothing", only(`{"reference":{"blob":null}}`), nil, deployment.CodeInvalidReference, invalid, "reference-nothing/model/reference.json#reference", "no information on what is to be deployed: expected one of blob, docker, mlflow, azureML, databricks or huggingface"},
		{"reference-short", only(`{"reference":{"docker":{"image":"a"}}}`), nil, deployment.CodeReferenceIncomplete, invalid, "reference-short/model/reference.json#reference.docker.uri", "is required"},
		{"reference-both", only(`{"reference":{"blob":{"url":"s3://b/m"},"huggingface":{"model":"m"}}}`), nil, deployment.CodeReferenceAmbiguous, invalid, "reference-both/model/reference.json#reference", "got blob and huggingface: expected exactly one"},
		{"files-both", with("model/reference.json", fmt.Sprintf(blobFile, "s3://b/m")), nil, deployment.CodeReferenceAmbiguous, invalid, "files-both/model", "holds model.ubj and reference.json: expected exactly one of them"},
		{"link", map[string]string{"model/model.ubj@": "../../../etc/passwd"}, nil, deployment.CodeLayoutInvalid, invalid, "link/model/model.ubj", "is a symbolic link: expected reference.json or one model.<ext>"},
		{"strange-file", with("model/train.py", ""), nil, deployment.CodeLayoutInvalid, invalid, "strange-file/model/train.py", "does not belong there: expected nothing but reference.json or one model.<ext>"},
		{"metadata", with("metadata.json", `{"problemType":"ranking"}`), nil, deployment.CodeMetadataInvalid, invalid, "metadata/metadata.json#problemType", `expected classification or regression, got "ranking"`},
		{"blob-secret", only(fmt.Sprintf(blobFile, "https://host/m.ubj?X-Amz-Signature="+gitSecret)), typed(`"XGBOOST"`), deployment.CodeURLInvalid, invalid, "blob-secret/model/reference.json#reference.blob.url", `url carries a credential in its query member "X-Amz-Signature": expected one without, and credentials named by their id`},
		// What cannot be served here.
		{"image", only(dockered), nil, deployment.CodeUnsupportedArtifact, invalid, "image/model/reference.json#reference.docker", "images are not run here, there is no server for containers: expected the file of the model, in the repository or as a blob, of type LIGHTGBM, ONNX or XGBOOST"},
		{"sklearn", map[string]string{"model/model.joblib": "x"}, nil, deployment.CodeUnsupportedArtifact, invalid, "source.modelType", "models of type SKLEARN cannot be served here: expected LIGHTGBM, ONNX or XGBOOST"},
		{"mlflow", only(`{"reference":{"mlflow":{"model":"m"}}}`), typed(`3`), deployment.CodeUnsupportedArtifact, invalid, "mlflow/model/reference.json#reference.mlflow", "models from mlflow cannot be fetched: expected a file in the repository or a blob"},
		{"blob-credentials", only(`{"reference":{"blob":{"url":"https://host/m.ubj","credentialsId":"x"}}}`), typed(`"XGBOOST"`), deployment.CodeCredentialsMissing, invalid, "blob-credentials/model/reference.json#reference.blob.credentialsId", `there are no credentials "x": expected them in the variable SLIPWAY_CREDENTIAL_X of the worker, or as a file in its SLIPWAY_CREDENTIALS_DIR`},
		{"explainer", with("explainer/explainer.dill", "x"), func(s *deployment.Source) { s.ExplainerType = json.RawMessage(`9`) }, deployment.CodeUnsupportedArtifact, invalid, "source.explainerType", "explainers are not run here: expected explainerType NO_EXPLAINER, which leaves the one of the contract alone"},
		{"transformer", with("transformer/reference.json", dockered), nil, deployment.CodeUnsupportedArtifact, invalid, "source.transformerType", "transformers are not run here: expected transformerType NO_TRANSFORMER, which leaves the one of the contract alone"},
		// The model.
		{"blob-none", only(fmt.Sprintf(blobFile, web+"/none.ubj")), typed(`"xgboost"`), deployment.CodeArtifactNotFound, invalid, "blob-none/model/reference.json#reference.blob.url", "server answered 404: the artifact is not there"},
		{"blob-file", only(fmt.Sprintf(blobFile, "file:///etc/passwd")), typed(`"xgboost"`), deployment.CodeURLNotAllowed, deployment.ClassForbidden, "blob-file/model/reference.json#reference.blob.url", "file urls are not allowed here: use http, https or the object store"},
		{"broken-model", map[string]string{"model/model.ubj": "no model"}, nil, deployment.CodeArtifactInvalid, invalid, "broken-model/model/model.ubj", "artifact is not an xgboost model"},
		{"features", with("metadata.json", `{"features":[{"name":"a"}]}`), nil, deployment.CodeChecksFailing, invalid, "features/metadata.json#features", "expected the 6 features that the file needs per row, got 1 declared"},
		{"example", with("metadata.json", `{"exampleInput":{"instances":[[4,96.5,5,1,2,31.5]]},"exampleOutput":{"predictions":[0.5]}}`), nil, deployment.CodeGoldenRowsFailing, invalid, "example/metadata.json#exampleOutput", "golden row 0: expected 0.5 as output 0 within 1e-05, the model answers 0.9032709"},
		{"examples", with("metadata.json", `{"exampleInput":{"instances":[[1,2,3,4,5,6]]},"exampleOutput":[1,2]}`), nil, deployment.CodeMetadataInvalid, invalid, "examples/metadata.json#exampleOutput", "has 2 predictions: expected one for each of the 1 rows of exampleInput"},
		{"regression", with("metadata.json", `{"problemType":"regression"}`), nil, deployment.CodeChecksFailing, invalid, "regression/metadata.json#problemType", "expected a target of type Binary, which objective binary:logistic is for, got Regression"},
	}
}

// Whatever is wrong with a command that names a contract, with the repository,
// the contract or the model is said by code, message and place, as a verdict
// where it was looked at, and changes nothing (deeploy.md section 10, U13). No
// secret that was planted is anywhere.
func TestContractRefusals(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(pages(t))
	t.Cleanup(web.Close)
	cases := contractRefusals(web.URL, string(readDemo(t, "churn-v1.ubj")))
	repo := newRepository(t)
	files := churn(t, "fine/", "churn-v1.ubj")
	for _, c := range cases {
		for name, content := range c.files {
			files[c.name+"/"+name] = content
		}
	}
	repo.put(t, files)
	s := startUp(t, gitEnvironment("SLIPWAY_CREDENTIAL_OTHER", "planted-other-s3cret"))
	source := repo.source()
	source.ContractPath = "fine"
	if deployed := s.command(deployment.KindDeployment, "fine", "deploy", deployFrom(source)); deployed.Outcome != events.Completed {
		t.Fatalf("got %s %+v, want completed", deployed.Outcome, deployed.Failure)
	}
	before := s.state("fine") + s.state("new")
	for _, c := range cases {
		source := repo.source()
		source.ContractPath = c.name
		if c.change != nil {
			c.change(&source)
		}
		for op, data := range map[string]any{
			"deploy":  deployFrom(source),
			"replace": handlers.Replace{Reason: deployment.ReasonOther, ModelChoice: handlers.ModelChoice{Source: &source}},
		} {
			if op == "replace" && c.code == deployment.CodeMissingModelType { // that of the model before is kept (deeploy.md D11)
				continue
			}
			name := map[string]string{"deploy": "new", "replace": "fine"}[op]
			got := s.command(deployment.KindDeployment, name, op, data)
			wantContractRefusal(t, c, op, got)
		}
	}
	if after := s.state("fine") + s.state("new"); after != before {
		t.Errorf("got\n%s\nafter the refusals, want what was before:\n%s", after, before)
	}
	s.stop()
	wantNowhere(t, s, repo.url, gitSecret, "planted-other-s3cret")
}

func wantContractRefusal(tb testing.TB, c contractRefusal, op string, got entry) {
	tb.Helper()
	if got.Outcome != events.Rejected {
		tb.Errorf("%s %s: got %s %+v, want rejected", op, c.name, got.Outcome, got.Failure)
		return
	}
	code, class, message := c.code, c.class, c.message
	if op == "replace" && code == deployment.CodeChecksFailing { // it is compared with the current model first
		code, class, message = deployment.CodeValidationFailed, deployment.ClassConflict, "expected "
	}
	f := got.Failure
	if f.Code != code || f.Class != class || len(f.Findings) == 0 || f.Findings[0].Path != c.path || f.Findings[0].Code != code {
		tb.Errorf("%s %s: got %s (%s) %+v, want %s (%s) at %s", op, c.name, f.Code, f.Class, f.Findings, code, class, c.path)
	}
	if len(f.Findings) > 0 && !strings.HasPrefix(f.Findings[0].Message, message) {
		tb.Errorf("%s %s: got message %q, want %q", op, c.name, f.Findings[0].Message, message)
	}
}

// pages is a server that has a model and a page, and no git repository.
func pages(tb testing.TB) http.Handler {
	tb.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/model.ubj", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(readDemo(tb, "churn-v2.ubj")) })
	mux.HandleFunc("/page/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello</html>")) })
	return mux
}

package contract_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// repository is a file system with these files.
func repository(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range files {
		m[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	return m
}

func link(to string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
}

const (
	blobReference   = `{"reference":{"blob":{"url":"s3://b/model"}}}`
	dockerReference = `{"reference":{"docker":{"image":"docker.io/example/image:1.2.3","uri":"/model:predict"}}}`
)

// read reads the contract in a folder, which has to be right.
func read(tb testing.TB, fsys fs.FS, at contract.Path) contract.Contract {
	tb.Helper()
	c, err := contract.Read(tb.Context(), fsys, at)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// found are the findings of a rejection as "code path: message".
func found(tb testing.TB, err error) []string {
	tb.Helper()
	rejection, ok := errors.AsType[*deployment.Rejection](err)
	if !ok {
		tb.Fatalf("got error %v, want a rejection", err)
	}
	var out []string
	for _, f := range rejection.Findings {
		out = append(out, string(f.Code)+" "+f.Path+": "+f.Message)
	}
	return out
}

// wantFindings compares the findings with "code path" and a part of the
// message, divided by ": ".
func wantFindings(tb testing.TB, err error, want ...string) {
	tb.Helper()
	got := found(tb, err)
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		where, says, _ := strings.Cut(want[i], ": ")
		ok = ok && strings.HasPrefix(got[i], where+": ") && strings.Contains(got[i][len(where):], says)
	}
	if !ok {
		tb.Errorf("findings (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func TestEveryKindIsRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       contract.Reference
		clean      string // how it is written; "" when text is clean
	}{
		{
			"blob", `{"reference":{"blob":{"url":"s3://b/model","region":"eu-central-1"}}}`,
			contract.Reference{Blob: &contract.Blob{URL: "s3://b/model", Region: "eu-central-1"}},
			"",
		},
		{
			"docker", `{"reference":{"docker":{"image":"docker.io/example/image:1.2.3","uri":"/model:predict","port":8000}}}`,
			contract.Reference{Docker: &contract.Docker{Image: "docker.io/example/image:1.2.3", URI: "/model:predict", Port: 8000}},
			"",
		},
		{
			"mlflow", `{"reference":{"mlflow":{"model":"scorer","version":"7","stage":"Prod","alias":"champion","blob":{"region":"eu-west-1"}}}}`,
			contract.Reference{MLflow: &contract.MLflow{Model: "scorer", Version: "7", Stage: "Prod", Alias: "champion", Blob: &contract.MLflowBlob{Region: "eu-west-1"}}},
			"",
		},
		{
			"azureML", `{"reference":{"azureML":{"image":"acr.io/m:1","uri":"/score","port":5001,"readinessPath":"/","livenessPath":"/","model":"m","version":"3"}}}`,
			contract.Reference{AzureML: &contract.AzureML{Image: "acr.io/m:1", URI: "/score", Port: 5001, ReadinessPath: "/", LivenessPath: "/", Model: "m", Version: "3"}},
			"",
		},
		{
			"databricks", `{"reference":{"databricks":{"model":"main.ml.scorer","alias":"prod","version":"2"}}}`,
			contract.Reference{Databricks: &contract.Databricks{Model: "main.ml.scorer", Alias: "prod", Version: "2"}},
			"",
		},
		{
			"huggingface", `{"reference":{"huggingface":{"model":"distilbert-base-uncased"}}}`,
			contract.Reference{HuggingFace: &contract.HuggingFace{Model: "distilbert-base-uncased"}},
			"",
		},
		{
			"git-era nulls", `{"reference":{"docker":null,"blob":{"url":"s3://b/m","credentialsId":null,"region":null}}}`,
			contract.Reference{Blob: &contract.Blob{URL: "s3://b/m"}},
			`{"reference":{"blob":{"url":"s3://b/m"}}}`,
		},
		{
			"snake case, other kinds null, spread over lines, with a byte order mark",
			"\xef\xbb\xbf{\n  \"reference\": {\n    \"mlflow\": null,\n    \"azure_ml\": {\"image\": \"acr.io/m:1\", \"uri\": \"/score\", \"port\": 5001, \"readiness_path\": \"/r\", \"liveness_path\": \"/l\", \"version\": 3}\n  }\n}\r\n",
			contract.Reference{AzureML: &contract.AzureML{Image: "acr.io/m:1", URI: "/score", Port: 5001, ReadinessPath: "/r", LivenessPath: "/l", Version: "3"}},
			`{"reference":{"azureML":{"image":"acr.io/m:1","uri":"/score","port":5001,"readinessPath":"/r","livenessPath":"/l","version":"3"}}}`,
		},
		{
			"credentials id", `{"reference":{"docker":{"image":"r.example/a&b","uri":"/p","credentials_id":"reg-1"}}}`,
			contract.Reference{Docker: &contract.Docker{Image: "r.example/a&b", URI: "/p", CredentialsID: "reg-1"}},
			`invalid_reference model/reference.json#reference.docker.image: expected an image`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, err := contract.Read(t.Context(), repository(map[string]string{"model/reference.json": test.text}), "")
			if strings.HasPrefix(test.clean, "invalid") {
				wantFindings(t, err, test.clean)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, c.Model.Reference); diff != "" {
				t.Errorf("reference (-want +got):\n%s", diff)
			}
			want := test.clean
			if want == "" {
				want = test.text
			}
			if got := string(c.Model.Reference.Bytes()); got != want+"\n" {
				t.Errorf("written: got %q, want %q", got, want+"\n")
			}
			again := read(t, repository(map[string]string{"model/reference.json": string(c.Model.Reference.Bytes())}), "")
			if again.Digest() != c.Digest() {
				t.Errorf("digest: got %s after it was written again, want %s", again.Digest(), c.Digest())
			}
		})
	}
}

func TestWholeContractIsRead(t *testing.T) {
	t.Parallel()
	model := "pretend this is a model"
	c := read(t, repository(map[string]string{
		"models/churn/model/model.joblib":          model,
		"models/churn/model/.gitkeep":              "",
		"models/churn/model/README.md":             "how it was made",
		"models/churn/explainer/explainer.dill":    "dill",
		"models/churn/transformer/reference.json":  `{"reference":{"docker":{"image":"t:1","uri":"/"},"blob":{"url":"gs://b/t"}}}`,
		"models/churn/metadata.json":               `{"features":[{"name":"age","observedMin":17,"observedMax":90.50,"distribution":{"b":1,"a":[2]}},{"name":"pay"}],"problemType":"classification","predictionClasses":{"yes":true,"no":false},"exampleInput":{"instances":[[39,1e3]]},"exampleOutput":{"predictions":[true]}}`,
		"models/other/model/reference.json":        blobReference,
		"models/other/model/extra.txt":             "that contract is not asked for",
		"models/churn/notebooks/train.ipynb":       "{}",
		"models/churn/explainer/.gitattributes":    "",
		"models/churn/transformer/.DS_Store":       "",
		"models/churn/metadata.json.bak":           "not json",
		"models/churn/model/.ipynb_checkpoints/x":  "",
		"models/churn/requirements/model/notes.md": "",
	}), "models/churn")
	if c.Model.File == nil || c.Model.File.Name != "models/churn/model/model.joblib" || c.Model.File.Size != int64(len(model)) {
		t.Errorf("got model %+v", c.Model)
	}
	if c.Explainer == nil || c.Explainer.Kind() != contract.KindFile || c.Transformer == nil || c.Transformer.Kind() != contract.KindDocker {
		t.Errorf("got explainer %+v, transformer %+v", c.Explainer, c.Transformer)
	}
	want := `{"features":[{"name":"age","observedMin":17,"observedMax":90.50,"distribution":{"b":1,"a":[2]}},{"name":"pay"}],"problemType":"classification","predictionClasses":{"yes":true,"no":false},"exampleInput":{"instances":[[39,1e3]]},"exampleOutput":{"predictions":[true]}}` + "\n"
	if got := string(c.Metadata.Bytes()); got != want {
		t.Errorf("metadata: got %s, want %s", got, want)
	}
	if got := read(t, repository(map[string]string{"model/model.joblib": model}), ""); got.Model.File.Digest != c.Model.File.Digest {
		t.Errorf("got digest %s in another place, want %s", got.Model.File.Digest, c.Model.File.Digest)
	}
}

func TestDigestIsOfWhatItSays(t *testing.T) {
	t.Parallel()
	of := func(files map[string]string) deployment.Digest { return read(t, repository(files), "").Digest() }
	plain := of(map[string]string{"model/model.bst": "m", "metadata.json": `{"features":[{"name":"age"}]}`})
	if got := of(map[string]string{"model/model.bst": "m", "metadata.json": ` {"featureLabels": ["age"], "problemType": {}}`, "README.md": "x"}); got != plain {
		t.Errorf("got another digest for another spelling")
	}
	for name, files := range map[string]map[string]string{
		"another file":     {"model/model.bst": "n", "metadata.json": `{"features":[{"name":"age"}]}`},
		"another name":     {"model/model.ubj": "m", "metadata.json": `{"features":[{"name":"age"}]}`},
		"other metadata":   {"model/model.bst": "m", "metadata.json": `{"features":[{"name":"pay"}]}`},
		"no metadata":      {"model/model.bst": "m"},
		"with explainer":   {"model/model.bst": "m", "metadata.json": `{"features":[{"name":"age"}]}`, "explainer/explainer.dill": "m"},
		"with transformer": {"model/model.bst": "m", "metadata.json": `{"features":[{"name":"age"}]}`, "transformer/reference.json": dockerReference},
	} {
		if of(files) == plain {
			t.Errorf("%s: got the same digest", name)
		}
	}
}

func TestEverythingWrongIsFound(t *testing.T) {
	t.Parallel()
	with := func(files map[string]string, more map[string]*fstest.MapFile) fstest.MapFS {
		m := repository(files)
		for name, f := range more {
			m[name] = f
		}
		return m
	}
	for _, test := range []struct {
		name string
		at   contract.Path
		fsys fs.FS
		want []string
	}{
		{"nothing there", "", repository(nil), []string{"missing_reference model: expected reference.json or one model.<ext>"}},
		{"empty model folder", "", repository(map[string]string{"model/.gitkeep": ""}), []string{"missing_reference model: missing model reference file"}},
		{"no such folder", "a/b", repository(map[string]string{"model/model.bst": "m"}), []string{"contract_path_invalid a/b: no such folder"}},
		{"path leads out", "../b", repository(nil), []string{`contract_path_invalid : "../b"`}},
		{"path is a file", "a", repository(map[string]string{"a": ""}), []string{"contract_path_invalid a: no such folder"}},
		{"path through a file", "a/b", repository(map[string]string{"a": ""}), []string{"layout_invalid a: not a folder"}},
		{"path through a link", "a/b", with(map[string]string{"c/b/model/model.bst": "m"}, map[string]*fstest.MapFile{"a": link("c")}), []string{"layout_invalid a: symbolic link"}},
		{"model is a link", "", with(nil, map[string]*fstest.MapFile{"model/model.bst": link("/etc/passwd")}), []string{"layout_invalid model/model.bst: symbolic link"}},
		{"model folder is a link", "", with(map[string]string{"x/model.bst": "m"}, map[string]*fstest.MapFile{"model": link("x")}), []string{"layout_invalid model: symbolic link"}},
		{"metadata is a link", "", with(map[string]string{"model/model.bst": "m"}, map[string]*fstest.MapFile{"metadata.json": link("/dev/zero")}), []string{"layout_invalid metadata.json: symbolic link"}},
		{"metadata is a folder", "", repository(map[string]string{"model/model.bst": "m", "metadata.json/x": ""}), []string{"metadata_invalid metadata.json: not a regular file"}},
		{"model is a pipe", "", with(nil, map[string]*fstest.MapFile{"model/model.bst": {Mode: fs.ModeNamedPipe}}), []string{"layout_invalid model/model.bst: not a regular file"}},
		{"two models", "", repository(map[string]string{"model/model.bst": "m", "model/model.pkl": "m", "model/reference.json": blobReference}), []string{"reference_kind_ambiguous model: model.bst and model.pkl and reference.json"}},
		{"another name", "", repository(map[string]string{"model/my_model.pkl": "m"}), []string{"layout_invalid model/my_model.pkl: expected nothing but reference.json or one model.<ext>"}},
		{"no extension", "", repository(map[string]string{"model/model": "m"}), []string{"layout_invalid model/model: expected nothing but"}},
		{"a folder beside it", "", repository(map[string]string{"model/model.bst": "m", "model/1/saved_model.pb": "m"}), []string{"layout_invalid model/1: is a folder"}},
		{"empty model", "", repository(map[string]string{"model/model.bst": ""}), []string{"layout_invalid model/model.bst: is empty"}},
		{"Git LFS", "", repository(map[string]string{"model/model.bst": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"}), []string{"unsupported_artifact model/model.bst: Git LFS"}},
		{"no transformer has a file", "", repository(map[string]string{"model/model.bst": "m", "transformer/model.bst": "m"}), []string{"layout_invalid transformer/model.bst: expected nothing but reference.json"}},
		{
			"every file at once", "", repository(map[string]string{
				"model/reference.json":       `{"reference":{"blob":{"region":5,"bucket":"x"},"docker":{"uri":"/","port":70000}}}`,
				"explainer/reference.json":   `{"reference":{"huggingface":{"model":"m"}}}`,
				"transformer/reference.json": `{"reference":{"blob":{"url":"s3://b/t"}},"more":1}`,
				"metadata.json":              `{"features":[{"name":"a"},{"name":"a"},{"name":"","min":1},7],"problemType":"guess","predictionClasses":{"x":[1]},"exampleInput":{"instances":[[1]]},"color":"red"}`,
			}),
			[]string{
				"invalid_reference model/reference.json#reference.blob.region: expected a string, got a number",
				"invalid_reference model/reference.json#reference.blob.bucket: not a known member",
				"invalid_reference model/reference.json#reference.docker.port: from 1 to 65535",
				"reference_kind_ambiguous model/reference.json#reference: got blob and docker: expected exactly one",
				"reference_incomplete model/reference.json#reference.blob.url: is required",
				"reference_incomplete model/reference.json#reference.docker.image: is required",
				"invalid_reference explainer/reference.json#reference: explainer cannot come from huggingface",
				"invalid_reference transformer/reference.json#more: not a known member",
				"transformer_docker_config_missing transformer/reference.json#reference: needs a docker image",
				"metadata_invalid metadata.json#features[1].name: named twice",
				"metadata_invalid metadata.json#features[2].name: expected the name",
				"metadata_invalid metadata.json#features[2].min: not a known member",
				"metadata_invalid metadata.json#features[3]: expected an object, got a number",
				`metadata_invalid metadata.json#problemType: expected classification or regression, got "guess"`,
				"metadata_invalid metadata.json#predictionClasses.x: got an array",
				"metadata_invalid metadata.json#exampleInput.instances[0]: has 1 values: expected one for each of the 4 features",
				"metadata_invalid metadata.json#color: not a known member",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := contract.Read(t.Context(), test.fsys, test.at)
			wantFindings(t, err, test.want...)
		})
	}
}

func TestBadReferencesAreExplained(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                     "invalid_reference model/reference.json: is not JSON: line 1: unexpected EOF",
		"{\n\"reference\":\n nope}":            "invalid_reference model/reference.json: is not JSON: line 3",
		`{} {}`:                                "invalid_reference model/reference.json: something follows",
		"{\"a\":\"\xff\"}":                     "invalid_reference model/reference.json: not UTF-8",
		`{"reference":{},"reference":{}}`:      `invalid_reference model/reference.json: member "reference" is given twice`,
		`[]`:                                   "invalid_reference model/reference.json#: expected an object, got an array",
		`{}`:                                   "invalid_reference model/reference.json#reference: no information on what is to be deployed",
		`{"reference":null}`:                   "invalid_reference model/reference.json#reference: no information",
		`{"reference":{"blob":null}}`:          "invalid_reference model/reference.json#reference: no information",
		`{"reference":"s3://b/m"}`:             "invalid_reference model/reference.json#reference: expected an object, got a string",
		`{"reference":{"blob":"s3://b/m"}}`:    "invalid_reference model/reference.json#reference.blob: expected an object, got a string",
		`{"reference":{"blob":{"url":""}}}`:    "reference_incomplete model/reference.json#reference.blob.url: is required",
		`{"reference":{"blob":{"url":"m"}}}`:   "url_invalid model/reference.json#reference.blob.url: expected s3, gs,",
		`{"reference":{"blob":{"url":"s3:"}}}`: "url_invalid model/reference.json#reference.blob.url: names no bucket",
		`{"reference":{"blob":{"url":"file:m"}}}`:                                                  "url_invalid model/reference.json#reference.blob.url: file:///path",
		`{"reference":{"blob":{"url":"https://u:s3cret@h/m"}}}`:                                    "url_invalid model/reference.json#reference.blob.url: user or password",
		`{"reference":{"blob":{"url":"https://h/m?sv=1&sig=s3cret"}}}`:                             "url_invalid model/reference.json#reference.blob.url: credential in its query member \"sig\"",
		`{"reference":{"blob":{"url":"https://h/m?X-Amz-Signature=s3cret"}}}`:                      "url_invalid model/reference.json#reference.blob.url: X-Amz-Signature",
		`{"reference":{"blob":{"url":"https://h/%s3cret"}}}`:                                       "url_invalid model/reference.json#reference.blob.url: cannot be parsed",
		`{"reference":{"docker":{"image":"a b","uri":"/"}}}`:                                       "invalid_reference model/reference.json#reference.docker.image: got \"a b\"",
		`{"reference":{"docker":{"image":"i","uri":"/","port":"80"}}}`:                             "invalid_reference model/reference.json#reference.docker.port: whole number",
		`{"reference":{"blob":{"url":"s3://b/m","credentialsId":"a","credentials_id":"b"}}}`:       "invalid_reference model/reference.json#reference.blob.credentials_id: same member as \"credentialsId\"",
		`{"reference":` + strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100) + `}`:      "invalid_reference model/reference.json: nested more than 64 deep",
		`{"reference":{"blob":{"url":"s3://b/` + strings.Repeat("m", 64<<10) + `"}}}`:              "invalid_reference model/reference.json: more than the 65536 bytes",
		`{"reference":{"azureML":{"image":"i","uri":"/","port":1,"readinessPath":"/"}}}`:           "reference_incomplete model/reference.json#reference.azureML.livenessPath: is required",
		`{"reference":{"azureML":{"image":"i","uri":"/","readinessPath":"/","livenessPath":"/"}}}`: "reference_incomplete model/reference.json#reference.azureML.port: is required",
	} {
		_, err := contract.Read(t.Context(), repository(map[string]string{"model/reference.json": text}), "")
		wantFindings(t, err, want)
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q leaks the secret: %v", text, err)
		}
	}
}

func TestManyFindingsHaveAnEnd(t *testing.T) {
	t.Parallel()
	members := make([]string, 500)
	for i := range members {
		members[i] = fmt.Sprintf(`"x%d":1`, i)
	}
	_, err := contract.Read(t.Context(), repository(map[string]string{"model/reference.json": `{` + strings.Join(members, ",") + `}`}), "")
	got := found(t, err)
	if len(got) != 101 || !strings.Contains(got[100], "more findings are left out") {
		t.Errorf("got %d findings, the last %q, want 100 and one that says so", len(got), got[len(got)-1])
	}
}

func TestReadingCanFailAndStop(t *testing.T) {
	t.Parallel()
	broken := brokenFS{repository(map[string]string{"model/model.bst": "m"})}
	_, err := contract.Read(t.Context(), broken, "")
	if _, rejected := errors.AsType[*deployment.Rejection](err); rejected || !errors.Is(err, errBroken) {
		t.Errorf("got %v, want an error of the file system that is no rejection", err)
	}
	_, err = contract.Find(t.Context(), broken)
	if !errors.Is(err, errBroken) {
		t.Errorf("find: got %v, want an error of the file system", err)
	}
}

var errBroken = errors.New("disk is broken")

// brokenFS lists but does not read.
type brokenFS struct{ fstest.MapFS }

func (b brokenFS) ReadDir(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(struct{ fs.FS }{b}, name)
}

func (b brokenFS) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, "model") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errBroken}
	}
	return b.MapFS.Open(name)
}

func TestSeveralContractsAreFound(t *testing.T) {
	t.Parallel()
	fsys := repository(map[string]string{
		"model/reference.json":            blobReference,
		"sub_1/model/model.joblib":        "m",
		"sub_1/nested/model/model.pkl":    "m",
		"broken/model/reference.json":     "not JSON, but meant to be one",
		"no/model/notes.txt":              "",
		".git/model/reference.json":       "",
		"model.pkl":                       "",
		"models/reference.json":           "",
		"with\\backslash/model/model.pkl": "",
	})
	fsys["linked"] = link("sub_1")
	got, err := contract.Find(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]contract.Path{"", "broken", "sub_1", "sub_1/nested"}, got); diff != "" {
		t.Errorf("contracts (-want +got):\n%s", diff)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "sub_1", "models/churn v2", "ä/ö.x", strings.Repeat("a/", 15) + "a"} {
		if p, err := contract.ParsePath(good); err != nil || string(p) != good {
			t.Errorf("%q: got %q and %v", good, p, err)
		}
	}
	for _, bad := range []string{
		".", "..", "/", "/a", "a/", "a//b", "a/../b", "./a", "a/.", `a\b`, "c:/x", "a\x00b", "a\nb", "\xff", ".git", "a/.GIT/b", "git~1",
		"a./b", "a ", "a\u202eb", strings.Repeat("a/", 16) + "a", strings.Repeat("a", 256), strings.Repeat("abc/", 300) + "a",
	} {
		if _, err := contract.ParsePath(bad); err == nil || !strings.HasPrefix(err.Error(), "contract path ") {
			t.Errorf("%q: got %v, want an error that names it", bad, err)
		}
	}
}

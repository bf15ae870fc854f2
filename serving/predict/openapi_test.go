package predict

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed testdata/openapi.json
var openAPI []byte

// answers are the schemas of what may be answered: by the method, the path as the
// document has it, and the status; and that of errors.
type answers struct {
	paths  map[string]*regexp.Regexp // by path
	byCode map[string]*jsonschema.Schema
	errors *jsonschema.Schema
}

// readOpenAPI compiles the document once for all tests.
var readOpenAPI = sync.OnceValues(func() (*answers, error) {
	var document struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Ref string `json:"$ref"`
			}
		}
	}
	if err := json.Unmarshal(openAPI, &document); err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err != nil {
		return nil, err
	}
	if err := compiler.AddResource("openapi.json", value); err != nil {
		return nil, err
	}
	compile := func(response string) (*jsonschema.Schema, error) {
		return compiler.Compile("openapi.json" + response + "/content/application~1json/schema")
	}
	a := &answers{paths: map[string]*regexp.Regexp{}, byCode: map[string]*jsonschema.Schema{}}
	parameter := regexp.MustCompile(`\\\{[a-z]+\\\}`)
	for path, methods := range document.Paths {
		a.paths[path] = regexp.MustCompile("^" + parameter.ReplaceAllString(regexp.QuoteMeta(path), "[^/:]+") + "$")
		for method, m := range methods {
			for status, response := range m.Responses {
				schema, err := compile(response.Ref)
				if err != nil {
					return nil, err
				}
				a.byCode[strings.ToUpper(method)+" "+path+" "+status] = schema
			}
		}
	}
	a.errors, err = compile("#/components/responses/error")
	return a, err
})

// check says what is wrong with an answer. An error that the document does not list
// for the path has to have the shape of errors.
func (a *answers) check(method, path string, status int, body []byte) error {
	schema := a.errors
	for template, pattern := range a.paths {
		if listed := a.byCode[fmt.Sprintf("%s %s %d", method, template, status)]; listed != nil && pattern.MatchString(path) {
			schema = listed
		}
	}
	if schema == a.errors && status < 400 {
		return fmt.Errorf("status %d is not in the document", status)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	err = schema.Validate(value)
	if err != nil && status >= 400 && a.errors.Validate(value) == nil { // e.g. 503 before anything is known
		return nil
	}
	return err
}

// checkAnswer holds an answer against the document.
func checkAnswer(tb testing.TB, method, path string, status int, body []byte) {
	tb.Helper()
	a, err := readOpenAPI()
	if err != nil {
		tb.Fatal(err)
	}
	if method == "HEAD" { // without body, but for the recorder of tests
		method = "GET"
	}
	if err := a.check(method, path, status, body); err != nil {
		tb.Errorf("%s %s: answer %d %s: %v", method, path, status, body, err)
	}
}

// The document is worth nothing if it lets everything pass.
func TestOpenAPIFindsFaults(t *testing.T) {
	t.Parallel()
	a, err := readOpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	const infer = "/v2/models/churn/infer"
	output := func(datatype, data string) string {
		return fmt.Sprintf(`{"model_name":"a","model_version":"b","outputs":[{"name":"x","shape":[1],"datatype":%q,"data":%s}]}`, datatype, data)
	}
	for _, test := range []struct {
		method, path string
		status       int
		body         string
		right        bool
	}{
		{"GET", "/v2", 200, `{"name":"slipway","version":"","extensions":[]}`, true},
		{"GET", "/v2", 200, `{"name":"slipway","version":""}`, false},
		{"GET", "/v2", 201, `{"name":"slipway","version":"","extensions":[]}`, false},
		{"POST", infer, 200, output("FP32", "[1.5]"), true},
		{"POST", infer, 200, output("BYTES", `["yes"]`), true},
		{"POST", infer, 200, output("BOOL", `[true]`), true},
		{"POST", infer, 200, output("INT64", `[3]`), true},
		{"POST", infer, 200, output("FP32", `["1.5"]`), false},
		{"POST", infer, 200, output("BYTES", `[1]`), false},
		{"POST", infer, 200, output("BOOL", `[1]`), false},
		{"POST", infer, 200, output("INT64", `[1.5]`), false},
		{"POST", infer, 200, output("float", `[1.5]`), false},
		{"POST", infer, 200, `{"model_name":"a","outputs":[]}`, false},
		{"POST", infer, 200, `{"error":"x"}`, false},
		{"POST", infer, 400, `{"error":"x"}`, true},
		{"POST", infer, 400, `{"error":""}`, false},
		{"POST", infer, 400, `{"detail":"x"}`, false},
		{"POST", "/v1/models/churn:predict", 200, `{"predictions":[1,2],"model_version":"a"}`, true},
		{"POST", "/v1/models/churn:predict", 200, `{"predictions":[[1,2]],"model_version":"a"}`, true},
		{"POST", "/v1/models/churn:predict", 200, `{"predictions":["a"],"model_version":"a"}`, false},
		{"GET", "/v2/models/churn/ready", 503, `{"name":"churn","ready":false}`, true},
		{"GET", "/v2/models/churn/ready", 503, `{"ready":false}`, false},
		{"GET", "/no/such/path", 200, `{}`, false},
		{"GET", "/no/such/path", 404, `{"error":"x"}`, true},
	} {
		if err := a.check(test.method, test.path, test.status, []byte(test.body)); (err == nil) != test.right {
			t.Errorf("%s %s %d %s: got %v, want right: %v", test.method, test.path, test.status, test.body, err, test.right)
		}
	}
}

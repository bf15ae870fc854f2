package handlers_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/schemas"
)

func typeOf(o handlers.Operation, outcome events.Outcome) string {
	return events.Type{Kind: string(o.Kind), Op: o.Op, Outcome: outcome}.String()
}

// An operation is complete when it has a handler, two schemas and a line in All.
func TestOperationsAndSchemasMatch(t *testing.T) {
	t.Parallel()
	var want []string
	for _, o := range handlers.All() {
		want = append(want, typeOf(o, events.Requested)+".json", typeOf(o, events.Completed)+".json")
	}
	slices.Sort(want)
	got, err := fs.Glob(schemas.Files, "dev.slipway.*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("schemas of operations (-operations +files):\n%s", diff)
	}
}

func TestEveryOutcomeHasASchema(t *testing.T) {
	t.Parallel()
	want := []string{"outcome.v1.json"} // what all of them say
	for _, outcome := range events.Outcomes() {
		want = append(want, "outcome."+string(outcome)+".v1.json")
	}
	slices.Sort(want)
	got, err := fs.Glob(schemas.Files, "outcome.*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("schemas of outcomes (-events.Outcomes +files):\n%s", diff)
	}
	set := load(t)
	for _, o := range handlers.All() {
		for _, outcome := range events.Outcomes() {
			if set.File(typeOf(o, outcome)) == "" {
				t.Errorf("no schema for %s", typeOf(o, outcome))
			}
		}
	}
}

func load(tb testing.TB) *schemas.Set {
	tb.Helper()
	set, err := schemas.Load()
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func TestOperationsAreWellFormed(t *testing.T) {
	t.Parallel()
	token := regexp.MustCompile(`^[a-z]+$`)
	seen := map[string]bool{}
	for _, o := range handlers.All() {
		name := typeOf(o, events.Requested)
		if seen[name] {
			t.Errorf("%s: two operations have this type", name)
		}
		seen[name] = true
		if !token.MatchString(string(o.Kind)) || !token.MatchString(o.Op) {
			t.Errorf("%s: want kind and op to be one lower-case token each", name)
		}
		if o.Kind != deployment.KindDeployment && o.Kind != deployment.KindModel {
			t.Errorf("%s: kind %q is none", name, o.Kind)
		}
		if slices.Contains(append(events.Outcomes(), events.Requested), events.Outcome(o.Op)) || o.Op == "unknown" {
			t.Errorf("%s: an operation is not called like an outcome or like what cannot be read", name)
		}
		if !strings.HasSuffix(o.Purpose, ".") || strings.Contains(strings.TrimSuffix(o.Purpose, "."), ". ") || len(o.Purpose) < 10 {
			t.Errorf("%s: purpose %q: want one sentence", name, o.Purpose)
		}
		if o.Read == nil {
			t.Errorf("%s: want Read", name)
		}
		if typ, err := events.ParseType(name); err != nil || typ.Op != o.Op {
			t.Errorf("%s: read as %+v, %v", name, typ, err)
		}
	}
}

// The examples are in documents: they are what the schema asks for, and the
// handler understands every member of them.
func TestExamplesAreValidAndDecodeWithoutLoss(t *testing.T) {
	t.Parallel()
	set := load(t)
	for _, o := range handlers.All() {
		name := typeOf(o, events.Requested)
		text, err := json.Marshal(o.Example)
		if err != nil {
			t.Fatal(err)
		}
		if found := set.Check(name, text); len(found) > 0 {
			t.Errorf("%s: example %s: %v", name, text, found)
		}
		decoded := reflect.New(reflect.TypeOf(o.Example))
		if err := json.Unmarshal(text, decoded.Interface()); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(o.Example, decoded.Elem().Interface()); diff != "" {
			t.Errorf("%s: example (-before +after writing and reading it):\n%s", name, diff)
		}
		if _, err := o.Read(text); err != nil {
			t.Errorf("%s: Read of the example: %v", name, err)
		}
	}
}

// Whatever member the schema of a command lists, the payload has, and the other
// way round: else something valid would be ignored, or could never be said.
func TestPayloadsAndSchemasHaveTheSameMembers(t *testing.T) {
	t.Parallel()
	for _, o := range handlers.All() {
		file := typeOf(o, events.Requested) + ".json"
		schema := resolve(t, schemaFile(t, file))
		members(t, file, reflect.TypeOf(o.Example), schema)
	}
}

// members compares the members of a struct, and of those inside it, with the properties of a schema.
func members(tb testing.TB, at string, typ reflect.Type, schema map[string]any) {
	tb.Helper()
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	schema = resolve(tb, schema)
	if typ.Kind() == reflect.Slice {
		items, _ := schema["items"].(map[string]any)
		members(tb, at+"[]", typ.Elem(), items)
		return
	}
	if typ.Kind() != reflect.Struct || reflect.PointerTo(typ).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return
	}
	properties, _ := schema["properties"].(map[string]any)
	left := map[string]bool{}
	for name := range properties {
		left[name] = true
	}
	for _, field := range reflect.VisibleFields(typ) {
		if field.Anonymous {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		property, listed := properties[name].(map[string]any)
		if !listed {
			tb.Errorf("%s: %s has the member %q, which the schema does not list", at, typ, name)
			continue
		}
		delete(left, name)
		members(tb, at+" "+name, field.Type, property)
	}
	for name := range left {
		tb.Errorf("%s: the schema lists %q, which %s does not have", at, name, typ)
	}
}

// resolve follows the $ref of a schema.
func resolve(tb testing.TB, schema map[string]any) map[string]any {
	tb.Helper()
	for {
		ref, ok := schema["$ref"].(string)
		if !ok {
			return schema
		}
		file, pointer, _ := strings.Cut(ref, "#/")
		schema = schemaFile(tb, file)
		for step := range strings.SplitSeq(pointer, "/") {
			schema, _ = schema[step].(map[string]any)
		}
		if schema == nil {
			tb.Fatalf("$ref %s leads nowhere", ref)
		}
	}
}

func schemaFile(tb testing.TB, name string) (document map[string]any) {
	tb.Helper()
	text, err := schemas.Files.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(text, &document); err != nil {
		tb.Fatal(err)
	}
	return document
}

// The lists of values in the schemas are those of the program.
func TestEnumsInSchemasAreTheConstants(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		file, at string
		want     []string
	}{
		{"common.v1.json", "$defs/reason", texts(deployment.Reasons()...)},
		{"common.v1.json", "$defs/importance", texts(deployment.Importances()...)},
		{"common.v1.json", "$defs/format", texts(deployment.Formats()...)},
		{"common.v1.json", "$defs/target/properties/type", texts(deployment.TargetBinary, deployment.TargetRegression, deployment.TargetMulticlass)},
		{"common.v1.json", "$defs/modelStatus", texts(deployment.ModelReady, deployment.ModelBuilding, deployment.ModelFailed)},
		{"common.v1.json", "$defs/seriesType", texts(deployment.SeriesSingle, deployment.SeriesMulti)},
		{"common.v1.json", "$defs/features/items/properties/type", texts(deployment.FeatureNumeric, deployment.FeatureCategorical, deployment.FeatureBoolean)},
		{
			"state.v1.json", "$defs/deployment/properties/status",
			texts(deployment.Statuses()...),
		},
		{"state.v1.json", "$defs/checkStatus", texts(deployment.Passing, deployment.Warning, deployment.Failing)},
		{
			"state.v1.json", "$defs/failure/properties/class",
			texts(deployment.ClassInvalid, deployment.ClassForbidden, deployment.ClassNotFound, deployment.ClassConflict, deployment.ClassInternal),
		},
	} {
		node := schemaFile(t, test.file)
		for step := range strings.SplitSeq(test.at, "/") {
			node, _ = node[step].(map[string]any)
		}
		var got []string
		enum, _ := node["enum"].([]any)
		for _, value := range enum {
			text, _ := value.(string)
			got = append(got, text)
		}
		if diff := gocmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s#/%s (-constants +enum):\n%s", test.file, test.at, diff)
		}
	}
	name, _ := schemaFile(t, "common.v1.json")["$defs"].(map[string]any)["name"].(map[string]any)
	if name["pattern"] != deployment.NamePattern {
		t.Errorf("common.v1.json#/$defs/name: got pattern %v, want %s", name["pattern"], deployment.NamePattern)
	}
}

func texts[S ~string](values ...S) []string {
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = string(value)
	}
	return list
}

func TestFind(t *testing.T) {
	t.Parallel()
	for _, want := range handlers.All() {
		got, err := handlers.Find(handlers.All(), want.Kind, want.Op)
		if err != nil || got.Kind != want.Kind || got.Op != want.Op {
			t.Errorf("got %s.%s, %v, want %s.%s", got.Kind, got.Op, err, want.Kind, want.Op)
		}
	}
	for _, other := range []struct {
		kind deployment.Kind
		op   string
	}{{"deployment", "explode"}, {"deployment", "register"}, {"model", "deploy"}, {"", ""}} {
		_, err := handlers.Find(handlers.All(), other.kind, other.op)
		rejection, ok := errors.AsType[*deployment.Rejection](err)
		if !ok || rejection.Code != deployment.CodeUnknownOperation {
			t.Errorf("%s.%s: got %v, want it rejected as an unknown operation", other.kind, other.op, err)
			continue
		}
		for _, o := range handlers.All() {
			if !strings.Contains(rejection.Message, string(o.Kind)+"."+o.Op) {
				t.Errorf("%q does not say that there is %s.%s", rejection.Message, o.Kind, o.Op)
			}
		}
	}
}

func TestReadSaysWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		op, data string
		want     deployment.Name
	}{
		{"deploy", `{"label":"Churn","modelId":"churn-v1"}`, "churn-v1"},
		{"deploy", `{"label":"Churn","model":{}}`, ""},
		{"replace", `{"reason":"OTHER","modelId":"churn-v2"}`, "churn-v2"},
		{"register", `{"format":"xgboost"}`, ""},
	} {
		i := slices.IndexFunc(handlers.All(), func(o handlers.Operation) bool { return o.Op == test.op })
		if got, err := handlers.All()[i].Read([]byte(test.data)); err != nil || got.Names != test.want {
			t.Errorf("%s %s: got %q, %v, want %q", test.op, test.data, got.Names, err, test.want)
		}
	}
	for _, o := range handlers.All() {
		_, err := o.Read([]byte(`[`))
		if rejection, ok := errors.AsType[*deployment.Rejection](err); !ok || rejection.Code != deployment.CodeInvalidField {
			t.Errorf("%s: no JSON: got %v, want a rejection", o.Op, err)
		}
		text, err := json.Marshal(o.Example)
		if err != nil {
			t.Fatal(err)
		}
		var example handlers.Cancel // of the others: nothing
		if o.Op == handlers.OpCancel {
			example, _ = o.Example.(handlers.Cancel)
		}
		got, err := o.Read(text)
		if err != nil || got.Server != "" || got.Source != example.Source || got.ID != example.ID {
			t.Errorf("%s: the example: got %+v, %v, want no server and what %+v is about", o.Op, got, err, example)
		}
		if want := o.Op == "rollback" || o.Op == "rename"; (got.Recalls != nil) != want {
			t.Errorf("%s: Recalls: got %t, want %t", o.Op, got.Recalls != nil, want)
		}
	}
}

func TestServerAndCompares(t *testing.T) {
	t.Parallel()
	for _, o := range handlers.All() {
		asked, err := o.Read([]byte(`{"defaultPredictionServerId":"eu-1"}`))
		if want := map[string]string{"deploy": "eu-1"}[o.Op]; err != nil || asked.Server != want {
			t.Errorf("%s: Server: got %q, %v, want %q", o.Op, asked.Server, err, want)
		}
		if want := o.Op == "replace" || o.Op == "rollback" || o.Op == handlers.OpValidate; asked.Compares != want {
			t.Errorf("%s: Compares: got %t, want %t", o.Op, asked.Compares, want)
		}
	}
}

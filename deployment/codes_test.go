package deployment_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
)

// classes is every code with its class. Codes and classes are on the wire: lines
// are only ever added here.
var classes = map[string]deployment.Class{
	"not_cloudevent":                    deployment.ClassInvalid,
	"invalid_event":                     deployment.ClassInvalid,
	"subject_mismatch":                  deployment.ClassInvalid,
	"type_mismatch":                     deployment.ClassInvalid,
	"invalid_name":                      deployment.ClassInvalid,
	"unknown_operation":                 deployment.ClassInvalid,
	"too_large":                         deployment.ClassInvalid,
	"id_reused":                         deployment.ClassConflict,
	"invalid_field":                     deployment.ClassInvalid,
	"missing_field":                     deployment.ClassInvalid,
	"unknown_field":                     deployment.ClassInvalid,
	"unknown_enum":                      deployment.ClassInvalid,
	"empty_update":                      deployment.ClassInvalid,
	"deployment_exists":                 deployment.ClassConflict,
	"deployment_not_found":              deployment.ClassNotFound,
	"deployment_failed":                 deployment.ClassConflict,
	"deployment_inactive":               deployment.ClassConflict,
	"already_in_status":                 deployment.ClassConflict,
	"model_exists":                      deployment.ClassConflict,
	"model_not_found":                   deployment.ClassNotFound,
	"is_current_model":                  deployment.ClassConflict,
	"model_never_served":                deployment.ClassNotFound,
	"no_earlier_model":                  deployment.ClassConflict,
	"version_not_found":                 deployment.ClassNotFound,
	"no_contract":                       deployment.ClassConflict,
	"command_not_found":                 deployment.ClassNotFound,
	"command_finished":                  deployment.ClassConflict,
	"url_invalid":                       deployment.ClassInvalid,
	"url_not_allowed":                   deployment.ClassForbidden,
	"artifact_not_found":                deployment.ClassInvalid,
	"artifact_forbidden":                deployment.ClassInvalid,
	"artifact_too_large":                deployment.ClassInvalid,
	"credentials_missing":               deployment.ClassInvalid,
	"digest_missing":                    deployment.ClassInvalid,
	"digest_mismatch":                   deployment.ClassInvalid,
	"size_mismatch":                     deployment.ClassInvalid,
	"unsupported_artifact":              deployment.ClassInvalid,
	"artifact_invalid":                  deployment.ClassInvalid,
	"model_cannot_predict":              deployment.ClassInvalid,
	"golden_rows_failing":               deployment.ClassInvalid,
	"checks_failing":                    deployment.ClassInvalid,
	"store_unavailable":                 deployment.ClassInternal,
	"prediction_server_unavailable":     deployment.ClassInternal,
	"prediction_server_failed":          deployment.ClassInternal,
	"attempts_exhausted":                deployment.ClassInternal,
	"panic":                             deployment.ClassInternal,
	"deadline_exceeded":                 deployment.ClassInternal,
	"worker_stopped":                    deployment.ClassInternal,
	"unknown_prediction_server":         deployment.ClassInvalid,
	"not_permitted":                     deployment.ClassForbidden,
	"not_signed":                        deployment.ClassForbidden,
	"unknown_actor":                     deployment.ClassForbidden,
	"unknown_key":                       deployment.ClassForbidden,
	"invalid_signature":                 deployment.ClassForbidden,
	"validation_failed":                 deployment.ClassConflict,
	"memory_exceeded":                   deployment.ClassInternal,
	"busy":                              deployment.ClassInternal,
	"contract_path_invalid":             deployment.ClassInvalid,
	"missing_reference":                 deployment.ClassInvalid,
	"invalid_reference":                 deployment.ClassInvalid,
	"reference_kind_ambiguous":          deployment.ClassInvalid,
	"reference_incomplete":              deployment.ClassInvalid,
	"metadata_invalid":                  deployment.ClassInvalid,
	"pytorch_archive_missing":           deployment.ClassInvalid,
	"layout_invalid":                    deployment.ClassInvalid,
	"folder_not_empty":                  deployment.ClassInvalid,
	"missing_model_type":                deployment.ClassInvalid,
	"model_type_mismatch":               deployment.ClassInvalid,
	"explainer_config_missing":          deployment.ClassInvalid,
	"missing_explainer_type":            deployment.ClassInvalid,
	"explainer_type_mismatch":           deployment.ClassInvalid,
	"transformer_docker_config_missing": deployment.ClassInvalid,
	"repository_not_found":              deployment.ClassNotFound,
	"repository_forbidden":              deployment.ClassForbidden,
	"repository_too_large":              deployment.ClassInvalid,
	"invalid_repository":                deployment.ClassInvalid,
	"revision_not_found":                deployment.ClassNotFound,
	"history_rewritten":                 deployment.ClassConflict,
	"host_key_refused":                  deployment.ClassForbidden,
	"push_refused":                      deployment.ClassForbidden,
	"credentials_invalid":               deployment.ClassInvalid,
	"image_not_found":                   deployment.ClassInvalid,
	"image_forbidden":                   deployment.ClassInvalid,
	"image_platform_mismatch":           deployment.ClassInvalid,
	"image_invalid":                     deployment.ClassInvalid,
}

func TestEveryCodeHasItsClass(t *testing.T) {
	t.Parallel()
	for code, want := range classes {
		if got := deployment.Code(code).Class(); got != want {
			t.Errorf("class of %s: got %s, want %s", code, got, want)
		}
	}
	if got := deployment.Code("of the future").Class(); got != deployment.ClassInvalid {
		t.Errorf("class of an unknown code: got %s, want %s", got, deployment.ClassInvalid)
	}
}

func TestCodesAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	codes := constants(t, "codes.go", "Code")
	if diff := cmp.Diff(slices.Sorted(maps.Keys(classes)), codes); diff != "" {
		t.Errorf("codes in codes.go differ from the table of this test (-table +code):\n%s", diff)
	}
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for i, code := range codes {
		if !snake.MatchString(code) {
			t.Errorf("code %q is not snake_case", code)
		}
		if i > 0 && codes[i-1] == code {
			t.Errorf("code %q: two constants have it", code)
		}
	}
}

func TestReasonsAreAllConstants(t *testing.T) {
	t.Parallel()
	reasons := make([]string, 0, len(deployment.Reasons()))
	for _, r := range deployment.Reasons() {
		reasons = append(reasons, string(r))
	}
	slices.Sort(reasons)
	if diff := cmp.Diff(constants(t, "decision.go", "Reason"), reasons); diff != "" {
		t.Errorf("Reasons() (-constants +list):\n%s", diff)
	}
}

// constants are the values, sorted, of the constants of a type in a file.
func constants(tb testing.TB, file, typ string) (values []string) {
	tb.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		tb.Fatal(err)
	}
	for _, declaration := range parsed.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok || general.Tok != token.CONST {
			continue
		}
		for _, spec := range general.Specs {
			constant, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			if named, ok := constant.Type.(*ast.Ident); !ok || named.Name != typ {
				continue
			}
			for _, value := range constant.Values {
				literal, ok := value.(*ast.BasicLit)
				if !ok {
					tb.Fatalf("%s: constant %s has no literal value", file, constant.Names[0])
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					tb.Fatal(err)
				}
				values = append(values, text)
			}
		}
	}
	if len(values) == 0 {
		tb.Fatalf("%s has no constants of type %s", file, typ)
	}
	slices.Sort(values)
	return values
}

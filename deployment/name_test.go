package deployment_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway/deployment"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"a":                            true,
		"churn":                        true,
		"churn-v2":                     true,
		"a--b":                         true,
		"m9":                           true,
		"a" + strings.Repeat("b", 52):  true, // 53 characters
		"":                             false,
		"a" + strings.Repeat("b", 53):  false, // 54
		"-churn":                       false,
		"churn-":                       false,
		"9churn":                       false,
		"Churn":                        false,
		"churN":                        false,
		"churn.v2":                     false, // would be two tokens of a NATS subject
		"churn v2":                     false,
		"churn*":                       false,
		">":                            false,
		"churn\n":                      false,
		"churn\x00":                    false,
		"chürn":                        false,
		"churn_v2":                     false,
		" churn":                       false,
		"a" + strings.Repeat("-", 52):  false,
		strings.Repeat("a", 1<<20):     false,
		"a\nb":                         false,
		"\xff":                         false,
		"churn/../model":               false,
		"a" + strings.Repeat("b-", 26): false, // 53, a dash last
	}
	for text, valid := range tests {
		got, err := deployment.ParseName(text)
		switch {
		case valid && (err != nil || string(got) != text):
			t.Errorf("ParseName(%q): got %q, %v, want the same name", text, got, err)
		case !valid && err == nil:
			t.Errorf("ParseName(%q): got no error, want one", text)
		case !valid && got != "":
			t.Errorf("ParseName(%q): got %q besides the error, want nothing", text, got)
		}
	}
}

func TestParseNameSaysWhatANameLooksLike(t *testing.T) {
	t.Parallel()
	_, err := deployment.ParseName("Churn!")
	const want = `name "Churn!": expected 1 to 53 lower-case letters, digits and dashes, starting with a letter and not ending with a dash`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Whatever matches the pattern in the schemas is a name, and it is one token of
// a subject and one DNS label.
func TestParseNameTakesWhatThePatternSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(deployment.NamePattern).Draw(t, "name")
		if _, err := deployment.ParseName(text); err != nil {
			t.Fatalf("ParseName(%q): %v", text, err)
		}
		if len(text) > 53 || strings.ContainsAny(text, ".*> \t\n\x00") || text != strings.ToLower(text) {
			t.Fatalf("%q is a name, but no subject token or DNS label", text)
		}
	})
}

package deployment_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway/deployment"
)

// churn is a model with every fact set.
func churn() deployment.Model {
	return deployment.Model{
		ID: "churn-v1", Format: deployment.FormatXGBoost, Type: "XGBoost Classifier",
		Target: deployment.Target{Name: "churned", Type: deployment.TargetBinary, Classes: []string{"stays", "leaves"}},
		Features: []deployment.Feature{
			{Name: "tenure_months", Type: deployment.FeatureNumeric},
			{Name: "plan <€>", Type: deployment.FeatureCategorical},
		},
		Artifact: deployment.Artifact{Object: "churn/v1.ubj", Digest: digest('a'), Size: 48213},
	}
}

// digest is one whose 64 digits are all the same.
func digest(digit byte) deployment.Digest {
	return deployment.Digest("sha256:" + strings.Repeat(string(digit), 64))
}

// The digest of a model's content is for ever: models are found again by it.
// What is hashed is written out here, so that nobody changes it by accident.
func TestModelDigestNeverChanges(t *testing.T) {
	t.Parallel()
	text := `{"id":"","format":"xgboost","type":"XGBoost Classifier",` +
		`"target":{"name":"churned","type":"Binary","classes":["stays","leaves"]},` +
		`"features":[{"name":"tenure_months","type":"numeric"},{"name":"plan \u003c€\u003e","type":"categorical"}],` +
		`"artifact":{"digest":"sha256:` + strings.Repeat("a", 64) + `","size":48213}}`
	sum := sha256.Sum256([]byte(text))
	if got, want := churn().Digest(), deployment.DigestOf(sum[:]); got != want {
		t.Errorf("got %s, want %s, which is of %s", got, want, text)
	}
	const golden = "sha256:da8bc89cdba51111e1c6613baafddbb066b353aa047e98c8ddeb7809d76465fd"
	if got := churn().Digest(); got != golden {
		t.Errorf("got %s, want %s", got, golden)
	}
	const id = "m-3kf4rhg3uuirdyogme52v7o3wb"
	if got := churn().ContentID(); got != id {
		t.Errorf("content id: got %s, want %s", got, id)
	}
}

func TestModelDigestIsOfTheContent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*deployment.Model)
		same   bool
	}{
		"id":              {func(m *deployment.Model) { m.ID = "other" }, true},
		"no id":           {func(m *deployment.Model) { m.ID = "" }, true},
		"object":          {func(m *deployment.Model) { m.Artifact.Object = "elsewhere" }, true},
		"url":             {func(m *deployment.Model) { m.Artifact.Object, m.Artifact.URL = "", "https://example.com/m.ubj" }, true},
		"format":          {func(m *deployment.Model) { m.Format = "onnx" }, false},
		"type":            {func(m *deployment.Model) { m.Type = "" }, false},
		"target name":     {func(m *deployment.Model) { m.Target.Name = "left" }, false},
		"target type":     {func(m *deployment.Model) { m.Target.Type = deployment.TargetRegression }, false},
		"classes":         {func(m *deployment.Model) { m.Target.Classes = nil }, false},
		"class order":     {func(m *deployment.Model) { m.Target.Classes = []string{"leaves", "stays"} }, false},
		"feature name":    {func(m *deployment.Model) { m.Features[0].Name = "tenure" }, false},
		"feature type":    {func(m *deployment.Model) { m.Features[0].Type = deployment.FeatureBoolean }, false},
		"feature order":   {func(m *deployment.Model) { m.Features[0], m.Features[1] = m.Features[1], m.Features[0] }, false},
		"feature less":    {func(m *deployment.Model) { m.Features = m.Features[:1] }, false},
		"artifact digest": {func(m *deployment.Model) { m.Artifact.Digest = digest('b') }, false},
		"artifact size":   {func(m *deployment.Model) { m.Artifact.Size++ }, false},
	}
	for name, test := range tests {
		other := churn()
		test.change(&other)
		if got := churn().SameContent(other); got != test.same {
			t.Errorf("other %s: SameContent got %t, want %t", name, got, test.same)
		}
		if got := churn().Digest() == other.Digest(); got != test.same {
			t.Errorf("other %s: equal digests %t, want %t", name, got, test.same)
		}
		if got := churn().ContentID() == other.ContentID(); got != test.same {
			t.Errorf("other %s: equal content ids %t, want %t", name, got, test.same)
		}
	}
}

func TestModelDigestLeavesTheModelAsItWas(t *testing.T) {
	t.Parallel()
	m := churn()
	m.ContentID()
	if diff := cmp.Diff(churn(), m); diff != "" {
		t.Errorf("the model changed (-before +after):\n%s", diff)
	}
}

func TestContentIDIsANameOfItsOwnForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := churn()
		m.Type = rapid.String().Draw(t, "type")
		id := m.ContentID()
		if _, err := deployment.ParseName(string(id)); err != nil {
			t.Fatal(err)
		}
		if !deployment.IsContentID(id) {
			t.Fatalf("IsContentID(%q): got false, want true", id)
		}
	})
}

func TestIsContentID(t *testing.T) {
	t.Parallel()
	tests := map[deployment.Name]bool{
		"m-" + deployment.Name(strings.Repeat("a", 26)):      true,
		"m-abcdefghijklmnopqrstuvwx2":                        false, // 25
		"m-abcdefghijklmnopqrstuvwx27":                       true,
		"m-abcdefghijklmnopqrstuvwx18":                       false, // 1 and 8 are no base32
		"m-" + deployment.Name(strings.Repeat("a", 27)):      false,
		"xm-" + deployment.Name(strings.Repeat("a", 26)):     false,
		"m-" + deployment.Name(strings.Repeat("a", 25)+"A"):  false,
		"m-" + deployment.Name(strings.Repeat("a", 26)+"\n"): false,
		"churn-v2": false,
		"m-":       false,
		"":         false,
	}
	for id, want := range tests {
		if got := deployment.IsContentID(id); got != want {
			t.Errorf("IsContentID(%q): got %t, want %t", id, got, want)
		}
	}
}

func TestParseDigest(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0123456789abcdef", 4)
	got, err := deployment.ParseDigest("sha256:" + hex)
	if err != nil || string(got) != "sha256:"+hex || got.Hex() != hex {
		t.Errorf("got %q, %v, hex %q, want the same digest and its digits", got, err, got.Hex())
	}
	for _, text := range []string{
		"", hex, "sha256:", "sha256:" + hex[1:], "sha256:" + hex + "0", "SHA256:" + hex, "sha512:" + hex,
		"sha256:" + strings.ToUpper(hex), "sha256:" + hex[:63] + "g", "sha256:" + hex + "\n", " sha256:" + hex,
	} {
		if got, err := deployment.ParseDigest(text); err == nil || got != "" {
			t.Errorf("ParseDigest(%q): got %q, %v, want an error only", text, got, err)
		}
	}
}

func TestDigestOf(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("test"))
	const want = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	if got := deployment.DigestOf(sum[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The short form is in every event of a deployment, so it has no classes: there
// may be thousands.
func TestRefIsTheShortForm(t *testing.T) {
	t.Parallel()
	m := churn()
	want := deployment.ModelRef{
		ID: "churn-v1", Format: deployment.FormatXGBoost, Type: "XGBoost Classifier",
		Target: deployment.Target{Name: "churned", Type: deployment.TargetBinary},
		Digest: m.Artifact.Digest, Size: 48213,
	}
	if diff := cmp.Diff(want, m.Ref()); diff != "" {
		t.Errorf("Ref (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(churn(), m); diff != "" {
		t.Errorf("the model changed (-before +after):\n%s", diff)
	}
}

func TestFeatureNamesAreInRowOrder(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"tenure_months", "plan <€>"}, churn().FeatureNames()); diff != "" {
		t.Errorf("FeatureNames (-want +got):\n%s", diff)
	}
	if got := (deployment.Model{}).FeatureNames(); len(got) != 0 {
		t.Errorf("of no features: got %q, want none", got)
	}
}

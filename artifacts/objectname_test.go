package artifacts_test

import (
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/deployment"
)

func TestObjectNames(t *testing.T) {
	t.Parallel()
	digest := deployment.DigestOf(make([]byte, 32))
	for name, want := range map[string]deployment.Digest{
		"model.onnx": "", "run-42/1/saved_model.pb": "", "mod\u00e8le 1/\u20ac.ubj": "", "sha256": "", "sha256s/x": "", strings.Repeat("x", 512): "",
		artifacts.ObjectName(digest): digest,
	} {
		if got, err := artifacts.ObjectDigest(name); err != nil || got != want {
			t.Errorf("%q: got %q %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{
		"", ".", "..", "/x", "x/", "x//y", "../x", "x/../y", "x/./y", "x\n", "x\x00", "x\x7f", "\xff", strings.Repeat("x", 513),
		"sha256/", "sha256/x", "contracts/x", "contracts/" + strings.Repeat("ab", 32) + "/model/reference.json", "sha256/" + strings.ToUpper(strings.Repeat("ab", 32)), artifacts.ObjectName(digest) + "/x",
	} {
		if _, err := artifacts.ObjectDigest(name); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%q: got %v, want it to say what is expected", name, err)
		}
	}
}

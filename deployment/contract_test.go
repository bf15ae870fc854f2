package deployment_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/slipway-ml/slipway/deployment"
)

func TestHeadline(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"":                                    "",
		"Add new model\n":                     "Add new model",
		"\n  Add new model \r\n\nSpring data": "Add new model",
		"Add new model":                       "Add new model",
	} {
		if got := deployment.Headline(message); got != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
	long := deployment.Headline(strings.Repeat("ä", 200))
	if len(long) > 200+len("…") || !strings.HasSuffix(long, "ä…") || !utf8.ValidString(long) {
		t.Errorf("got %q, want the beginning of it", long)
	}
}

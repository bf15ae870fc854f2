package sourcing

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/deployment"
)

// What a sender says of itself cannot make a commit say something else.
func TestCommitsSayForWhom(t *testing.T) {
	t.Parallel()
	got := trailers(deployment.Command{Name: "churn", Source: "/ci\nSlipway-Deployment: other", ID: "42\r\n\r\nx", Digest: "sha256:1"})
	want := []string{
		"Slipway-Deployment: churn",
		`Slipway-Command-Source: "/ci\nSlipway-Deployment: other"`,
		`Slipway-Command-Id: "42\r\n\r\nx"`,
		"Slipway-Command-Digest: sha256:1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("trailers (-want +got):\n%s", diff)
	}
	c := &Contracts{Author: git.Person{Name: "Slipway", Email: "slipway@example.com"}}
	for actor, want := range map[string]git.Person{
		"":                           c.Author,
		"  ":                         c.Author,
		"<>\n":                       c.Author,
		"Ada Lovelace":               {Name: "Ada Lovelace", Email: "slipway@example.com"},
		"/people/ada":                {Name: "/people/ada", Email: "slipway@example.com"},
		"ada@example.com":            {Name: "ada@example.com", Email: "ada@example.com"},
		"Ada <ada@example.com>\nx":   {Name: "Ada ada@example.comx", Email: "slipway@example.com"},
		strings.Repeat("å", maxName): {Name: strings.Repeat("å", maxName/2), Email: "slipway@example.com"},
	} {
		if got := c.author(deployment.Command{Actor: actor}); got != want {
			t.Errorf("%q: got author %+v, want %+v", actor, got, want)
		}
	}
}

package main

import (
	"testing"

	"github.com/slipway-ml/slipway/deployment"
)

// What is wrong with a list is said of the flag that asks for it.
func TestListingRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		what    string
		deleted bool
		flags   listing
		want    string
	}{
		{"deployments", false, listing{Order: "label", Limit: 101}, "--limit: expected 1 to 100, got 101"},
		{"deployments", false, listing{Order: "label"}, "--limit: expected 1 to 100, got 0"},
		{"deployments", false, listing{Order: "label", Limit: 20, Offset: -1}, "--offset: expected 0 or more, got -1"},
		{"deployments", true, listing{Order: "label", Limit: 20, Status: []deployment.Status{"active"}}, "--status: what is deleted has the status deleted"},
		{"models", false, listing{Order: "label", Limit: 20, Search: "x"}, "list models: --search, --status, --importance, --order, --limit, --offset and --deleted are of deployments"},
	} {
		if _, err := test.flags.query(test.what, test.deleted); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

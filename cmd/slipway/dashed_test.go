package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What begins with a dash may be the value of a flag, behind it or after =.
func TestDashedValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args  []string
		order dashed
		rows  dashedList
		wrong string
	}{
		{args: []string{"list"}, order: "label"},
		{args: []string{"list", "--order", "label"}, order: "label"},
		{args: []string{"list", "--order", "-label", "--limit", "5"}, order: "-label"},
		{args: []string{"list", "--order=-label"}, order: "-label"},
		{args: []string{"list", "--order", "-o", "json"}, wrong: `[<what>] must be one of "deployments","models","servers" but got "json"`},
		{args: []string{"list", "--order", "--limit", "5"}, wrong: "--order: missing value"},
		{args: []string{"list", "--order"}, wrong: "--order: missing value"},
		{args: []string{"predict", "churn", "--row", "-1.5,2", "--row=-3,-4", "--row", "5"}, order: "label", rows: dashedList{"-1.5,2", "-3,-4", "5"}},
	} {
		var c cli
		parser, err := newParser(&c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parser.Parse(test.args)
		if test.wrong != "" {
			if err == nil || err.Error() != test.wrong {
				t.Errorf("%q: got %v, want %s", test.args, err, test.wrong)
			}
			continue
		}
		if diff := cmp.Diff(test.rows, c.Predict.Row); err != nil || diff != "" || c.List.Order != test.order {
			t.Errorf("%q: got order %q, want %q, and %v (-want +got):\n%s", test.args, c.List.Order, test.order, err, diff)
		}
	}
}

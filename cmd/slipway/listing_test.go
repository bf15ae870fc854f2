package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/worker"
)

// views are deployments that differ in what a list can be asked by.
func views() []worker.DeploymentView {
	who := func(text string) *string { return &text }
	day := func(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }
	gone, earlier := day(9), day(8)
	var all []worker.DeploymentView
	for _, s := range []deployment.State{
		{Name: "churn", Label: "Customer churn", Description: who("Who LEAVES?"), Status: deployment.StatusActive, Importance: deployment.ImportanceHigh, CreatedAt: day(2), UpdatedAt: day(7)},
		{Name: "credit", Label: "Credit risk", Status: deployment.StatusInactive, Importance: deployment.ImportanceLow, CreatedAt: day(4), UpdatedAt: day(5)},
		{Name: "fraud", Label: "fraud", Description: who("Who stays"), Status: deployment.StatusActive, Importance: deployment.ImportanceCritical, CreatedAt: day(1), UpdatedAt: day(6)},
		{Name: "first", Label: "Customer churn", Status: deployment.StatusFailed, CreatedAt: day(3), UpdatedAt: day(3)},
		{Name: "gone", Label: "Customers of old", Status: deployment.StatusDeleted, DeletedAt: &gone},
		{Name: "older", Label: "Zebra", Status: deployment.StatusDeleted, DeletedAt: &earlier},
	} {
		all = append(all, worker.DeploymentView{State: s})
	}
	return all
}

func TestListing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		flags   listing
		deleted bool
		want    string
		total   int
	}{
		{"by label, then by name", listing{}, false, "credit churn first fraud", 4},
		{"the other way round", listing{Order: "-label"}, false, "fraud first churn credit", 4},
		{"by name", listing{Order: "name"}, false, "churn credit first fraud", 4},
		{"oldest first", listing{Order: "createdAt"}, false, "fraud churn first credit", 4},
		{"newest first", listing{Order: "-createdAt"}, false, "credit first churn fraud", 4},
		{"changed last", listing{Order: "updatedAt"}, false, "first credit fraud churn", 4},
		{"least important first", listing{Order: "importance"}, false, "credit first churn fraud", 4},
		{"most important first", listing{Order: "-importance"}, false, "fraud churn first credit", 4},
		{"by status", listing{Order: "status"}, false, "churn fraud first credit", 4},
		{"search in labels, in any case", listing{Search: "CHURN"}, false, "churn first", 2},
		{"search in descriptions", listing{Search: "who"}, false, "churn fraud", 2},
		{"search finds nothing", listing{Search: "nobody"}, false, "", 0},
		{"one status", listing{Status: []deployment.Status{deployment.StatusInactive}}, false, "credit", 1},
		{"any of two", listing{Status: []deployment.Status{deployment.StatusInactive, deployment.StatusFailed}}, false, "credit first", 2},
		{"one importance", listing{Importance: []deployment.Importance{deployment.ImportanceHigh, deployment.ImportanceLow}}, false, "credit churn", 2},
		{"all of the filters", listing{Search: "who", Importance: []deployment.Importance{deployment.ImportanceCritical}}, false, "fraud", 1},
		{"first page", listing{Limit: 3}, false, "credit churn first", 4},
		{"last page", listing{Limit: 3, Offset: 3}, false, "fraud", 4},
		{"past the end", listing{Limit: 3, Offset: 9}, false, "", 4},
		{"deleted", listing{}, true, "gone older", 2},
		{"deleted, newest first", listing{Order: "-deletedAt"}, true, "gone older", 2},
		{"deleted, oldest first", listing{Order: "deletedAt"}, true, "older gone", 2},
		{"deleted, search", listing{Search: "zeb"}, true, "older", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := test.flags
			if l.Order == "" {
				l.Order = "label"
			}
			if l.Limit == 0 {
				l.Limit = 20
			}
			if err := l.check("deployments", test.deleted); err != nil {
				t.Fatal(err)
			}
			all := views()
			got := l.page(all, test.deleted)
			var names []string
			for _, d := range got.data {
				names = append(names, string(d.Name))
			}
			if strings.Join(names, " ") != test.want || got.total != test.total {
				t.Errorf("got %q of %d, want %q of %d", names, got.total, test.want, test.total)
			}
			if diff := cmp.Diff(views(), all); diff != "" {
				t.Errorf("the list changed:\n%s", diff)
			}
		})
	}
}

// Whatever the pages, together they are the whole list.
func TestPagesAreTheList(t *testing.T) {
	t.Parallel()
	whole := (&listing{Order: "-importance", Limit: 20}).page(views(), false).data
	for limit := 1; limit < 6; limit++ {
		var joined []worker.DeploymentView
		for offset := 0; offset < len(whole); offset += limit {
			joined = append(joined, (&listing{Order: "-importance", Limit: limit, Offset: offset}).page(views(), false).data...)
		}
		if !slices.EqualFunc(whole, joined, func(a, b worker.DeploymentView) bool { return a.Name == b.Name }) {
			t.Errorf("pages of %d: got %d, want the %d of the list in its order", limit, len(joined), len(whole))
		}
	}
}

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
		{"deployments", false, listing{Order: "-size", Limit: 20}, `--order: expected name, label, status, importance, createdAt, updatedAt or, with --deleted, deletedAt, got "size"`},
		{"deployments", false, listing{Order: "deletedAt", Limit: 20}, `--order: expected name, label, status, importance, createdAt, updatedAt or, with --deleted, deletedAt, got "deletedAt"`},
		{"deployments", false, listing{Order: "label", Limit: 20, Status: []deployment.Status{"active", "deleted"}}, `--status: expected one of deploying active replacing stopping inactive launching failed deleting, got "deleted"`},
		{"deployments", false, listing{Order: "label", Limit: 20, Importance: []deployment.Importance{"high"}}, `--importance: expected one of CRITICAL HIGH MODERATE LOW, got "high"`},
		{"deployments", true, listing{Order: "label", Limit: 20, Status: []deployment.Status{"active"}}, "--status: what is deleted has the status deleted"},
		{"models", false, listing{Order: "label", Limit: 20, Search: "x"}, "list models: --search, --status, --importance, --order, --limit, --offset and --deleted are of deployments"},
	} {
		if err := test.flags.check(test.what, test.deleted); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

package client

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

func TestQuery(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		query   Query
		deleted bool
		want    string
		total   int
	}{
		{"by label, then by name", Query{}, false, "credit churn first fraud", 4},
		{"the other way round", Query{Order: "-label"}, false, "fraud first churn credit", 4},
		{"by name", Query{Order: "name"}, false, "churn credit first fraud", 4},
		{"oldest first", Query{Order: "createdAt"}, false, "fraud churn first credit", 4},
		{"newest first", Query{Order: "-createdAt"}, false, "credit first churn fraud", 4},
		{"changed last", Query{Order: "updatedAt"}, false, "first credit fraud churn", 4},
		{"least important first", Query{Order: "importance"}, false, "credit first churn fraud", 4},
		{"most important first", Query{Order: "-importance"}, false, "fraud churn first credit", 4},
		{"by status", Query{Order: "status"}, false, "churn fraud first credit", 4},
		{"search in labels, in any case", Query{Search: "CHURN"}, false, "churn first", 2},
		{"search in descriptions", Query{Search: "who"}, false, "churn fraud", 2},
		{"search finds nothing", Query{Search: "nobody"}, false, "", 0},
		{"one status", Query{Status: []deployment.Status{deployment.StatusInactive}}, false, "credit", 1},
		{"any of two", Query{Status: []deployment.Status{deployment.StatusInactive, deployment.StatusFailed}}, false, "credit first", 2},
		{"one importance", Query{Importance: []deployment.Importance{deployment.ImportanceHigh, deployment.ImportanceLow}}, false, "credit churn", 2},
		{"all of the filters", Query{Search: "who", Importance: []deployment.Importance{deployment.ImportanceCritical}}, false, "fraud", 1},
		{"first page", Query{Limit: 3}, false, "credit churn first", 4},
		{"last page", Query{Limit: 3, Offset: 3}, false, "fraud", 4},
		{"past the end", Query{Limit: 3, Offset: 9}, false, "", 4},
		{"deleted", Query{}, true, "gone older", 2},
		{"deleted, newest first", Query{Order: "-deletedAt"}, true, "gone older", 2},
		{"deleted, oldest first", Query{Order: "deletedAt"}, true, "older gone", 2},
		{"deleted, search", Query{Search: "zeb"}, true, "older", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			q := test.query
			q.Deleted = test.deleted
			if r := q.Check(); r != nil {
				t.Fatal(r)
			}
			all := views()
			got := q.Page(all)
			var names []string
			for _, d := range got.Data {
				names = append(names, string(d.Name))
			}
			if strings.Join(names, " ") != test.want || got.TotalCount != test.total {
				t.Errorf("got %q of %d, want %q of %d", names, got.TotalCount, test.want, test.total)
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
	whole := Query{Order: "-importance"}.Page(views()).Data
	for limit := 1; limit < 6; limit++ {
		var joined []worker.DeploymentView
		for offset := 0; offset < len(whole); offset += limit {
			joined = append(joined, Query{Order: "-importance", Limit: limit, Offset: offset}.Page(views()).Data...)
		}
		if !slices.EqualFunc(whole, joined, func(a, b worker.DeploymentView) bool { return a.Name == b.Name }) {
			t.Errorf("pages of %d: got %d, want the %d of the list in its order", limit, len(joined), len(whole))
		}
	}
}

func TestQueryRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		query       Query
		field, want string
	}{
		{Query{Limit: 101}, "limit", "limit: expected 1 to 100, got 101"},
		{Query{Limit: -1}, "limit", "limit: expected 1 to 100, got -1"},
		{Query{Offset: -1}, "offset", "offset: expected 0 or more, got -1"},
		{Query{Order: "-size"}, "order", `order: expected name, label, status, importance, createdAt, updatedAt or, of what is deleted, deletedAt, got "size"`},
		{Query{Order: "deletedAt"}, "order", `order: expected name, label, status, importance, createdAt, updatedAt or, of what is deleted, deletedAt, got "deletedAt"`},
		{Query{Status: []deployment.Status{"active", "deleted"}}, "status", `status: expected one of deploying active replacing stopping inactive launching failed deleting, got "deleted"`},
		{Query{Importance: []deployment.Importance{"high"}}, "importance", `importance: expected one of CRITICAL HIGH MODERATE LOW, got "high"`},
		{Query{Deleted: true, Status: []deployment.Status{"active"}}, "status", "status: what is deleted has the status deleted"},
	} {
		r := test.query.Check()
		if r == nil || r.Message != test.want || r.Class != deployment.ClassInvalid || r.Findings[0].Path != test.field {
			t.Errorf("got %+v, want %s at %s", r, test.want, test.field)
		}
	}
}

package client

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/worker"
)

// Query says which deployments are listed, and how (datarobot.md section 3, List,
// and R5): all filters have to let one through, and of one filter any of its
// values. The zero value is the first page of all that there are.
type Query struct {
	Deleted    bool   // those that were deleted, instead of those that are
	Search     string // in label or description, in any case
	Status     []deployment.Status
	Importance []deployment.Importance
	Order      string // name, label, status, importance, createdAt, updatedAt, deletedAt; with - before it, the other way round; "": label
	Limit      int    // 1 to 100; 0: 20
	Offset     int    // how many to leave out at the beginning
}

// Page is a part of what there is (datarobot.md section 3, List).
type Page struct {
	Count      int                     `json:"count"`      // in Data
	TotalCount int                     `json:"totalCount"` // of what the filters let through
	Data       []worker.DeploymentView `json:"data"`
	Offset     int                     `json:"-"` // of the first one in Data
}

// The number of deployments on a page.
const (
	UsualLimit = 20
	MostLimit  = 100
)

// orders are what deployments can be ordered by. What is equal is ordered by name.
func orders() map[string]func(a, b worker.DeploymentView) int {
	return map[string]func(a, b worker.DeploymentView) int{
		"name": func(a, b worker.DeploymentView) int { return 0 },
		"label": func(a, b worker.DeploymentView) int {
			return strings.Compare(strings.ToLower(a.Label), strings.ToLower(b.Label))
		},
		"status":     func(a, b worker.DeploymentView) int { return cmp.Compare(a.Status, b.Status) },
		"importance": func(a, b worker.DeploymentView) int { return cmp.Compare(weight(a.Importance), weight(b.Importance)) },
		"createdAt":  func(a, b worker.DeploymentView) int { return a.CreatedAt.Compare(b.CreatedAt) },
		"updatedAt":  func(a, b worker.DeploymentView) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
		"deletedAt":  func(a, b worker.DeploymentView) int { return timeOf(a.DeletedAt).Compare(timeOf(b.DeletedAt)) },
	}
}

// weight grows with the importance.
func weight(i deployment.Importance) int {
	if i == "" { // of before there was one
		i = deployment.ImportanceModerate
	}
	return -slices.Index(deployment.Importances(), i)
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// Check is the refusal of a query that says nothing of what is listed; nil, if it
// is a good one.
func (q Query) Check() *deployment.Rejection {
	invalid := func(field, format string, args ...any) *deployment.Rejection {
		return deployment.Reject(deployment.CodeInvalidField, field, field+": "+format, args...)
	}
	limit, by := cmp.Or(q.Limit, UsualLimit), strings.TrimPrefix(cmp.Or(q.Order, "label"), "-")
	switch {
	case q.Deleted && len(q.Status) > 0:
		return invalid("status", "what is deleted has the status deleted")
	case limit < 1 || limit > MostLimit:
		return invalid("limit", "expected 1 to %d, got %d", MostLimit, limit)
	case q.Offset < 0:
		return invalid("offset", "expected 0 or more, got %d", q.Offset)
	case orders()[by] == nil || by == "deletedAt" && !q.Deleted:
		return invalid("order", "expected name, label, status, importance, createdAt, updatedAt or, of what is deleted, deletedAt, got %q", by)
	}
	statuses := slices.DeleteFunc(deployment.Statuses(), func(s deployment.Status) bool { return s == deployment.StatusDeleted })
	if wrong, all := other(q.Status, statuses); wrong != "" {
		return invalid("status", "expected one of %s, got %q", all, wrong)
	}
	if wrong, all := other(q.Importance, deployment.Importances()); wrong != "" {
		return invalid("importance", "expected one of %s, got %q", all, wrong)
	}
	return nil
}

// other is the first of the values that is none of all, which it lists.
func other[S ~string](values, all []S) (wrong S, listed string) {
	for _, value := range values {
		if !slices.Contains(all, value) {
			return value, strings.Trim(fmt.Sprint(all), "[]")
		}
	}
	return "", ""
}

// Page is the part of all deployments, there or deleted, that the query asks for.
func (q Query) Page(all []worker.DeploymentView) Page {
	matching := slices.DeleteFunc(slices.Clone(all), func(d worker.DeploymentView) bool {
		return d.Exists() == q.Deleted || !q.matches(d)
	})
	by, descending := strings.CutPrefix(cmp.Or(q.Order, "label"), "-")
	order := orders()[by]
	slices.SortFunc(matching, func(a, b worker.DeploymentView) int {
		result := cmp.Or(order(a, b), strings.Compare(string(a.Name), string(b.Name)))
		if descending {
			return -result
		}
		return result
	})
	from := min(q.Offset, len(matching))
	data := matching[from:min(from+cmp.Or(q.Limit, UsualLimit), len(matching))]
	return Page{Count: len(data), TotalCount: len(matching), Data: data, Offset: from}
}

func (q Query) matches(d worker.DeploymentView) bool {
	search, description := strings.ToLower(q.Search), ""
	if d.Description != nil {
		description = strings.ToLower(*d.Description)
	}
	found := strings.Contains(strings.ToLower(d.Label), search) || strings.Contains(description, search)
	return found && (len(q.Status) == 0 || slices.Contains(q.Status, d.Status)) &&
		(len(q.Importance) == 0 || slices.Contains(q.Importance, d.Importance))
}

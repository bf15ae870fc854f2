package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/worker"
)

// listing are the flags that say which deployments are listed, and how
// (datarobot.md section 3, List, and R5): all filters have to let one through, and
// of one filter any of its values.
type listing struct {
	Search     string                  `help:"Only those whose label or description has this text in it, in any case." placeholder:"TEXT"`
	Status     []deployment.Status     `help:"Only those with one of these statuses." placeholder:"STATUS,..."`
	Importance []deployment.Importance `help:"Only those with one of these importances." placeholder:"IMPORTANCE,..."`
	Order      string                  `default:"label" help:"Order by name, label, status, importance, createdAt, updatedAt or, with --deleted, deletedAt; with - before it, the other way round." placeholder:"[-]MEMBER"`
	Limit      int                     `default:"20" help:"How many at most, 1 to 100."`
	Offset     int                     `default:"0" help:"How many to leave out at the beginning."`
}

const mostListed = 100

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

// check reports flags that say nothing of what is listed, or nothing at all.
func (l *listing) check(what string, deleted bool) error {
	flags := l.Search != "" || len(l.Status)+len(l.Importance) > 0 || l.Order != "label" || l.Limit != 20 || l.Offset != 0
	switch {
	case what != "deployments" && (flags || deleted):
		return exitf(exitUsage, "list %s: --search, --status, --importance, --order, --limit, --offset and --deleted are of deployments", what)
	case deleted && len(l.Status) > 0:
		return exitf(exitUsage, "--status: what is deleted has the status deleted")
	case l.Limit < 1 || l.Limit > mostListed:
		return exitf(exitUsage, "--limit: expected 1 to %d, got %d", mostListed, l.Limit)
	case l.Offset < 0:
		return exitf(exitUsage, "--offset: expected 0 or more, got %d", l.Offset)
	}
	by := strings.TrimPrefix(l.Order, "-")
	if orders()[by] == nil || by == "deletedAt" && !deleted {
		return exitf(exitUsage, "--order: expected name, label, status, importance, createdAt, updatedAt or, with --deleted, deletedAt, got %q", by)
	}
	statuses := slices.DeleteFunc(deployment.Statuses(), func(s deployment.Status) bool { return s == deployment.StatusDeleted })
	if err := oneOf("--status", l.Status, statuses); err != nil {
		return err
	}
	return oneOf("--importance", l.Importance, deployment.Importances())
}

func oneOf[S ~string](flag string, values, all []S) error {
	for _, value := range values {
		if !slices.Contains(all, value) {
			return exitf(exitUsage, "%s: expected one of %s, got %q", flag, strings.Trim(fmt.Sprint(all), "[]"), value)
		}
	}
	return nil
}

// page is a part of what there is.
type page struct {
	data   []worker.DeploymentView
	offset int
	total  int // of what the filters let through
}

// page is the part of all deployments, or of all that are deleted, that the flags
// ask for.
func (l *listing) page(all []worker.DeploymentView, deleted bool) page {
	matching := slices.DeleteFunc(slices.Clone(all), func(d worker.DeploymentView) bool {
		return d.Exists() == deleted || !l.matches(d)
	})
	by, descending := strings.CutPrefix(l.Order, "-")
	order := orders()[by]
	slices.SortFunc(matching, func(a, b worker.DeploymentView) int {
		result := cmp.Or(order(a, b), strings.Compare(string(a.Name), string(b.Name)))
		if descending {
			return -result
		}
		return result
	})
	from := min(l.Offset, len(matching))
	return page{data: matching[from:min(from+l.Limit, len(matching))], offset: from, total: len(matching)}
}

func (l *listing) matches(d worker.DeploymentView) bool {
	search := strings.ToLower(l.Search)
	found := strings.Contains(strings.ToLower(d.Label), search) || strings.Contains(strings.ToLower(text(d.Description)), search)
	return found && (len(l.Status) == 0 || slices.Contains(l.Status, d.Status)) &&
		(len(l.Importance) == 0 || slices.Contains(l.Importance, d.Importance))
}

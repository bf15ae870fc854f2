package main

import (
	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
)

// listing are the flags that say which deployments are listed, and how.
type listing struct {
	Search     string                  `help:"Only those whose label or description has this text in it, in any case." placeholder:"TEXT"`
	Status     []deployment.Status     `help:"Only those with one of these statuses." placeholder:"STATUS,..."`
	Importance []deployment.Importance `help:"Only those with one of these importances." placeholder:"IMPORTANCE,..."`
	Order      dashed                  `default:"label" help:"Order by name, label, status, importance, createdAt, updatedAt or, with --deleted, deletedAt; with - before it, the other way round." placeholder:"[-]MEMBER"`
	Limit      int                     `default:"20" help:"How many at most, 1 to 100."`
	Offset     int                     `default:"0" help:"How many to leave out at the beginning."`
}

// query is what the flags ask for. Its error names the flag that says nothing of
// what is listed, or nothing at all.
func (l listing) query(what string, deleted bool) (client.Query, error) {
	q := client.Query{
		Deleted: deleted, Search: l.Search, Status: l.Status, Importance: l.Importance,
		Order: string(l.Order), Limit: l.Limit, Offset: l.Offset,
	}
	flags := l.Search != "" || len(l.Status)+len(l.Importance) > 0 || l.Order != "label" || l.Limit != client.UsualLimit || l.Offset != 0
	if what != "deployments" && (flags || deleted) {
		return q, exitf(exitUsage, "list %s: --search, --status, --importance, --order, --limit, --offset and --deleted are of deployments", what)
	}
	if l.Limit == 0 { // to a Query, that is the usual one
		return q, exitf(exitUsage, "--limit: expected 1 to %d, got 0", client.MostLimit)
	}
	if r := q.Check(); r != nil {
		return q, exitf(exitUsage, "--%s", r.Message)
	}
	return q, nil
}

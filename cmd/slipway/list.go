package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/worker"
)

type listCmd struct {
	What    string `arg:"" optional:"" default:"deployments" enum:"deployments,models,servers" help:"What to list: ${enum}."`
	Deleted bool   `help:"List the deployments that were deleted."`
	listing `embed:""`
}

// Run lists what there is.
func (l *listCmd) Run(ctx context.Context, p *program) error {
	query, err := l.query(l.What, l.Deleted)
	if err != nil {
		return err
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	switch l.What {
	case "models":
		models, err := c.Models(ctx)
		if err != nil {
			return err
		}
		return show(p, models, "ID FORMAT TARGET TYPE FEATURES BYTES REGISTERED", func(m worker.ModelView) []string {
			return []string{
				string(m.ID), string(m.Format), m.Target.Name, string(m.Target.Type),
				strconv.Itoa(len(m.Features)), strconv.FormatInt(m.Artifact.Size, 10), m.RegisteredAt.Format(time.RFC3339),
			}
		})
	case "servers":
		return showServers(ctx, p, c)
	}
	page, err := c.List(ctx, query)
	if err != nil {
		return err
	}
	if l.Deleted {
		return printListed(p, "NAME DELETED BY LABEL", page, tombstoneOf, func(t tombstone) []string {
			return []string{string(t.ID), t.DeletedAt.Format(time.RFC3339), t.DeletedBy, t.Label}
		})
	}
	return printListed(p, "NAME STATUS MODEL REVISION UPDATED IMPORTANCE LABEL", page, itself, func(d worker.DeploymentView) []string {
		return []string{
			string(d.Name), string(d.Status), modelID(d.Model), strconv.FormatUint(d.Revision, 10),
			d.UpdatedAt.Format(time.RFC3339), string(d.Importance), d.Label,
		}
	})
}

// pageJSON is one page of a list as JSON (datarobot.md section 3, List).
type pageJSON[T any] struct {
	Count      int `json:"count"`      // in data
	TotalCount int `json:"totalCount"` // of what the filters let through
	Data       []T `json:"data"`
}

// tombstone is what is listed of a deleted deployment (datarobot.md R7).
type tombstone struct {
	ID        deployment.Name `json:"id"`
	Label     string          `json:"label"`
	DeletedAt *time.Time      `json:"deletedAt"`
	DeletedBy string          `json:"deletedBy"`
}

func tombstoneOf(d worker.DeploymentView) tombstone {
	return tombstone{d.Name, d.Label, d.DeletedAt, d.DeletedBy}
}

func itself(d worker.DeploymentView) worker.DeploymentView { return d }

// printListed writes a page: every element as JSON, or a row each.
func printListed[T any](p *program, header string, page client.Page, element func(worker.DeploymentView) T, row func(T) []string) error {
	result := pageJSON[T]{Count: page.Count, TotalCount: page.TotalCount, Data: make([]T, page.Count)}
	rows := make([][]string, page.Count)
	for i, d := range page.Data {
		result.Data[i] = element(d)
		rows[i] = row(result.Data[i])
	}
	if p.output == "json" {
		return p.printJSON(result)
	}
	if err := p.printTable(header, rows); err != nil {
		return err
	}
	if next := page.Offset + page.Count; next < page.TotalCount && page.Count > 0 {
		fmt.Fprintf(p.stderr, "%d of %d; --offset %d shows more\n", page.Count, page.TotalCount, next)
	}
	return nil
}

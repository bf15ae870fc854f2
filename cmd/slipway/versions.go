package main

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/handlers"
)

type rollbackCmd struct {
	Name       string            `arg:"" help:"Name of the deployment."`
	Version    uint64            `help:"Number of a version; \"slipway versions\" shows them. Default: the one before the current one." placeholder:"N"`
	Model      string            `help:"Id of a model that has served it, in place of --version." placeholder:"ID"`
	Reason     deployment.Reason `required:"" help:"Why: ACCURACY, DATA_DRIFT, ERRORS, SCHEDULED_REFRESH, SCORING_SPEED, DEPRECATION or OTHER."`
	ReasonText string            `help:"Why, in your own words."`
	Wait       waiting           `embed:"" prefix:"command-"`
}

// Run serves an earlier model again.
func (r *rollbackCmd) Run(ctx context.Context, p *program) error {
	return p.change(ctx, r.Wait, r.Name, "rollback", handlers.Rollback{
		Version: r.Version, ModelID: deployment.Name(r.Model), Reason: r.Reason, ReasonText: r.ReasonText,
	})
}

type renameCmd struct {
	Name    string  `arg:"" help:"Name of the deployment."`
	Version uint64  `required:"" help:"Number of the version." placeholder:"N"`
	To      string  `name:"name" required:"" help:"What to call it; an empty text takes the name away." placeholder:"TEXT"`
	Wait    waiting `embed:"" prefix:"command-"`
}

// Run gives a version a name.
func (r *renameCmd) Run(ctx context.Context, p *program) error {
	data := handlers.Rename{Version: r.Version}
	if r.To != "" {
		data.Name = &r.To
	}
	return p.change(ctx, r.Wait, r.Name, "rename", data)
}

type versionsCmd struct {
	Name string `arg:"" help:"Name of the deployment; it may be deleted."`
}

// Run shows the versions, from the ledger, the newest first.
func (v *versionsCmd) Run(ctx context.Context, p *program) error {
	if _, err := deployment.ParseName(v.Name); err != nil {
		return exitf(exitUsage, "%w", err)
	}
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	versions, err := c.Versions(ctx, v.Name)
	if _, none := errors.AsType[*client.Error](err); none {
		return p.neverBeen(v.Name)
	}
	if err != nil {
		return err
	}
	return show(p, versions, "VERSION STATUS MODEL SINCE BY REASON COMMIT NAME", versionRow)
}

// neverBeen says that nothing has ever had the name.
func (p *program) neverBeen(name string) error {
	return exitf(exitNotFound, "deployment %q has never been; \"slipway list\" and \"slipway list --deleted\" show those that are and were", name)
}

func versionRow(v deployment.Version) []string {
	number, commit := "-", ""
	if v.Number > 0 {
		number = strconv.FormatUint(v.Number, 10)
	}
	if v.Contract != nil {
		commit = v.Contract.Commit[:min(7, len(v.Contract.Commit))]
	}
	row := []string{number, string(v.Status), string(v.ModelID), v.At.Format(time.RFC3339), cmp.Or(v.Actor, v.By), why(v), commit, v.Name}
	for i, cell := range row {
		row[i] = cmp.Or(cell, "-")
	}
	return row
}

// why says why a version came to be: by its reason or, where that says little, by
// the message of its commit. Of one that failed, it says why it did.
func why(v deployment.Version) string {
	switch {
	case v.Failure != nil:
		return string(v.Failure.Code)
	case v.ReasonText != "":
		return string(*v.Reason) + ": " + v.ReasonText
	case v.Contract != nil && v.Contract.Message != "" && !v.Rollback && (v.Reason == nil || *v.Reason == deployment.ReasonOther):
		return v.Contract.Message
	case v.Reason != nil:
		return string(*v.Reason)
	default:
		return ""
	}
}

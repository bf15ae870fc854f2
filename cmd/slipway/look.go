package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/serving"
	"github.com/slipway-ml/slipway/worker"
)

type getCmd struct {
	Name string `arg:"" help:"Name of the deployment."`
	At   string `help:"Show it as it was then: a time as in RFC 3339, a duration such as 2h for that long ago, or a sequence in the ledger." placeholder:"TIME|SEQUENCE"`
}

// Run shows one deployment.
func (g *getCmd) Run(ctx context.Context, p *program) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := deployment.ParseName(g.Name); err != nil {
		return exitf(exitUsage, "%w", err)
	}
	if g.At != "" {
		return g.past(ctx, p, c)
	}
	d, err := c.Get(ctx, g.Name)
	if _, none := errors.AsType[*client.Error](err); none {
		return exitf(exitNotFound, "deployment %q does not exist; \"slipway list\" shows those that do", g.Name)
	}
	if err != nil {
		return err
	}
	if p.output == "json" {
		return p.printJSON(d)
	}
	servers, err := c.Servers(ctx)
	if err != nil {
		return err
	}
	var urls []string
	for _, s := range servers {
		if d.PredictionServer == "" || d.PredictionServer == s.ID {
			urls = append(urls, s.URL+"/v2/models/"+g.Name)
		}
	}
	return p.printFields(append(deploymentFields(d), [2]string{"predictions", strings.Join(urls, " ")}))
}

// deploymentFields are what people see of a deployment.
func deploymentFields(d worker.DeploymentView) [][2]string {
	failure := ""
	if f := d.LastFailure; f != nil {
		failure = fmt.Sprintf("%s: %s (%s)", f.Code, f.Message, f.At.Format(time.RFC3339))
	}
	return [][2]string{
		{"name", string(d.Name)},
		{"label", d.Label},
		{"description", text(d.Description)},
		{"importance", string(d.Importance)},
		{"status", string(d.Status)},
		{"model", describe(d.Model)},
		{"contract", source(d.Model)},
		{"target", describe(d.Target)},
		{"previous", describe(d.Previous)},
		{"prediction server", d.PredictionServer},
		{"last failure", failure},
		{"target drift", strconv.FormatBool(d.DriftTracking.TargetDrift.Enabled)},
		{"feature drift", strconv.FormatBool(d.DriftTracking.FeatureDrift.Enabled)},
		{"revision", strconv.FormatUint(d.Revision, 10)},
		{"created", stamp(d.CreatedAt, d.CreatedBy)},
		{"updated", stamp(d.UpdatedAt, d.UpdatedBy)},
	}
}

type serversCmd struct{}

// Run lists the prediction servers that are live.
func (serversCmd) Run(ctx context.Context, p *program) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return showServers(ctx, p, c)
}

func showServers(ctx context.Context, p *program, c *client.Client) error {
	servers, err := c.Servers(ctx)
	if err != nil {
		return err
	}
	return show(p, servers, "ID URL FORMATS STARTED", func(s serving.Server) []string {
		formats := make([]string, len(s.Formats))
		for i, f := range s.Formats {
			formats[i] = string(f)
		}
		return []string{s.ID, s.URL, strings.Join(formats, ","), s.StartedAt.Format(time.RFC3339)}
	})
}

// show lists values, a row each.
func show[T any](p *program, values []T, header string, row func(T) []string) error {
	if p.output == "json" {
		return p.printJSON(values)
	}
	rows := make([][]string, len(values))
	for i, value := range values {
		rows[i] = row(value)
	}
	return p.printTable(header, rows)
}

func modelID(m *deployment.ModelRef) string {
	if m == nil {
		return "-"
	}
	return string(m.ID)
}

func describe(m *deployment.ModelRef) string {
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%s (%s, %d bytes, %s)", m.ID, cmp.Or(m.Type, string(m.Format)), m.Size, m.Digest)
}

// source is where the model was deployed from, if it has a contract.
func source(m *deployment.ModelRef) string {
	if m == nil || m.Contract == nil {
		return ""
	}
	c := m.Contract
	at := cmp.Or(c.Repository, "object store")
	if c.Path != "" {
		at += ", " + c.Path
	}
	if c.Commit != "" {
		at += " at " + c.Commit
	}
	if c.Branch != "" {
		at += " of " + c.Branch
	}
	return at
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func stamp(at time.Time, by string) string { return at.Format(time.RFC3339) + " by " + by }

package client

import (
	"context"
	"maps"
	"slices"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/serving"
	"github.com/slipway-ml/slipway/worker"
)

// Get is a deployment. Its error is an *Error with deployment_not_found when
// there is none of that name, or none any more (datarobot.md R6).
func (c *Client) Get(ctx context.Context, name string) (d worker.DeploymentView, err error) {
	if _, err := deployment.ParseName(name); err != nil {
		return d, refused("get", name, deployment.Reject(deployment.CodeInvalidName, "subject", "%v", err))
	}
	bucket, err := jetstream.OpenBucket[worker.DeploymentView](ctx, c.JetStream, jetstream.DeploymentsBucket)
	if err != nil {
		return d, err
	}
	d, revision, err := bucket.Load(ctx, name)
	if err == nil && (revision == 0 || !d.Exists()) {
		return worker.DeploymentView{}, refused("get", name, deployment.Reject(deployment.CodeDeploymentNotFound, "", "deployment %q does not exist", name))
	}
	return d, err
}

// History is which models have served a deployment, the newest first, from the
// ledger (datarobot.md R16); also of one that was deleted. Its error is an *Error
// with deployment_not_found when there has never been one of that name.
func (c *Client) History(ctx context.Context, name string) ([]deployment.Served, error) {
	if _, err := deployment.ParseName(name); err != nil {
		return nil, refused("history", name, deployment.Reject(deployment.CodeInvalidName, "subject", "%v", err))
	}
	history, err := worker.ReadHistory(ctx, c.Ledger, name)
	if err != nil {
		return nil, err
	}
	if len(history.Served) == 0 {
		return []deployment.Served{}, c.hasBeen(ctx, "history", name)
	}
	slices.Reverse(history.Served)
	return history.Served, nil
}

// Versions are the versions of a deployment, the newest first, from the ledger
// (deeploy.md D22): each change of the model that it serves, and those that failed;
// also of one that was deleted. Its error is as that of History.
func (c *Client) Versions(ctx context.Context, name string) ([]deployment.Version, error) {
	if _, err := deployment.ParseName(name); err != nil {
		return nil, refused("versions", name, deployment.Reject(deployment.CodeInvalidName, "subject", "%v", err))
	}
	versions, err := worker.ReadVersions(ctx, c.Ledger, name)
	if err != nil {
		return nil, err
	}
	if len(versions) == 0 {
		return versions, c.hasBeen(ctx, "versions", name)
	}
	slices.Reverse(versions)
	return versions, nil
}

// hasBeen tells a deployment that never served from one that never was.
func (c *Client) hasBeen(ctx context.Context, asked, name string) error {
	last, err := c.Ledger.Last(ctx, jetstream.Fence(string(deployment.KindDeployment), name))
	if err != nil {
		return err
	}
	var data worker.Data
	if last.Sequence > 0 {
		if _, data, err = worker.ReadEvent(last); err != nil {
			return err
		}
	}
	if data.Deployment == nil {
		return refused(asked, name, deployment.Reject(deployment.CodeDeploymentNotFound, "", "deployment %q has never been", name))
	}
	return nil
}

// List is a page of the deployments that there are or, with q.Deleted, were. A
// wrong query is an *Error that names the field.
func (c *Client) List(ctx context.Context, q Query) (Page, error) {
	if r := q.Check(); r != nil {
		return Page{}, refused("list", "deployments", r)
	}
	all, err := values[worker.DeploymentView](ctx, c, jetstream.DeploymentsBucket)
	if err != nil {
		return Page{}, err
	}
	return q.Page(all), nil
}

// Models are the registered models, by id.
func (c *Client) Models(ctx context.Context) ([]worker.ModelView, error) {
	return values[worker.ModelView](ctx, c, jetstream.ModelsBucket)
}

// Servers are the prediction servers that are live, by id (datarobot.md R2).
func (c *Client) Servers(ctx context.Context) ([]serving.Server, error) {
	return values[serving.Server](ctx, c, jetstream.ServersBucket)
}

// values are the values of a bucket in the order of their keys.
func values[T any](ctx context.Context, c *Client, name string) ([]T, error) {
	bucket, err := jetstream.OpenBucket[T](ctx, c.JetStream, name)
	if err != nil {
		return nil, err
	}
	all, err := bucket.List(ctx, "")
	if err != nil {
		return nil, err
	}
	sorted := make([]T, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, all[key])
	}
	return sorted, nil
}

package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
)

// Upload puts a model file into the artifacts object store, under its digest, and
// returns what names it in the facts of a model. A file that is there already is
// not sent again. sending, unless it is nil, is called before a file is sent.
func (c *Client) Upload(ctx context.Context, file io.ReadSeeker, sending func(deployment.Artifact)) (deployment.Artifact, error) {
	a, err := describe(file)
	if err != nil {
		return a, err
	}
	objects, err := jetstream.OpenObjects(ctx, c.JetStream)
	if err != nil {
		return a, err
	}
	switch size, err := objects.Size(ctx, a.Object); {
	case err == nil && size == a.Size:
		return a, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return a, err
	}
	if sending != nil {
		sending(a)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return a, fmt.Errorf("upload %s: %w", a.Digest, err)
	}
	return a, objects.Put(ctx, a.Object, file)
}

// describe is what names the file in the object store.
func describe(file io.ReadSeeker) (a deployment.Artifact, err error) {
	sum := sha256.New()
	if a.Size, err = io.Copy(sum, file); err != nil {
		return a, fmt.Errorf("read model file: %w", err)
	}
	a.Digest = deployment.DigestOf(sum.Sum(nil))
	a.Object = artifacts.ObjectName(a.Digest)
	return a, nil
}

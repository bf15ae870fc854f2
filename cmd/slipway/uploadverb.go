package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/deployment"
)

type uploadCmd struct {
	Path string `arg:"" help:"Model file, or folder of files."`
	Name string `help:"What the names of the objects begin with, e.g. run-42. Default: they are named after what is in them." placeholder:"PREFIX"`
}

// Run puts files into the artifacts object store and shows what names them there.
func (u *uploadCmd) Run(ctx context.Context, p *program) error {
	c, err := p.client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	files, err := p.uploadPath(ctx, c, u.Path, u.Name)
	if err != nil {
		return err
	}
	if p.output == "json" {
		return p.printJSON(files)
	}
	rows := make([][]string, len(files))
	for i, file := range files {
		rows[i] = []string{file.Object, string(file.Digest), strconv.FormatInt(file.Size, 10)}
	}
	return p.printTable("OBJECT DIGEST SIZE", rows)
}

// uploadPath uploads what is at path, and shows how far it is.
func (p *program) uploadPath(ctx context.Context, c *client.Client, path, prefix string) ([]deployment.UploadedFile, error) {
	show := p.meter(path)
	defer show.end()
	files, err := c.UploadPath(ctx, path, prefix, show.progress)
	if _, wrong := errors.AsType[*client.FileError](err); wrong {
		return nil, exitf(exitUsage, "%w", err)
	}
	return files, err
}

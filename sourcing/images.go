package sourcing

import (
	"context"
	"errors"
	"slices"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// Images finds out what the names of container images mean; *oci.Registries is
// one. The paths of its findings are below that of the image's reference.
type Images interface {
	Resolve(ctx context.Context, image, credentialsID string) (deployment.Digest, error)
}

// image is a container image in the reference of a part.
type image struct {
	part          string
	at            string // the reference, in the repository
	member        string // of the reference
	name          string
	credentialsID string
}

// imageOf is the image that a part is, or nil.
func imageOf(p *contract.Part) *image {
	switch {
	case p == nil || p.Reference == nil:
		return nil
	case p.Reference.Docker != nil:
		return &image{member: "docker", name: p.Reference.Docker.Image, credentialsID: p.Reference.Docker.CredentialsID}
	case p.Reference.AzureML != nil:
		return &image{member: "azureML", name: p.Reference.AzureML.Image}
	default:
		return nil
	}
}

// imagesOf are the images of those parts of the contract that count.
func imagesOf(at contract.Path, c contract.Contract, types contract.Types) (images []image) {
	for _, p := range []struct {
		name   string
		part   *contract.Part
		counts bool
	}{
		{"model", &c.Model, true},
		{"explainer", c.Explainer, types.Explainer != contract.NoExplainer},
		{"transformer", c.Transformer, types.Transformer != contract.NoTransformer},
	} {
		if i := imageOf(p.part); i != nil && p.counts {
			i.part, i.at = p.name, reference(at, p.name, i.member)
			images = append(images, *i)
		}
	}
	return images
}

// images asks the registries of all images. No image runs here, so a registry
// that cannot be asked is not waited for: the contract is refused in any case,
// and the check says what is not known.
func (c *Contracts) images(ctx context.Context, named []image, progress func(string)) (looked []deployment.Image, err error) {
	if c.Images == nil || len(named) == 0 {
		return nil, nil
	}
	progress("looking up images")
	for _, i := range named {
		one := deployment.Image{Part: i.part, Name: i.name}
		one.Digest, err = c.Images.Resolve(ctx, i.name, i.credentialsID)
		refused, wrong := errors.AsType[*deployment.Rejection](err)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case wrong:
			for _, f := range slices.Clone(refused.Findings) {
				f.Path = i.at + "." + f.Path
				one.Refused = append(one.Refused, f)
			}
		case err != nil:
			one.Unknown = err.Error()
		}
		looked = append(looked, one)
	}
	return looked, nil
}

package client

import (
	"crypto/rand"
	"strings"

	"github.com/slipway-ml/slipway/actors"
	"github.com/slipway-ml/slipway/events"
)

// forActor has the request say for whom it is sent and, if there is a seed, has it
// signed with that. What is signed names an actor: its source, if there is no
// other. wipe is to be called once the request is an event.
func (c *Client) forActor(r *events.Request, actor string) (wipe func(), err error) {
	if actor == "" && c.SeedFile != "" {
		actor = r.Source
	}
	if actor != "" {
		r.AuthType, r.AuthID = "user", actor
	}
	if c.SeedFile == "" {
		return func() {}, nil
	}
	pair, err := actors.ReadSeed(c.SeedFile)
	if err != nil {
		return nil, err
	}
	r.Signer = pair
	return pair.Wipe, nil
}

func newID() string { return strings.ToLower(rand.Text()) }

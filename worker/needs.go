package worker

import (
	"context"
	"slices"
	"time"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
)

// Needs is which artifacts the ledger needs, up to a position. The zero value is
// that of no events.
type Needs struct {
	position    uint64
	watermarks  map[string]uint64 // by fence
	deployments map[string]*lineage
	registered  map[deployment.Digest]deployment.Name // models that were registered for their own sake
}

// lineage is what one deployment has served and is about to serve.
type lineage struct {
	served []deployment.Digest // of the deployment that has the name now, each once, what served last at the end
	newest []*deployment.ModelRef
}

// Read adds what the ledger says that is new. An event that cannot be read is an
// error: nobody knows what it needs.
func (n *Needs) Read(ctx context.Context, ledger *jetstream.Ledger) (err error) {
	if n.watermarks == nil {
		n.watermarks, n.deployments, n.registered = map[string]uint64{}, map[string]*lineage{}, map[deployment.Digest]deployment.Name{}
	}
	failed := decoded(ctx, ledger, n.position+1, func(m jetstream.Message, typ events.Type, data Data, unreadable error) {
		if err == nil {
			err = unreadable
		}
		if err == nil {
			n.add(m, typ, data)
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

func (n *Needs) add(m jetstream.Message, typ events.Type, data Data) {
	if m.Sequence <= n.position {
		return
	}
	n.position = m.Sequence
	kind, name, _, _, _ := jetstream.ParseEventSubject(m.Subject)
	n.watermarks[NewAddress(deployment.Kind(kind), name).Fence] = data.Ledger.Watermark
	if deployment.Kind(kind) != deployment.KindDeployment {
		if r := data.Registered; r != nil {
			n.registered[r.Artifact.Digest] = r.ID
		}
		return
	}
	d := n.deployments[name]
	if d == nil {
		d = &lineage{}
		n.deployments[name] = d
	}
	d.newest = nil
	for _, state := range []*deployment.State{data.Deployment, data.Ledger.Committed} {
		if state.Exists() {
			d.newest = append(d.newest, state.Model, state.Target, state.Previous)
		}
	}
	if typ.Outcome != events.Completed {
		return
	}
	switch s := data.Deployment; {
	case !s.Exists():
		d.served = nil
	case s.Model != nil:
		is := func(digest deployment.Digest) bool { return digest == s.Model.Digest }
		d.served = append(slices.DeleteFunc(d.served, is), s.Model.Digest)
	}
}

// Unfinished is when the oldest command was stored that has no outcome yet, by
// what was read; the zero time when all have one.
func (n *Needs) Unfinished(ctx context.Context, commands *jetstream.Commands) (time.Time, error) {
	var oldest uint64
	if err := commands.Each(ctx, func(subject string, sequence uint64) {
		who, _ := AddressOf(subject)
		if oldest == 0 && sequence > n.watermarks[who.Fence] {
			oldest = sequence
		}
	}); err != nil || oldest == 0 {
		return time.Time{}, err
	}
	command, err := commands.At(ctx, oldest)
	return command.Time, err
}

// Artifacts are the digests that are needed, each with why: of the models that
// were registered, of what every deployment serves, served before that, and is
// about to serve, and of its newest versions, as many as that.
func (n *Needs) Artifacts(versions int) map[deployment.Digest]string {
	needed := make(map[deployment.Digest]string)
	for digest, id := range n.registered {
		needed[digest] = "registered as " + string(id)
	}
	for name, d := range n.deployments {
		for _, digest := range d.served[max(0, len(d.served)-versions):] {
			needed[digest] = "a newest version of " + name
		}
		for _, ref := range d.newest {
			if ref != nil {
				needed[ref.Digest] = "in the state of " + name
			}
		}
	}
	return needed
}

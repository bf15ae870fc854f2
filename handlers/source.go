package handlers

import (
	"path"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// chosen is the model of a choice.
type chosen struct {
	model      deployment.Model
	ref        deployment.ModelRef
	registered *deployment.Model          // the model, if the command brings it in
	checks     deployment.Checks          // of where it comes from
	unwritten  *deployment.Reading        // of the contract, if it has to be written before the model is served
	contract   *deployment.ContractChange // what was, or is to be, written
}

// unread is the contract that has to be read before the model of the choice is
// known, or nil. current is the model that serves, nil if there is none. Its
// error says what of the source does not go together.
func (c ModelChoice) unread(facts deployment.Facts, current *deployment.ModelRef) (*deployment.Reading, error) {
	if c.Source == nil || facts.Sourced != nil {
		return nil, nil
	}
	if r := deployment.RejectAll(deployment.InvalidData, c.Source.Check()); r != nil {
		return nil, r
	}
	return c.reading(current), nil
}

func (c ModelChoice) reading(current *deployment.ModelRef) *deployment.Reading {
	reading := &deployment.Reading{Source: *c.Source}
	if current != nil {
		reading.Recorded = current.Contract
		if reading.Source.Target == "" { // a contract does not say it, so it cannot mean another
			reading.Source.Target = current.Target.Name
		}
	}
	return reading
}

// sourced is the model of a contract that was read. A contract that has to be
// written has its commit only then.
func (c ModelChoice) sourced(facts deployment.Facts, current *deployment.ModelRef) (chosen, error) {
	s := *facts.Sourced
	out := chosen{checks: deployment.CheckSourced(s), contract: s.Change}
	if r := s.Rejection(); r != nil {
		return out, r
	}
	out.model = *s.Model
	out.model.ID = out.model.ContentID()
	out.registered = &out.model
	switch written := facts.Written; {
	case written != nil:
		s.Contract.Branch, s.Contract.Commit, s.Contract.Message = written.Branch, written.Commit, deployment.Headline(written.Message)
		out.contract = written
	case !s.Change.Empty():
		out.unwritten = c.reading(current)
	}
	out.ref = out.model.Ref().From(&s.Contract)
	return out, nil
}

// sourcePath is where a command with a source, or its contract, has what a model
// has at p, which begins with "model".
func sourcePath(s deployment.Source, p string) string {
	metadata := path.Join(s.ContractPath, "metadata.json") + "#"
	if len(s.Metadata) > 0 {
		metadata = "source.metadata."
	}
	switch {
	case strings.HasPrefix(p, "model.features"):
		return metadata + "features"
	case strings.HasPrefix(p, "model.target"):
		return metadata + "problemType"
	default:
		return "source"
	}
}

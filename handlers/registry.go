// Package handlers holds the operations: one file each, with the data of its
// command and the pure decision what the command comes to. To add an operation,
// write its file, its schemas, and one line in All.
package handlers

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

//go:generate go run ../cmd/eventdocs -o ../docs/events.md

// All are the operations, in the order in which documents list them.
func All() []Operation {
	return []Operation{
		register(),
		deploy(),
		update(),
		drift(),
		replace(),
		rollback(),
		rename(),
		validate(),
		deactivate(),
		activate(),
		remove(),
		cancel(),
	}
}

// Operation is one thing that can be asked of a deployment or model.
type Operation struct {
	Kind    deployment.Kind
	Op      string // one subject token
	Purpose string // one sentence, for documents
	Example any    // data of a command, for documents and tests

	// Read reads the data of a command, once for all that is to be known of it.
	// Its error is a *deployment.Rejection.
	Read func(data json.RawMessage) (Asked, error)
}

// Asked is what one command asks for, as its data says.
type Asked struct {
	Names      deployment.Name // id of the registered model that it names, "" if none
	Source, ID string          // of the command that it is about, "" if none
	Server     string          // id of the prediction server that it names, "" if none
	Compares   bool            // the decision looks at the model that the deployment serves

	// Recalls returns the id of the earlier model of the deployment that it goes
	// back to, "" if there is none. Nil: it does not look at the history.
	Recalls func(before deployment.Subject, history []deployment.Served) deployment.Name

	// Decide is pure: the same input gives the same decision, and the input is
	// left as it was. Its error is a *deployment.Rejection.
	Decide func(deployment.Subject, deployment.Facts, deployment.Command) (deployment.Decision, error)
}

// payload is the data of a command.
type payload interface {
	names() deployment.Name
	// locate is where data has what a model has at path, which begins with "model".
	locate(path string) string
}

// recaller is the data of a command that may look at the deployment's history.
type recaller interface {
	looksBack() bool
	recalls(state *deployment.State, history []deployment.Served) deployment.Name
}

// aboutCommand is the data of a command that is about another command.
type aboutCommand interface {
	about() (source, id string)
}

// serverChoice is the data of a command that names a prediction server.
type serverChoice interface{ server() string }

// comparison is the data of a command whose decision may compare its model with
// the one that the deployment serves. Whether the sender may change the
// deployment is one of the checks then.
type comparison interface{ compares() bool }

// define makes an Operation of a decision over typed data.
func define[P payload](
	kind deployment.Kind, op, purpose string, example P,
	decide func(deployment.Subject, deployment.Facts, deployment.Command, P) (deployment.Decision, error),
) Operation {
	permitted := func(f deployment.Facts, c deployment.Command) *deployment.Rejection {
		if kind != deployment.KindDeployment {
			return nil
		}
		return f.Policy.Permit(c)
	}
	return Operation{
		Kind: kind, Op: op, Purpose: purpose, Example: example,
		Read: func(data json.RawMessage) (Asked, error) {
			var p P
			if err := json.Unmarshal(data, &p); err != nil {
				return Asked{}, deployment.Reject(deployment.CodeInvalidField, "", "read data of %s %s: %v", op, kind, err)
			}
			asked := asks(p)
			asked.Decide = func(s deployment.Subject, f deployment.Facts, c deployment.Command) (deployment.Decision, error) {
				refused := permitted(f, c)
				if refused != nil && !asked.Compares {
					return deployment.Decision{}, refused
				}
				decision, err := decide(s, f, c, p)
				if refused != nil && err != nil && len(decision.Checks) == 0 { // it did not come to the check
					return deployment.Decision{}, refused
				}
				if r, ok := errors.AsType[*deployment.Rejection](err); ok {
					err = relocate(p, r)
				}
				return decision, err
			}
			return asked, nil
		},
	}
}

// asks is what p asks for, without its decision.
func asks(p payload) Asked {
	asked := Asked{Names: p.names()}
	if c, ok := p.(aboutCommand); ok {
		asked.Source, asked.ID = c.about()
	}
	if c, ok := p.(serverChoice); ok {
		asked.Server = c.server()
	}
	if c, ok := p.(comparison); ok {
		asked.Compares = c.compares()
	}
	if r, ok := p.(recaller); ok && r.looksBack() {
		asked.Recalls = func(before deployment.Subject, history []deployment.Served) deployment.Name {
			return r.recalls(before.Deployment, history)
		}
	}
	return asked
}

func relocate(p payload, r *deployment.Rejection) *deployment.Rejection {
	located := *r
	located.Findings = slices.Clone(r.Findings)
	for i, finding := range located.Findings {
		if finding.Path == "model" || strings.HasPrefix(finding.Path, "model.") {
			located.Findings[i].Path = p.locate(finding.Path)
		}
	}
	return &located
}

// Find returns the operation that kind and op name.
func Find(operations []Operation, kind deployment.Kind, op string) (Operation, error) {
	known := ""
	for _, o := range operations {
		if o.Kind == kind && o.Op == op {
			return o, nil
		}
		known += fmt.Sprintf(" %s.%s", o.Kind, o.Op)
	}
	return Operation{}, deployment.Reject(deployment.CodeUnknownOperation, "", "operation %s.%s: expected one of%s", kind, op, known)
}

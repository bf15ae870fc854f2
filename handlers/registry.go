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

	// Names returns the id of the registered model that data names, "" if none.
	Names func(data json.RawMessage) (deployment.Name, error)

	// Recalls returns the id of the earlier model of the deployment that data goes
	// back to, "" if there is none. Nil: the operation does not look at the history.
	Recalls func(before deployment.Subject, data json.RawMessage) (deployment.Name, error)

	// About returns source and id of the command that data is about, "" if none.
	About func(data json.RawMessage) (source, id string, err error)

	// Server returns the id of the prediction server that data names, "" if none.
	Server func(data json.RawMessage) (string, error)

	// Compares says that the decision looks at the model that the deployment serves.
	Compares bool

	// Decide is pure: the same input gives the same decision, and the input is
	// left as it was. Its error is a *deployment.Rejection.
	Decide func(deployment.Subject, deployment.Facts, deployment.Command, json.RawMessage) (deployment.Decision, error)
}

// payload is the data of a command.
type payload interface {
	names() deployment.Name
	// locate is where data has what a model has at path, which begins with "model".
	locate(path string) string
}

// recaller is the data of a command that goes back in the deployment's history.
type recaller interface {
	recalls(state *deployment.State) deployment.Name
}

// aboutCommand is the data of a command that is about another command.
type aboutCommand interface {
	about() (source, id string)
}

// serverChoice is the data of a command that names a prediction server.
type serverChoice interface{ server() string }

// comparison is the data of a command whose decision compares its model with
// the one that the deployment serves. Whether the sender may change the
// deployment is one of the checks then.
type comparison interface{ compares() }

// define makes an Operation of a decision over typed data.
func define[P payload](
	kind deployment.Kind, op, purpose string, example P,
	decide func(deployment.Subject, deployment.Facts, deployment.Command, P) (deployment.Decision, error),
) Operation {
	read := func(data json.RawMessage) (p P, err error) {
		if err := json.Unmarshal(data, &p); err != nil {
			return p, deployment.Reject(deployment.CodeInvalidField, "", "read data of %s %s: %v", op, kind, err)
		}
		return p, nil
	}
	var recalls func(deployment.Subject, json.RawMessage) (deployment.Name, error)
	if _, ok := any(example).(recaller); ok {
		recalls = func(before deployment.Subject, data json.RawMessage) (id deployment.Name, err error) {
			p, err := read(data)
			if r, ok := any(p).(recaller); ok && err == nil {
				id = r.recalls(before.Deployment)
			}
			return id, err
		}
	}
	_, compares := any(example).(comparison)
	return Operation{
		Kind: kind, Op: op, Purpose: purpose, Example: example, Recalls: recalls, Compares: compares,
		Names: func(data json.RawMessage) (deployment.Name, error) {
			p, err := read(data)
			if err != nil {
				return "", err
			}
			return p.names(), nil
		},
		About: func(data json.RawMessage) (source, id string, err error) {
			p, err := read(data)
			if c, ok := any(p).(aboutCommand); ok && err == nil {
				source, id = c.about()
			}
			return source, id, err
		},
		Server: func(data json.RawMessage) (id string, err error) {
			p, err := read(data)
			if c, ok := any(p).(serverChoice); ok && err == nil {
				id = c.server()
			}
			return id, err
		},
		Decide: func(s deployment.Subject, f deployment.Facts, c deployment.Command, data json.RawMessage) (deployment.Decision, error) {
			p, err := read(data)
			if err != nil {
				return deployment.Decision{}, err
			}
			if kind == deployment.KindDeployment && !compares {
				if r := f.Policy.Permit(c); r != nil {
					return deployment.Decision{}, r
				}
			}
			decision, err := decide(s, f, c, p)
			if r, ok := errors.AsType[*deployment.Rejection](err); ok {
				err = relocate(p, r)
			}
			return decision, err
		},
	}
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

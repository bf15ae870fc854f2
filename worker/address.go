package worker

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
)

// Address is a thing with a history of its own in the ledger.
type Address struct {
	Kind   deployment.Kind
	Name   string // as the subject has it; may be no valid name
	Filter string // matches its commands
	Fence  string // matches its events
}

// kindInvalid is the kind of commands whose subject names nothing.
const kindInvalid deployment.Kind = "invalid"

// NewAddress is the address of a deployment or model.
func NewAddress(kind deployment.Kind, name string) Address {
	return Address{
		Kind: kind, Name: name,
		Filter: jetstream.CommandFilter(string(kind), name),
		Fence:  jetstream.Fence(string(kind), name),
	}
}

// AddressOf is what a command on subject is about. A subject that is not of the
// form slipway.commands.<kind>.<name>.<op> has a history of its own, so that
// what is published there ends in an event too.
func AddressOf(subject string) (who Address, op string) {
	kind, name, op, ok := jetstream.ParseCommandSubject(subject)
	switch deployment.Kind(kind) {
	case deployment.KindDeployment, deployment.KindModel:
		if ok {
			return NewAddress(deployment.Kind(kind), name), op
		}
	}
	sum := sha256.Sum256([]byte(subject))
	who = NewAddress(kindInvalid, strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:26])
	who.Filter = subject
	return who, ""
}

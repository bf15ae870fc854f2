package contract

import (
	"encoding/json"

	"github.com/slipway-ml/slipway/deployment"
)

// Given is what a command says of the parts of a contract: references as
// reference.json has them below "reference", and metadata as in metadata.json,
// in any spelling that those are read in. What is nil is not said.
type Given struct {
	Model       json.RawMessage
	Explainer   json.RawMessage
	Transformer json.RawMessage
	Metadata    json.RawMessage
}

// ReadGiven reads what is given as a change, and says everything that is wrong
// with it; at is the member of the command's data that holds it: "source". What
// could not be read is in the change as far as it could.
func ReadGiven(g Given, at string) (Change, []deployment.Finding) {
	var f findings
	reference := func(p part, text json.RawMessage) *Reference {
		if len(text) == 0 {
			return nil
		}
		path := at + "." + p.name
		v, err := parse(text)
		if err != nil {
			f.add(CodeInvalidReference, path, "is not JSON: %s", err)
			return &Reference{}
		}
		r := decodeReference(p, v, path, &f)
		return &r
	}
	ch := Change{
		Model:       reference(modelPart, g.Model),
		Explainer:   reference(explainerPart, g.Explainer),
		Transformer: reference(transformerPart, g.Transformer),
	}
	if len(g.Metadata) > 0 {
		m := readGivenMetadata(g.Metadata, at+".metadata", &f)
		ch.Metadata = &m
	}
	for i := range f {
		if f[i].Message == unknownMember { // of a command, as everywhere in it
			f[i].Code = deployment.CodeUnknownField
		}
	}
	return ch, f
}

func readGivenMetadata(text json.RawMessage, at string, f *findings) (out Metadata) {
	v, err := parse(text)
	if err != nil {
		f.add(CodeMetadataInvalid, at, "is not JSON: %s", err)
		return out
	}
	m := f.open(v, at, CodeMetadataInvalid, true)
	out = m.metadata()
	m.done()
	if v.kind == object && out.empty() && !f.has(at) && len(m.order) == 0 {
		f.add(CodeMetadataInvalid, at, "expected at least one member")
	}
	return out
}

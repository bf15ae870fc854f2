// Package contract reads, checks and writes the folders in which a repository
// describes a model: model/, explainer/, transformer/ and metadata.json
// (deeploy.md sections 4 to 6). It works on an fs.FS, so that a directory, a
// commit of a git repository and anything else that can be listed are the same
// to it. Start reading at Read; Plan is how a contract is changed.
package contract

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"

	"github.com/slipway-ml/slipway/deployment"
)

// Contract is what the files of one contract folder say.
type Contract struct {
	Model       Part      `json:"model"`
	Explainer   *Part     `json:"explainer,omitempty"`
	Transformer *Part     `json:"transformer,omitempty"`
	Metadata    *Metadata `json:"metadata,omitempty"`
}

// Part is where the model, the explainer or the transformer comes from.
// Exactly one member is set.
type Part struct {
	Reference *Reference `json:"reference,omitempty"` // what reference.json says
	File      *File      `json:"file,omitempty"`      // it is in the folder itself: model.<ext>, explainer.dill
}

// File is a serialised model or explainer that lies in its folder.
type File struct {
	Name   string            `json:"name"` // from the root of the repository: "sub_1/model/model.joblib"
	Digest deployment.Digest `json:"digest"`
	Size   int64             `json:"size"` // bytes
}

// Kind is the kind of the part's reference, or KindFile.
func (p Part) Kind() Kind {
	if p.Reference == nil {
		return KindFile
	}
	return p.Reference.Kind()
}

// Digest identifies what the contract says, down to the bytes of the files
// that lie in it. How its files spell it does not matter, and neither does
// where in the repository it is.
func (c Contract) Digest() deployment.Digest {
	c.Model = c.Model.placeless()
	for _, p := range []**Part{&c.Explainer, &c.Transformer} {
		if *p != nil {
			moved := (*p).placeless()
			*p = &moved
		}
	}
	sum := sha256.Sum256(encode(c))
	return deployment.DigestOf(sum[:])
}

// placeless is the part with a file name that does not say in which folder it is.
func (p Part) placeless() Part {
	if p.File == nil {
		return p
	}
	f := *p.File
	f.Name = base(f.Name)
	return Part{File: &f}
}

// encode writes a value as our files have it: one line, members in the order of
// the struct, nothing that is not set, a line feed last (deeploy.md D10). It
// panics when a raw member is not JSON: what was read is, and Change.Plan looks
// at what was not.
func encode(v any) []byte {
	b, err := tryEncode(v)
	if err != nil {
		panic(err)
	}
	return b
}

func tryEncode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // an image is named a&b, not a\u0026b
	err := e.Encode(v)
	return b.Bytes(), err
}

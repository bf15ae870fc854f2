package onnx

import (
	"cmp"
	"fmt"
)

// The versions of the standard that are known.
const (
	minIR      = 3 // the first that says which opsets a file uses
	maxIR      = 14
	minOpset   = 7
	maxOpset   = 28
	maxMLOpset = 5
)

// domainML is the domain of classical machine learning.
const domainML = "ai.onnx.ml"

// Read reads and checks a model file.
func Read(file []byte) (*Model, error) { return ReadWith(file, Limits{}) }

// ReadWith is Read with other limits for each run.
func ReadWith(file []byte, limits Limits) (*Model, error) {
	return readWith(file, limits, bestTiler())
}

func readWith(file []byte, limits Limits, tiles tiler) (*Model, error) {
	limits.Bytes = cmp.Or(limits.Bytes, defaultLimits.Bytes)
	limits.Steps = cmp.Or(limits.Steps, defaultLimits.Steps)
	if len(file) == 0 {
		return nil, wrong("the file is empty")
	}
	proto, err := readModel(file)
	if err != nil {
		return nil, err
	}
	if err := proto.check(); err != nil {
		return nil, err
	}
	b := &builder{
		proto: proto, ids: map[string]int{}, sides: map[sideKey]*rightSide{}, tiles: tiles, steps: int64(len(file))*64 + 1<<20, bytes: int64(len(file))*4 + 1<<20,
		m: &Model{limits: limits, producer: proto.producer, metadata: proto.metadata},
	}
	if err := b.build(); err != nil {
		return nil, err
	}
	b.m.plan()
	b.m.count()
	return b.m, nil
}

// check looks at the versions.
func (m *modelProto) check() error {
	var found UnsupportedError
	switch {
	case !m.hasGraph && m.ir == 0:
		return wrong("not an ONNX model: it has neither an ir_version nor a graph")
	case !m.hasGraph:
		return under("graph", wrong("is missing"))
	case m.ir < 1:
		return wrong("ir_version %d: expected %d to %d", m.ir, minIR, maxIR)
	case m.ir < minIR || m.ir > maxIR:
		found.add(Unsupported{
			Feature: fmt.Sprintf("IR version %d", m.ir),
			Advice:  fmt.Sprintf("save the model with IR version %d to %d", minIR, maxIR),
		})
	}
	for domain, most := range map[string]int64{"": maxOpset, domainML: maxMLOpset} {
		least := int64(1)
		if domain == "" {
			least = minOpset
		}
		if version, imported := m.opsets[domain]; imported && (version < least || version > most) {
			found.add(Unsupported{
				Feature: fmt.Sprintf("opset %d of domain %s", version, cmp.Or(domain, "ai.onnx")),
				Advice:  fmt.Sprintf("export for opset %d to %d, or convert with onnx.version_converter", least, most),
			})
		}
	}
	return found.err()
}

// count sums up what the model occupies.
func (m *Model) count() {
	for _, v := range m.values {
		m.bytes += 128 + int64(len(v.name))
		if v.constant != nil {
			m.bytes += int64(v.constant.bytes())
		}
	}
	m.bytes += int64(len(m.steps)) * 256
}

// check compares the inputs of a run with what the model declares.
func (m *Model) check(inputs []*Tensor) error {
	if len(inputs) != len(m.inputs) {
		return fmt.Errorf("expected %d inputs, got %d", len(m.inputs), len(inputs))
	}
	for i, in := range m.inputs {
		if err := in.check(inputs[i]); err != nil {
			return err
		}
		for j := range in.named {
			if in.named[j] == "" {
				continue
			}
			if err := m.sameSize(inputs, i, j); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in Value) check(t *Tensor) error {
	if t == nil {
		return &InputError{in.Name, "is missing"}
	}
	if t.typ != in.Type {
		return &InputError{in.Name, fmt.Sprintf("expected a tensor of %v, got %v", in.Type, t.typ)}
	}
	if in.Shape == nil {
		return nil
	}
	ok := len(t.shape) == len(in.Shape)
	for j := 0; ok && j < len(in.Shape); j++ {
		ok = in.Shape[j] < 0 || in.Shape[j] == t.shape[j]
	}
	if !ok {
		return &InputError{in.Name, fmt.Sprintf("expected shape %v, got %v", in.Shape, t.shape)}
	}
	return nil
}

// sameSize compares dimension j of input i with the dimensions of the same name of
// the inputs before it.
func (m *Model) sameSize(inputs []*Tensor, i, j int) error {
	name := m.inputs[i].named[j]
	for k := range i {
		for l, other := range m.inputs[k].named {
			if other == name && inputs[k].shape[l] != inputs[i].shape[j] {
				return &InputError{m.inputs[i].Name, fmt.Sprintf("dimension %d (%s) is %d: expected %d as in input %s",
					j, name, inputs[i].shape[j], inputs[k].shape[l], m.inputs[k].Name)}
			}
		}
	}
	return nil
}

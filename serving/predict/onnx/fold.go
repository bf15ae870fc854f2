package onnx

import (
	"errors"
	"slices"
)

// addOutputs adds the values that a node makes: constants if all it works on is
// known, otherwise a step.
func (b *builder) addOutputs(name string, proto *nodeProto, n *node, k kernel, in []int, refused bool) error {
	if len(proto.outputs) == 0 {
		return wrong("it has no outputs")
	}
	if !refused && len(proto.outputs) > len(n.out) {
		return wrong("%d outputs: expected at most %d", len(proto.outputs), len(n.out))
	}
	var known []*Tensor
	if !refused {
		var err error
		if known, err = b.fold(n, k); err != nil {
			return err
		}
	}
	s := step{name: name, kernel: k, in: in, shares: n.shares, inPlace: n.inPlace, floor: n.floor, relu: n.op == "Relu" && n.domain == "" && n.typeIn(0) == Float32}
	for i, out := range proto.outputs {
		v := value{name: out}
		if !refused {
			v.typ = n.out[i]
			v.labels, v.isMap = b.labels(n, in, i)
		}
		if known != nil {
			v.constant = known[i]
		}
		id, err := b.define(v)
		if err != nil {
			return err
		}
		s.out = append(s.out, id)
	}
	for i := len(proto.outputs); !refused && i < len(n.out); i++ { // those that nobody wants
		id, err := b.define(value{typ: n.out[i]})
		if err != nil {
			return err
		}
		s.out = append(s.out, id)
	}
	if refused || known != nil {
		return nil
	}
	for i := range s.in {
		if i < len(n.dropped) && n.dropped[i] {
			s.in[i] = -1
		}
	}
	if n.inputLabels != nil {
		b.m.values[in[0]].labels = n.inputLabels
	}
	b.m.trees += n.trees
	b.m.bytes += n.bytes
	b.m.steps = append(b.m.steps, s)
	return nil
}

// labels are those of the columns of output i.
func (b *builder) labels(n *node, in []int, i int) (labels *Tensor, isMap bool) {
	switch {
	case n.op == "ZipMap":
		return n.labels, true
	case n.labels != nil && i == n.labelled:
		return n.labels, false
	case n.keepsLabels && i == 0 && in[0] >= 0:
		return b.m.values[in[0]].labels, false
	}
	return nil, false
}

// fold carries out a node whose inputs are all known, if that takes no more than
// the file is worth.
func (b *builder) fold(n *node, k kernel) ([]*Tensor, error) {
	for i := range n.in {
		if n.in[i] != 0 && n.consts[i] == nil {
			return nil, nil
		}
	}
	s := &Session{m: &Model{limits: Limits{Bytes: b.bytes, Steps: b.steps}}, buffers: make([]buffer, len(n.out))}
	r := &run{s: s, in: slices.Clone(n.consts)}
	for i := range r.in {
		if i < len(n.dropped) && n.dropped[i] {
			r.in[i] = nil
		}
	}
	for i, t := range n.out {
		r.out, r.to = append(r.out, &Tensor{typ: t}), append(r.to, i)
	}
	err := k(r)
	if _, over := errors.AsType[*LimitError](err); over {
		return nil, nil
	}
	if err != nil {
		return nil, wrong("%v", err)
	}
	b.bytes, b.steps = b.bytes-s.bytes, b.steps-s.work
	return r.out, nil
}

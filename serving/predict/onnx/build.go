package onnx

import (
	"errors"
	"fmt"
	"math"
)

// builder makes a model of a graph, node by node: it knows the type of every value
// before it is used, so that whatever is not supported is found here and not at
// the first request (serving.md section 4, rule 1).
type builder struct {
	proto *modelProto
	m     *Model
	ids   map[string]int // of the values by name
	found UnsupportedError

	// Constant matrices that were prepared: a file may use one any number of times.
	sides map[sideKey]*rightSide
	tiles tiler

	// What may still be spent on values that are known now.
	steps, bytes int64
}

func (b *builder) build() error {
	g := &b.proto.graph
	for i, t := range g.initializers {
		if err := b.addInitializer(t); err != nil {
			return underIndex("graph.initializer", i, err)
		}
	}
	for i, in := range g.inputs {
		if err := b.addInput(in); err != nil {
			return underIndex("graph.input", i, err)
		}
	}
	for i := range g.nodes {
		if err := b.addNode(i, &g.nodes[i]); err != nil {
			return under(g.nodes[i].path(i), err)
		}
	}
	if len(g.outputs) == 0 {
		return under("graph.output", wrong("is missing"))
	}
	for i, out := range g.outputs {
		if err := b.addOutput(out); err != nil {
			return underIndex("graph.output", i, err)
		}
	}
	if err := b.found.err(); err != nil {
		return err
	}
	for i := range b.m.inputs {
		b.finishInput(&b.m.inputs[i])
	}
	return nil
}

// collect notes what is not supported and returns every other error.
func (b *builder) collect(err error) error {
	refused, ok := errors.AsType[*UnsupportedError](err)
	if !ok {
		return err
	}
	for _, f := range refused.Features {
		b.found.add(f)
	}
	return nil
}

// define makes a new value.
func (b *builder) define(v value) (int, error) {
	if _, twice := b.ids[v.name]; twice && v.name != "" {
		return 0, wrong("%.80q is defined twice", v.name)
	}
	id := len(b.m.values)
	if id == maxValues {
		return 0, wrong("more than %d values", maxValues)
	}
	v.root, v.buffer = id, -1
	b.m.values = append(b.m.values, v)
	if v.name != "" {
		b.ids[v.name] = id
	}
	return id, nil
}

func (b *builder) addInitializer(proto *tensorProto) error {
	if proto.name == "" {
		return under("name", wrong("is missing"))
	}
	t, err := proto.tensor()
	if err != nil {
		if err = b.collect(err); err != nil {
			return err
		}
	}
	v := value{name: proto.name, typ: proto.typ, constant: t}
	_, err = b.define(v)
	return err
}

// addInput adds an input, unless it is the declaration of an initializer
// (serving.md section 4, rule 2).
func (b *builder) addInput(in valueInfo) error {
	if id, known := b.ids[in.name]; known {
		if b.m.values[id].constant == nil {
			return wrong("%.80q is defined twice", in.name)
		}
		return nil
	}
	if len(b.m.inputs) == maxInputs {
		return wrong("more than %d inputs", maxInputs)
	}
	t := in.typ
	switch {
	case t.kind == 'm' && (t.elem == Float32 || t.elem == Float64 || t.elem == Int64):
	case t.kind == 't' && t.elem == 0:
		return under("type", wrong("%.80q: elem_type: is missing", in.name))
	case t.kind == 't' && t.elem.size() > 0:
	case t.kind == 't':
		b.found.add(unsupportedFeature(unsupportedType(t.elem)))
	case t.kind == 0:
		return under("type", wrong("%.80q: is missing", in.name))
	default:
		b.found.add(Unsupported{Feature: "inputs that are sequences, optional or sparse", Advice: "give the model tensors as inputs"})
	}
	id, err := b.define(value{name: in.name, typ: t.elem, isMap: t.kind == 'm'})
	if err != nil {
		return err
	}
	v := Value{Name: in.name, Type: t.elem, id: id}
	v.declare(t)
	b.m.inputs = append(b.m.inputs, v)
	return nil
}

func unsupportedFeature(err error) Unsupported {
	refused, ok := errors.AsType[*UnsupportedError](err)
	if !ok {
		panic(err)
	}
	return refused.Features[0]
}

// declare takes over the declared shape.
func (v *Value) declare(t typeProto) {
	if !t.hasShape {
		return
	}
	v.Shape, v.named = make([]int, len(t.shape)), make([]string, len(t.shape))
	for i, dim := range t.shape {
		v.Shape[i] = dim.size
		if dim.size < 0 {
			v.named[i] = dim.name
		}
	}
}

// finishInput gives an input that is a map its columns.
func (b *builder) finishInput(in *Value) {
	v := &b.m.values[in.id]
	if v.isMap && v.labels != nil {
		in.Labels = v.labels
		in.Shape, in.named = []int{-1, v.labels.n}, []string{"", ""}
	}
}

func (b *builder) addOutput(out valueInfo) error {
	id, known := b.ids[out.name]
	if !known {
		if len(b.found.Features) > 0 {
			return nil // a node that is not supported makes it
		}
		return wrong("%.80q: no node makes it", out.name)
	}
	v := &b.m.values[id]
	if out.typ.kind == 't' && out.typ.elem != 0 && out.typ.elem != v.typ && v.typ != 0 {
		return wrong("%.80q: declared as a tensor of %v, is one of %v", out.name, out.typ.elem, v.typ)
	}
	o := Value{Name: out.name, Type: v.typ, Labels: v.labels, id: id}
	if out.typ.kind == 't' {
		o.declare(out.typ)
	}
	if v.isMap && v.labels != nil {
		o.Shape = []int{-1, v.labels.n}
	}
	b.m.outputs = append(b.m.outputs, o)
	return nil
}

// addNode finds the operator, builds its kernel and adds its outputs.
func (b *builder) addNode(i int, proto *nodeProto) error {
	n := &node{op: proto.op, domain: proto.domain, attrs: proto.attributes, tiles: b.tiles, sides: b.sides}
	in := make([]int, len(proto.inputs))
	maps, unknown := false, false
	for i, name := range proto.inputs {
		if name == "" {
			in[i] = -1
			n.in, n.consts = append(n.in, 0), append(n.consts, nil)
			continue
		}
		id, known := b.ids[name]
		if !known {
			return wrong("input %d %.80q: no node before it makes it", i, name)
		}
		v := &b.m.values[id]
		in[i] = id
		n.in, n.consts = append(n.in, v.typ), append(n.consts, v.constant)
		maps = maps || v.isMap
		unknown = unknown || v.typ.size() == 0
	}
	for _, name := range proto.outputs {
		n.wanted = append(n.wanted, name != "")
	}
	k, err := b.kernel(n, len(proto.inputs), unknown)
	if err == nil && maps && n.op != "DictVectorizer" {
		err = unsupported("leave the ZipMap out: options={id(model): {'zipmap': False}}", "maps as inputs of %s", n.title())
	}
	refused := err != nil
	if err != nil {
		if err = b.collect(err); err != nil {
			return err
		}
	}
	return b.addOutputs(fmt.Sprintf("%s node %d", proto.op, i), proto, n, k, in, refused || unknown)
}

// kernel is that of the node. What is of no use is that of a node whose inputs are
// not supported.
func (b *builder) kernel(n *node, inputs int, unknown bool) (kernel, error) {
	op, err := b.operator(n)
	if err != nil || unknown {
		return nil, err
	}
	for i := range n.attrs {
		a := &n.attrs[i]
		if a.ref != "" || a.graphs > 0 || a.tensors > 0 {
			n.refuse("export the model without it", "attribute %s", a.name)
		}
	}
	if n.err != nil {
		return nil, n.err
	}
	if inputs < op.inputs[0] || op.inputs[1] >= 0 && inputs > op.inputs[1] {
		return nil, wrong("%d inputs: expected %s", inputs, op.arity())
	}
	k, err := op.build(n)
	if err != nil {
		return nil, err
	}
	for i := range n.attrs {
		if a := &n.attrs[i]; !a.used {
			n.refuse("export the model without it", "attribute %s", a.name)
			return nil, n.err
		}
	}
	return k, nil
}

// operator is what the node's operator means in the opset that the file imports.
func (b *builder) operator(n *node) (*operator, error) {
	version, imported := b.proto.opsets[n.domain]
	op, known := operators[n.domain+"."+n.op]
	switch {
	case !imported && known:
		return nil, wrong("the file does not import an opset of domain %s", nameOf(n.domain))
	case !known:
		n.version = int(min(max(version, 0), math.MaxInt32))
		return nil, unsupported(adviceFor(n.domain, n.op), "%s", n.title())
	}
	for _, since := range op.versions {
		if int64(since) <= version {
			n.version = since
		}
	}
	if n.version == 0 {
		n.version = int(version)
		return nil, unsupported(fmt.Sprintf("export for opset %d or newer", op.versions[0]), "%s", n.title())
	}
	return op, nil
}

func nameOf(domain string) string {
	if domain == "" {
		return "ai.onnx"
	}
	return domain
}

package onnx

import (
	"fmt"
)

// What a file may have at most. A model that people serve is far below; a file
// that is above is made to be slow.
const (
	maxNodes      = 1 << 16
	maxValues     = 1 << 18 // names of all kinds
	maxDims       = 16
	maxInputs     = 1 << 10 // that are no initializers
	maxAttributes = 1 << 10 // of a node
	maxDepth      = 8       // of a type within a type
)

// modelProto is a ModelProto, as far as it matters.
type modelProto struct {
	ir       int64
	producer string
	opsets   map[string]int64
	graph    graphProto
	hasGraph bool
	metadata map[string]string
}

type graphProto struct {
	name         string
	nodes        []nodeProto
	initializers []*tensorProto
	inputs       []valueInfo
	outputs      []valueInfo
	sparse       int // sparse initializers, which are not supported
}

type nodeProto struct {
	name, domain, op string
	inputs, outputs  []string
	attributes       []attribute
}

// path says which node it is.
func (n *nodeProto) path(i int) string {
	if n.name == "" {
		return fmt.Sprintf("graph.node[%d] (%s)", i, n.op)
	}
	return fmt.Sprintf("graph.node[%d] %.80q (%s)", i, n.name, n.op)
}

func readModel(file []byte) (*modelProto, error) {
	m := &modelProto{opsets: map[string]int64{}, metadata: map[string]string{}}
	var found UnsupportedError
	err := message(file).fields(func(f field) (err error) {
		switch f.number {
		case 1:
			m.ir, err = f.int()
		case 2:
			m.producer, err = f.text()
		case 7:
			var b message
			if b, err = f.message(); err == nil {
				m.hasGraph = true
				err = under("graph", m.graph.read(b))
			}
		case 8:
			err = under("opset_import", m.readOpset(f))
		case 14:
			err = under("metadata_props", m.readMetadata(f))
		case 20:
			found.add(Unsupported{Feature: "training information", Advice: "export the model for inference"})
		case 25:
			found.add(Unsupported{Feature: "model-local functions", Advice: "inline them with onnx.inliner.inline_local_functions"})
		}
		return err
	})
	if err == nil && m.graph.sparse > 0 {
		found.add(Unsupported{Feature: "sparse initializers", Advice: "store the weights as dense tensors"})
	}
	if err == nil {
		err = found.err()
	}
	return m, err
}

func (m *modelProto) readOpset(f field) error {
	b, err := f.message()
	if err != nil {
		return err
	}
	var domain string
	var version int64
	err = b.fields(func(f field) (err error) {
		switch f.number {
		case 1:
			domain, err = f.text()
		case 2:
			version, err = f.int()
		}
		return err
	})
	if err != nil {
		return err
	}
	domain = plainDomain(domain)
	if old, twice := m.opsets[domain]; twice && old != version || len(m.opsets) > 100 {
		return wrong("domain %q: imported as versions %d and %d", domain, old, version)
	}
	m.opsets[domain] = version
	return nil
}

// plainDomain gives the default domain its short name.
func plainDomain(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

func (m *modelProto) readMetadata(f field) error {
	b, err := f.message()
	if err != nil {
		return err
	}
	var key, value string
	err = b.fields(func(f field) (err error) {
		switch f.number {
		case 1:
			key, err = f.text()
		case 2:
			value, err = f.text()
		}
		return err
	})
	m.metadata[key] = value
	return err
}

func (g *graphProto) read(b message) error {
	return b.fields(func(f field) error {
		switch f.number {
		case 2:
			name, err := f.text()
			g.name = name
			return under("name", err)
		case 15:
			g.sparse++
			return nil
		case 1, 5, 11, 12:
		default:
			return nil
		}
		b, err := f.message()
		if err != nil {
			return err
		}
		switch f.number {
		case 1:
			i := len(g.nodes)
			if i == maxNodes {
				return wrong("more than %d nodes", maxNodes)
			}
			g.nodes = append(g.nodes, nodeProto{})
			return underIndex("node", i, g.nodes[i].read(b))
		case 5:
			i := len(g.initializers)
			if i == maxValues {
				return wrong("more than %d initializers", maxValues)
			}
			g.initializers = append(g.initializers, &tensorProto{})
			return underIndex("initializer", i, g.initializers[i].read(b))
		case 11:
			return readValueInfo(b, "input", &g.inputs)
		default:
			return readValueInfo(b, "output", &g.outputs)
		}
	})
}

func (n *nodeProto) read(b message) error {
	err := b.fields(func(f field) (err error) {
		switch f.number {
		case 1:
			return appendName("input", f, &n.inputs)
		case 2:
			return appendName("output", f, &n.outputs)
		case 3:
			n.name, err = f.text()
		case 4:
			n.op, err = f.text()
		case 5:
			if len(n.attributes) == maxAttributes {
				return wrong("more than %d attributes", maxAttributes)
			}
			var a attribute
			if b, err = f.message(); err == nil {
				err = underIndex("attribute", len(n.attributes), a.read(b))
			}
			n.attributes = append(n.attributes, a)
		case 7:
			n.domain, err = f.text()
		}
		return err
	})
	n.domain = plainDomain(n.domain)
	if err == nil && n.op == "" {
		err = under("op_type", wrong("is missing"))
	}
	return err
}

func appendName(what string, f field, names *[]string) error {
	name, err := f.text()
	if err == nil && len(*names) == maxValues {
		err = wrong("more than %d", maxValues)
	}
	*names = append(*names, name)
	return under(what, err)
}

package onnx

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

//go:generate go run ./testdata/operators

// operator is what is known of an operator of the standard.
type operator struct {
	domain   string
	name     string
	versions []int  // the opsets in which its meaning or types changed, as far as they are known here
	inputs   [2]int // how many it takes, at least and at most; -1: any number
	build    func(n *node) (kernel, error)
	note     string // what of it is not supported
}

// arity says how many inputs are expected.
func (o *operator) arity() string {
	switch {
	case o.inputs[1] < 0:
		return fmt.Sprintf("%d or more", o.inputs[0])
	case o.inputs[0] == o.inputs[1]:
		return fmt.Sprint(o.inputs[0])
	default:
		return fmt.Sprintf("%d to %d", o.inputs[0], o.inputs[1])
	}
}

// Operator describes an operator that is supported.
type Operator struct {
	Domain   string // "" is the default domain
	Name     string
	Versions []int  // the opsets since which it has had a meaning that is supported, ascending
	Note     string // what of it is not supported; "": nothing is missing but types
}

// Operators are the supported operators in the order of domain and name.
func Operators() []Operator {
	var all []Operator
	for _, o := range operators {
		all = append(all, Operator{o.domain, o.name, slices.Clone(o.versions), o.note})
	}
	slices.SortFunc(all, func(a, b Operator) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// operators are the supported operators by domain and name.
var operators = byName(
	unaryOperators(), binaryOperators(), variadicOperators(), castOperators(), logicOperators(),
	matrixOperators(), convolutionOperators(), normalizationOperators(), reductionOperators(), orderOperators(),
	shapeOperators(), movementOperators(), gatherOperators(), makerOperators(),
	featureOperators(), encoderOperators(), labelOperators(), linearOperators(), vectorMachineOperators(), treeOperators(),
)

func byName(families ...[]operator) map[string]*operator {
	all := map[string]*operator{}
	for _, family := range families {
		for _, o := range family {
			key := o.domain + "." + o.name
			if all[key] != nil {
				panic("onnx: operator " + key + " stands twice")
			}
			all[key] = &o
		}
	}
	return all
}

// adviceFor says what to do about an operator that is not supported.
func adviceFor(domain, op string) string {
	switch domain + "." + op {
	case ".If", ".Loop", ".Scan":
		return "export the model without control flow"
	case ".QuantizeLinear", ".DequantizeLinear", ".QLinearConv", ".QLinearMatMul", ".MatMulInteger", ".ConvInteger", ".DynamicQuantizeLinear":
		return "export the model without quantization"
	case ".LSTM", ".GRU", ".RNN", ".Attention":
		return "serve the model by ONNX Runtime (KServe or Triton)"
	case "com.microsoft.Tokenizer", "com.microsoft.StringNormalizer", ".TfIdfVectorizer", ".StringNormalizer":
		return "split and count the text before the model, and give it the numbers"
	case "com.microsoft.CDist":
		return "convert with options={id(model): {'optim': None}}, or train a model that does not compare with all rows"
	}
	if domain != "" && domain != domainML {
		return "export with operators of the standard alone"
	}
	return "export the model without it, or serve it by ONNX Runtime (KServe or Triton)"
}

// OperatorTable is a table of the supported operators in Markdown.
func OperatorTable() string {
	var b strings.Builder
	b.WriteString("| operator | opsets that changed it | what is not supported |\n|---|---|---|\n")
	for _, o := range Operators() {
		name := o.Name
		if o.Domain != "" {
			name = o.Domain + "." + name
		}
		versions := strings.Trim(strings.ReplaceAll(fmt.Sprint(o.Versions), " ", ", "), "[]")
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, versions, o.Note)
	}
	return b.String()
}

package onnx

import (
	"fmt"
	"math"
)

// encoderOperators turn categories into numbers and back.
func encoderOperators() []operator {
	one := [2]int{1, 1}
	return []operator{
		{domain: domainML, name: "OneHotEncoder", versions: []int{1}, inputs: one, build: buildOneHotEncoder},
		{domain: domainML, name: "LabelEncoder", versions: []int{1, 2, 4}, inputs: one, build: buildLabelEncoder},
		{domain: domainML, name: "CategoryMapper", versions: []int{1}, inputs: one, build: buildCategoryMapper},
		{
			domain: domainML, name: "DictVectorizer", versions: []int{1}, inputs: one, build: buildDictVectorizer,
			note: "its input, a map, is given as a tensor with a column for each key of the vocabulary",
		},
	}
}

func buildOneHotEncoder(n *node) (kernel, error) {
	zeros := n.truth("zeros", true)
	texts, numbers := n.texts("cats_strings"), n.ints64("cats_int64s")
	if len(texts)+len(numbers) == 0 {
		n.fail(wrong("attributes cats_int64s and cats_strings: expected one of them"))
	}
	if n.in[0] == String {
		places := map[string]int{}
		for i, v := range texts {
			places[v] = i
		}
		return n.done(oneHotRows(len(texts), zeros, func(v string) (int, bool) { i, ok := places[v]; return i, ok }), Float32)
	}
	n.want(0, allNumbers...)
	places := map[int64]int{}
	for i, v := range numbers {
		places[v] = i
	}
	if n.err != nil {
		return nil, n.err
	}
	convert := conversion(n, n.in[0], Int64)
	find := oneHotRows(len(numbers), zeros, func(v int64) (int, bool) { i, ok := places[v]; return i, ok })
	if n.in[0] == Int64 {
		return n.done(find, Float32)
	}
	return n.done(func(r *run) error {
		where, err := scratchOf[int64](r, 0, r.in[0].n)
		if err != nil {
			return err
		}
		t := Tensor{typ: Int64, shape: r.in[0].shape, n: r.in[0].n, at: pointer(where)}
		convert(&t, r.in[0])
		return find(&run{s: r.s, in: []*Tensor{&t}, out: r.out, to: r.to})
	}, Float32)
}

// oneHotRows writes as many columns as there are categories: 1 for the one that a
// value has.
func oneHotRows[T Element](categories int, zeros bool, find func(v T) (int, bool)) kernel {
	return func(r *run) error {
		x := r.in[0]
		if len(x.shape) == maxDims {
			return fmt.Errorf("more than %d dimensions", maxDims)
		}
		var room [maxDims]int
		out, err := r.make(0, append(append(room[:0], x.shape...), categories)...)
		if err != nil {
			return err
		}
		to := view[float32](out)
		clear(to)
		for i, v := range view[T](x) {
			k, found := find(v)
			if found {
				to[i*categories+k] = 1
			} else if !zeros {
				return &ValueError{fmt.Sprintf("value %v is none of the %d categories", v, categories)}
			}
		}
		return nil
	}
}

// buildLabelEncoder maps keys to values of any two of string, int64, float and
// double.
func buildLabelEncoder(n *node) (kernel, error) {
	if n.version == 1 {
		return buildMapper(n, n.texts("classes_strings"), nil)
	}
	keys := n.list("keys")
	values := n.list("values")
	if keys == nil || values == nil || keys.n != values.n {
		n.fail(wrong("expected as many keys as values in the attributes"))
		return nil, n.err
	}
	var fallback *Tensor
	switch values.typ {
	case String:
		fallback = constant([]string{n.text("default_string", "_Unused")})
	case Int64:
		fallback = constant([]int64{int64(n.int("default_int64", -1))})
	case Float32:
		fallback = constant([]float32{n.float("default_float", float32(math.Copysign(0, -1)))})
	case Float64:
		fallback = constant([]float64{float64(n.float("default_float", float32(math.Copysign(0, -1))))})
	default:
		fallback = (&Tensor{typ: values.typ, n: 1, at: values.at}).Clone()
		clear(raw(fallback))
	}
	n.ignore("default_string", "default_int64", "default_float")
	if t := n.tensor("default_tensor"); t != nil {
		if t.typ != values.typ || t.n != 1 {
			n.fail(wrong("attribute default_tensor: expected one value of %v", values.typ))
		}
		fallback = t
	}
	if n.in[0] != keys.typ {
		n.fail(wrong("input 0: tensor of %v: the keys are %v", n.in[0], keys.typ))
	}
	if n.err != nil {
		return nil, n.err
	}
	find := finder(keys, n.version >= 4)
	if find == nil {
		return nil, unsupported("use keys of string, int64, float or double", "keys of %v of %s", keys.typ, n.title())
	}
	return n.done(bySize(values.typ, lookup[uint8](find, values, fallback), lookup[uint16](find, values, fallback), lookup[uint32](find, values, fallback),
		lookup[uint64](find, values, fallback), lookup[string](find, values, fallback)), values.typ)
}

// list is an attribute that is there in one of several types.
func (n *node) list(name string) *Tensor {
	switch {
	case n.has(name + "_strings"):
		v := n.texts(name + "_strings")
		return constant(v, len(v))
	case n.has(name + "_int64s"):
		v := n.ints64(name + "_int64s")
		return constant(v, len(v))
	case n.has(name + "_floats"):
		v := n.floats(name + "_floats")
		return constant(v, len(v))
	}
	return n.tensor(name + "_tensor")
}

// finder finds values among the keys; nil: keys of that type are not known. NaN is
// found only if missing says so: before opset 4 nothing is equal to it.
func finder(keys *Tensor, missing bool) func(t *Tensor, i int) (int, bool) {
	switch keys.typ {
	case String:
		return finderOf[string](keys, missing)
	case Int64:
		return finderOf[int64](keys, missing)
	case Int32:
		return finderOf[int32](keys, missing)
	case Int16:
		return finderOf[int16](keys, missing)
	case Bool:
		return finderOf[bool](keys, missing)
	case Float32:
		return finderOf[float32](keys, missing)
	case Float64:
		return finderOf[float64](keys, missing)
	default:
		return nil
	}
}

// finderOf finds the first key of equals. NaN, which a map does not find, is found
// apart.
func finderOf[T Element](keys *Tensor, findMissing bool) func(t *Tensor, i int) (int, bool) {
	places, missing := map[T]int{}, -1
	for i, v := range view[T](keys) {
		if v != v {
			if findMissing {
				missing = i
			}
		} else if _, twice := places[v]; !twice {
			places[v] = i
		}
	}
	return func(t *Tensor, i int) (int, bool) {
		v := view[T](t)[i]
		if v != v {
			return missing, missing >= 0
		}
		k, ok := places[v]
		return k, ok
	}
}

func lookup[T any](find func(t *Tensor, i int) (int, bool), values, fallback *Tensor) kernel {
	return func(r *run) error {
		x := r.in[0]
		out, err := r.make(0, x.shape...)
		if err != nil {
			return err
		}
		to, from, none := view[T](out), view[T](values), view[T](fallback)[0]
		for i := range x.n {
			to[i] = none
			if k, found := find(x, i); found {
				to[i] = from[k]
			}
		}
		return r.spendProduct(x.n, 8)
	}
}

func buildCategoryMapper(n *node) (kernel, error) {
	texts, numbers := n.texts("cats_strings"), n.ints64("cats_int64s")
	if len(texts) != len(numbers) {
		n.fail(wrong("attributes cats_strings and cats_int64s: %d and %d values: expected as many", len(texts), len(numbers)))
	}
	return buildMapper(n, texts, numbers)
}

// buildMapper maps texts to numbers or numbers to texts, whichever the input is.
// Without numbers, the number of a text is its place.
func buildMapper(n *node, texts []string, numbers []int64) (kernel, error) {
	if numbers == nil {
		numbers = make([]int64, len(texts))
		for i := range numbers {
			numbers[i] = int64(i)
		}
	}
	noNumber, noText := constant([]int64{int64(n.int("default_int64", -1))}), constant([]string{n.text("default_string", "_Unused")})
	n.want(0, String, Int64)
	if n.err != nil {
		return nil, n.err
	}
	t, i := constant(texts, len(texts)), constant(numbers, len(numbers))
	if n.in[0] == String {
		return n.done(lookup[int64](finder(t, false), i, noNumber), Int64)
	}
	return n.done(lookup[string](finder(i, false), t, noText), String)
}

// buildDictVectorizer takes a tensor with a column for each key in the place of a
// map: what it makes is the same. A key that a map would leave out is 0.
func buildDictVectorizer(n *node) (kernel, error) {
	n.inputLabels = labelsOf(n, "string_vocabulary", "int64_vocabulary")
	n.want(0, Float32, Float64, Int64)
	if n.err != nil {
		return nil, n.err
	}
	columns := n.inputLabels.n
	n.shares = true
	return n.done(func(r *run) error {
		if x := r.in[0]; len(x.shape) != 2 || x.shape[1] != columns {
			return wrongShape("the input", x.shape, fmt.Sprintf("rows of %d values, one for each key", columns))
		}
		return shareSame(r)
	}, n.in[0])
}

// labelsOf are labels that stand in one of two attributes.
func labelsOf(n *node, texts, numbers string) *Tensor {
	t, i := n.texts(texts), n.ints64(numbers)
	switch {
	case len(t) > 0 && len(i) > 0 || len(t)+len(i) == 0:
		n.fail(wrong("attributes %s and %s: expected one of them", texts, numbers))
		return nil
	case len(t) > 0:
		return constant(t, len(t))
	default:
		return constant(i, len(i))
	}
}

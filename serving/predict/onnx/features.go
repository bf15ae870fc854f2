package onnx

import (
	"fmt"
	"math"
)

// featureOperators prepare the columns of rows.
func featureOperators() []operator {
	one := [2]int{1, 1}
	ml := func(name string, inputs [2]int, build func(n *node) (kernel, error)) operator {
		return operator{domain: domainML, name: name, versions: []int{1}, inputs: inputs, build: build}
	}
	return []operator{
		ml("Scaler", one, buildScaler),
		ml("Normalizer", one, buildNormalizer),
		ml("Imputer", one, buildImputer),
		ml("Binarizer", one, buildBinarizer),
		ml("ArrayFeatureExtractor", [2]int{2, 2}, func(n *node) (kernel, error) {
			n.want(1, Int64)
			return n.done(bySize(n.in[0], extract[uint8], extract[uint16], extract[uint32], extract[uint64], extract[string]), n.in[0])
		}),
		ml("FeatureVectorizer", [2]int{1, -1}, buildFeatureVectorizer),
	}
}

// rowsOf is how many rows a tensor has and how many values each; a vector is one
// row.
func rowsOf(t *Tensor) (rows, columns int, err error) {
	switch len(t.shape) {
	case 1:
		return 1, t.shape[0], nil
	case 2:
		return t.shape[0], t.shape[1], nil
	}
	return 0, 0, wrongShape("the input", t.shape, "rows of values")
}

// toFloat32 reads an input as float32, which most operators of the ML
// domain calculate with.
type toFloat32 struct {
	from    Type
	convert func(to, from *Tensor)
}

// newToFloat32 converts input 0.
func newToFloat32(n *node) toFloat32 {
	n.want(0, allNumbers...)
	return toFloat32{n.in[0], conversion(n, n.in[0], Float32)}
}

// values are those of the tensor, in scratch memory 0 if they are not float32.
func (c *toFloat32) values(r *run, t *Tensor) ([]float32, error) {
	if c.from == Float32 {
		return view[float32](t), nil
	}
	out, err := scratchOf[float32](r, 0, t.n)
	if err == nil {
		c.convert(over(r, Float32, out), t)
	}
	return out, err
}

func buildScaler(n *node) (kernel, error) {
	read := newToFloat32(n)
	offset, scale := n.floats("offset"), n.floats("scale")
	if offset == nil {
		offset = []float32{0}
	}
	if scale == nil {
		scale = []float32{1}
	}
	return n.done(func(r *run) error {
		x := r.in[0]
		if len(x.shape) == 0 {
			return wrongShape("the input", x.shape, "rows of values")
		}
		columns := x.dim(-1)
		if len(offset) != 1 && len(offset) != columns || len(scale) != 1 && len(scale) != columns {
			return fmt.Errorf("rows of %d values: expected %d as the scaler has", columns, max(len(offset), len(scale)))
		}
		from, err := read.values(r, x)
		if err != nil {
			return err
		}
		out, err := r.make(0, x.shape...)
		if err != nil {
			return err
		}
		to := view[float32](out)
		for i, v := range from {
			c := i % columns
			to[i] = (v - offset[c%len(offset)]) * scale[c%len(scale)]
		}
		return nil
	}, Float32)
}

// buildNormalizer leaves a row of norm 0 as it is.
func buildNormalizer(n *node) (kernel, error) {
	read := newToFloat32(n)
	norm := n.oneOf("norm", []string{"MAX", "L1", "L2"})
	n.keepsLabels = true
	return n.done(func(r *run) error {
		x := r.in[0]
		rows, columns, err := rowsOf(x)
		if err != nil {
			return err
		}
		from, err := read.values(r, x)
		if err != nil {
			return err
		}
		out, err := r.make(0, x.shape...)
		if err != nil {
			return err
		}
		to := view[float32](out)
		for i := range rows {
			row, target := from[i*columns:(i+1)*columns], to[i*columns:(i+1)*columns]
			size := normOf(norm, row)
			if size == 0 {
				size = 1
			}
			for j, v := range row {
				target[j] = float32(float64(v) / size)
			}
		}
		return r.spendProduct(x.n, 2)
	}, Float32)
}

func normOf(norm string, row []float32) (size float64) {
	for _, v := range row {
		switch x := float64(v); norm {
		case "MAX":
			size = max(size, math.Abs(x))
		case "L1":
			size += math.Abs(x)
		default:
			size += x * x
		}
	}
	if norm == "L2" {
		return math.Sqrt(size)
	}
	return size
}

// buildImputer puts a value in the place of those that are missing: NaN, or some
// number.
func buildImputer(n *node) (kernel, error) {
	switch {
	case n.in[0].isFloat():
		values, missing := n.floats("imputed_value_floats"), n.float("replaced_value_float", 0)
		n.ignore("imputed_value_int64s", "replaced_value_int64")
		return n.done(byFloat(n, n.in[0], impute(n, values, missing), impute(n, reals(values), float64(missing))), n.in[0])
	case n.in[0] == Int64:
		values, missing := n.ints64("imputed_value_int64s"), int64(n.int("replaced_value_int64", 0))
		n.ignore("imputed_value_floats", "replaced_value_float")
		return n.done(impute(n, values, missing), Int64)
	}
	n.want(0, Float32, Float64, Int64)
	return n.done(nil, n.in[0])
}

func reals(values []float32) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

func impute[T number](n *node, values []T, missing T) kernel {
	if len(values) == 0 {
		n.fail(wrong("attribute imputed_value_floats or imputed_value_int64s: is missing"))
	}
	return func(r *run) error {
		x := r.in[0]
		_, columns, err := rowsOf(x)
		if err != nil {
			return err
		}
		if len(values) != 1 && len(values) != columns {
			return fmt.Errorf("rows of %d values: expected %d as the imputer has", columns, len(values))
		}
		out, err := r.make(0, x.shape...)
		if err != nil {
			return err
		}
		to := view[T](out)
		for i, v := range view[T](x) {
			if v == missing || v != v && missing != missing {
				v = values[i%columns%len(values)]
			}
			to[i] = v
		}
		return nil
	}
}

func buildBinarizer(n *node) (kernel, error) {
	n.want(0, allNumbers...)
	threshold := float64(n.float("threshold", 0))
	return buildMap(n, byNumber(n, n.in[0], binarized[float32](threshold), binarized[float64](threshold), binarized[int64](threshold), binarized[int32](threshold),
		binarized[int16](threshold), binarized[int8](threshold), binarized[uint64](threshold), binarized[uint32](threshold), binarized[uint16](threshold), binarized[uint8](threshold)))
}

func binarized[T number](threshold float64) kernel {
	return mapped(func(x T) T {
		if float64(x) > threshold {
			return 1
		}
		return 0
	})
}

// extract picks columns; a vector is one row.
func extract[T any](r *run) error {
	x, where := r.in[0], view[int64](r.in[1])
	if len(x.shape) == 0 {
		return wrongShape("the input", x.shape, "rows of values")
	}
	var room [maxDims]int
	shape := append(room[:0], x.shape...)
	if len(shape) == 1 {
		shape = append(room[:0], 1, shape[0])
	}
	columns := shape[len(shape)-1]
	shape[len(shape)-1] = len(where)
	out, err := r.make(0, shape...)
	if err != nil || out.n == 0 {
		return err
	}
	from, to := view[T](x), view[T](out)
	for j, k := range where {
		if k < 0 || k >= int64(columns) {
			return &ValueError{fmt.Sprintf("column %d: there are %d", k, columns)}
		}
		for i := range out.n / len(where) {
			to[i*len(where)+j] = from[i*columns+int(k)]
		}
	}
	return nil
}

// buildFeatureVectorizer puts columns side by side; those that are said to be
// wider are filled up with zeros, and what is too wide is cut off.
func buildFeatureVectorizer(n *node) (kernel, error) {
	widths := n.ints("inputdimensions")
	if len(widths) != len(n.in) {
		n.fail(wrong("attribute inputdimensions: %d values: expected %d, one for each input", len(widths), len(n.in)))
	}
	total := 0
	for _, w := range widths {
		if w < 0 || w > 1<<24 {
			n.fail(wrong("attribute inputdimensions: %d: expected 0 or more", w))
			break
		}
		total += w
	}
	converts := make([]func(to, from *Tensor), len(n.in))
	for i := range n.in {
		if n.want(i, allNumbers...) {
			converts[i] = conversion(n, n.in[i], Float32)
		}
	}
	return n.done(func(r *run) error {
		rows := -1
		for _, in := range r.in {
			if len(in.shape) < 1 || len(in.shape) > 2 || rows >= 0 && in.shape[0] != rows {
				return wrongShape("an input", in.shape, "as many rows as the first")
			}
			rows = in.shape[0]
		}
		out, err := r.make(0, rows, total)
		if err != nil || out.n == 0 {
			return err
		}
		to, at := view[float32](out), 0
		clear(to)
		for i, in := range r.in {
			from, err := scratchOf[float32](r, 0, in.n)
			if err != nil {
				return err
			}
			converts[i](over(r, Float32, from), in)
			columns := in.n / max(rows, 1)
			for j := range rows {
				copy(to[j*total+at:j*total+at+widths[i]], from[j*columns:(j+1)*columns])
			}
			at += widths[i]
		}
		return nil
	}, Float32)
}

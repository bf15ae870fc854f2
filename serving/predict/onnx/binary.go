package onnx

import "math"

// binaryOperators calculate with two tensors that are broadcast to one shape.
func binaryOperators() []operator {
	two := [2]int{2, 2}
	arithmetic := func(name string, versions []int, build func(n *node) (kernel, error)) operator {
		return operator{name: name, versions: versions, inputs: two, build: build}
	}
	return []operator{
		arithmetic("Add", []int{7, 13, 14}, func(n *node) (kernel, error) {
			return buildArithmetic(n, byNumber(n, n.in[0], pairs(add[float32]), pairs(add[float64]), pairs(add[int64]), pairs(add[int32]), pairs(add[int16]),
				pairs(add[int8]), pairs(add[uint64]), pairs(add[uint32]), pairs(add[uint16]), pairs(add[uint8])))
		}),
		arithmetic("Sub", []int{7, 13, 14}, func(n *node) (kernel, error) {
			return buildArithmetic(n, byNumber(n, n.in[0], pairs(sub[float32]), pairs(sub[float64]), pairs(sub[int64]), pairs(sub[int32]), pairs(sub[int16]),
				pairs(sub[int8]), pairs(sub[uint64]), pairs(sub[uint32]), pairs(sub[uint16]), pairs(sub[uint8])))
		}),
		arithmetic("Mul", []int{7, 13, 14}, func(n *node) (kernel, error) {
			return buildArithmetic(n, byNumber(n, n.in[0], pairs(mul[float32]), pairs(mul[float64]), pairs(mul[int64]), pairs(mul[int32]), pairs(mul[int16]),
				pairs(mul[int8]), pairs(mul[uint64]), pairs(mul[uint32]), pairs(mul[uint16]), pairs(mul[uint8])))
		}),
		arithmetic("Div", []int{7, 13, 14}, func(n *node) (kernel, error) {
			return buildArithmetic(n, byNumber(n, n.in[0], pairs(div[float32]), pairs(div[float64]), divided[int64], divided[int32], divided[int16],
				divided[int8], divided[uint64], divided[uint32], divided[uint16], divided[uint8]))
		}),
		arithmetic("Mod", []int{10, 13, 28}, buildMod),
		arithmetic("Pow", []int{7, 12, 13, 15}, buildPow),
		arithmetic("PRelu", []int{7, 9, 16}, func(n *node) (kernel, error) {
			return buildArithmetic(n, byNumber(n, n.in[0], each2(prelu[float32]), each2(prelu[float64]), each2(prelu[int64]), each2(prelu[int32]), each2(prelu[int16]),
				each2(prelu[int8]), each2(prelu[uint64]), each2(prelu[uint32]), each2(prelu[uint16]), each2(prelu[uint8])))
		}),
		arithmetic("BitwiseAnd", []int{18}, func(n *node) (kernel, error) {
			return buildBits(n, each2(and[uint8]), each2(and[uint16]), each2(and[uint32]), each2(and[uint64]))
		}),
		arithmetic("BitwiseOr", []int{18}, func(n *node) (kernel, error) {
			return buildBits(n, each2(or[uint8]), each2(or[uint16]), each2(or[uint32]), each2(or[uint64]))
		}),
		arithmetic("BitwiseXor", []int{18}, func(n *node) (kernel, error) {
			return buildBits(n, each2(xor[uint8]), each2(xor[uint16]), each2(xor[uint32]), each2(xor[uint64]))
		}),
		{name: "BitwiseNot", versions: []int{18}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			n.want(0, integers...)
			return buildMap(n, bySize(n.in[0], mapped(not[uint8]), mapped(not[uint16]), mapped(not[uint32]), mapped(not[uint64]), nil))
		}},
		arithmetic("BitShift", []int{11, 28}, buildShift),
	}
}

// buildArithmetic is for two inputs and an output of one type.
func buildArithmetic(n *node, k kernel) (kernel, error) {
	n.want(0, allNumbers...)
	n.same(1)
	return n.done(k, n.in[0])
}

func buildBits(n *node, b1, b2, b4, b8 kernel) (kernel, error) {
	n.want(0, integers...)
	n.same(1)
	return n.done(bySize(n.in[0], b1, b2, b4, b8, nil), n.in[0])
}

// pairs is the kernel that calls f for runs of elements; sa and sb say whether a
// and b advance.
func pairs[A, R Element](f func(to []R, a, b []A, sa, sb int)) kernel {
	return func(r *run) error {
		a, b := r.in[0], r.in[1]
		var room [maxDims]int
		shape, err := broadcast(room[:0], a.shape, b.shape)
		if err != nil {
			return err
		}
		out, err := r.make(0, shape...)
		if err != nil || out.n == 0 {
			return err
		}
		va, vb, to := view[A](a), view[A](b), view[R](out)
		if a.n == out.n && b.n == out.n {
			f(to, va, vb, 1, 1)
			return nil
		}
		w := newWalk(out.shape, a.shape, b.shape)
		w.each(out.n, func(i, j, k int) {
			f(to[i:i+w.inner], va[j:j+(w.inner-1)*w.sa+1], vb[k:k+(w.inner-1)*w.sb+1], w.sa, w.sb)
		})
		return nil
	}
}

// each2 is pairs for a function of single elements.
func each2[A, R Element](f func(a, b A) R) kernel {
	return pairs(func(to []R, a, b []A, sa, sb int) {
		for i := range to {
			to[i] = f(a[i*sa], b[i*sb])
		}
	})
}

func add[T number](to, a, b []T, sa, sb int) {
	if sa+sb == 2 {
		a, b = a[:len(to)], b[:len(to)]
		for i := range to {
			to[i] = a[i] + b[i]
		}
		return
	}
	for i := range to {
		to[i] = a[i*sa] + b[i*sb]
	}
}

func sub[T number](to, a, b []T, sa, sb int) {
	for i := range to {
		to[i] = a[i*sa] - b[i*sb]
	}
}

func mul[T number](to, a, b []T, sa, sb int) {
	if sa+sb == 2 {
		a, b = a[:len(to)], b[:len(to)]
		for i := range to {
			to[i] = a[i] * b[i]
		}
		return
	}
	for i := range to {
		to[i] = a[i*sa] * b[i*sb]
	}
}

func div[T float](to, a, b []T, sa, sb int) {
	for i := range to {
		to[i] = a[i*sa] / b[i*sb]
	}
}

// divided is integer division. Division by zero has no answer.
func divided[T integer](r *run) error {
	for _, b := range view[T](r.in[1]) {
		if b == 0 {
			return &ValueError{"an integer is divided by 0"}
		}
	}
	return each2(func(a, b T) T { return a / b })(r)
}

func prelu[T number](x, slope T) T {
	if x < 0 {
		return slope * x
	}
	return x
}

func and[T integer](a, b T) T { return a & b }
func or[T integer](a, b T) T  { return a | b }
func xor[T integer](a, b T) T { return a ^ b }
func not[T integer](a T) T    { return ^a }

func buildMod(n *node) (kernel, error) {
	if n.truth("fmod", false) {
		return buildArithmetic(n, byNumber(n, n.in[0], each2(fmod[float32]), each2(fmod[float64]), modulo[int64](false), modulo[int32](false), modulo[int16](false),
			modulo[int8](false), modulo[uint64](false), modulo[uint32](false), modulo[uint16](false), modulo[uint8](false)))
	}
	if n.in[0].isFloat() && n.version < 28 {
		n.fail(wrong("floats: expected fmod=1"))
	}
	return buildArithmetic(n, byNumber(n, n.in[0], each2(floorMod[float32]), each2(floorMod[float64]), modulo[int64](true), modulo[int32](true), modulo[int16](true),
		modulo[int8](true), modulo[uint64](true), modulo[uint32](true), modulo[uint16](true), modulo[uint8](true)))
}

func fmod[T float](a, b T) T { return T(math.Mod(float64(a), float64(b))) }

// floorMod has the sign of the divisor.
func floorMod[T float](a, b T) T {
	m := math.Mod(float64(a), float64(b))
	if m != 0 && (m < 0) != (b < 0) {
		m += float64(b)
	}
	return T(m)
}

// modulo is the remainder of integers, with the sign of the divisor or, if it is
// not floored, of the dividend.
func modulo[T integer](floored bool) kernel {
	return func(r *run) error {
		for _, b := range view[T](r.in[1]) {
			if b == 0 {
				return &ValueError{"an integer is divided by 0"}
			}
		}
		return each2(func(a, b T) T {
			m := a % b
			if floored && m != 0 && (m < 0) != (b < 0) {
				m += b
			}
			return m
		})(r)
	}
}

// buildPow takes exponents of another type than the base since opset 12.
func buildPow(n *node) (kernel, error) {
	n.want(0, Float32, Float64, Int64, Int32)
	n.want(1, allNumbers...)
	if n.err != nil {
		return nil, n.err
	}
	base, exponent := n.in[0], n.in[1]
	if n.version < 12 && base != exponent {
		n.fail(wrong("input 1: tensor of %v: expected %v as input 0", exponent, base))
	}
	if base == exponent {
		return n.done(byNumber(n, base, each2(pow[float32]), each2(pow[float64]), each2(powInt[int64]), each2(powInt[int32]), nil, nil, nil, nil, nil, nil), base)
	}
	// The exponents become numbers of the type of the base, or of double where they
	// may have fractions.
	real := exponent.isFloat()
	convert := conversion(n, exponent, base)
	power := byNumber(n, base, each2(pow[float32]), each2(pow[float64]), each2(powInt[int64]), each2(powInt[int32]), nil, nil, nil, nil, nil, nil)
	if real && !base.isFloat() {
		return buildPowReal(n, base, exponent)
	}
	return n.done(func(r *run) error {
		exponents, err := converse(r, r.in[1], base, convert)
		if err != nil {
			return err
		}
		inner := run{s: r.s, in: []*Tensor{r.in[0], exponents}, out: r.out, to: r.to}
		return power(&inner)
	}, base)
}

// buildPowReal raises integers to powers that are real.
func buildPowReal(n *node, base, exponent Type) (kernel, error) {
	baseTo, exponentTo := conversion(n, base, Float64), conversion(n, exponent, Float64)
	back := byNumber(n, base, nil, nil, truncated[int64], truncated[int32], nil, nil, nil, nil, nil, nil)
	return n.done(func(r *run) error {
		var in [2]*Tensor
		for i, convert := range []func(to, from *Tensor){baseTo, exponentTo} {
			values := make([]float64, r.in[i].n)
			if err := r.s.take(int64(len(values) * 8)); err != nil {
				return err
			}
			in[i] = constant(values, r.in[i].shape...)
			convert(in[i], r.in[i])
			r.s.bytes -= int64(len(values) * 8)
		}
		return back(&run{s: r.s, in: in[:], out: r.out, to: r.to})
	}, base)
}

func truncated[T integer](r *run) error {
	return pairs(func(to []T, a, b []float64, sa, sb int) {
		for i := range to {
			to[i] = T(math.Pow(a[i*sa], b[i*sb]))
		}
	})(r)
}

// converse converts a tensor into scratch memory.
func converse(r *run, t *Tensor, to Type, convert func(to, from *Tensor)) (*Tensor, error) {
	words, err := scratchOf[uint64](r, 0, (t.n*to.size()+7)/8)
	if err != nil {
		return nil, err
	}
	out := wordsTensor(words, to, t.shape, t.n)
	convert(out, t)
	return out, nil
}

func pow[T float](a, b T) T {
	if b == 2 {
		return a * a
	}
	return T(math.Pow(float64(a), float64(b)))
}

// powInt multiplies; a negative power of an integer is 0 unless it is that of 1 or -1.
func powInt[T int64 | int32](a, b T) T {
	if b < 0 {
		switch {
		case a == 1 || a == -1 && b%2 == 0:
			return 1
		case a == -1:
			return -1
		default:
			return 0
		}
	}
	out := T(1)
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			out *= a
		}
		a *= a
	}
	return out
}

func buildShift(n *node) (kernel, error) {
	n.want(0, integers...)
	n.same(1)
	if n.oneOf("direction", []string{"LEFT", "RIGHT"}) == "LEFT" {
		return n.done(bySize(n.in[0], each2(left[uint8]), each2(left[uint16]), each2(left[uint32]), each2(left[uint64]), nil), n.in[0])
	}
	return n.done(byNumber(n, n.in[0], nil, nil, each2(right[int64]), each2(right[int32]), each2(right[int16]), each2(right[int8]),
		each2(right[uint64]), each2(right[uint32]), each2(right[uint16]), each2(right[uint8])), n.in[0])
}

func left[T uint8 | uint16 | uint32 | uint64](a, b T) T { return a << b }

func right[T integer](a, b T) T { return a >> uint64(b) }

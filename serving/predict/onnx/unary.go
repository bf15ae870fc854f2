package onnx

import "math"

// unaryOperators work on each element alone.
func unaryOperators() []operator {
	one := [2]int{1, 1}
	real := func(name string, versions []int, f func(x float64) float64) operator {
		return operator{name: name, versions: versions, inputs: one, build: func(n *node) (kernel, error) { return buildReal(n, f) }}
	}
	with := func(name string, versions []int, build func(n *node) func(x float64) float64) operator {
		return operator{name: name, versions: versions, inputs: one, build: func(n *node) (kernel, error) { return buildReal(n, build(n)) }}
	}
	return []operator{
		real("Exp", []int{6, 13}, math.Exp),
		real("Log", []int{6, 13}, math.Log),
		real("Sqrt", []int{6, 13}, math.Sqrt),
		real("Reciprocal", []int{6, 13}, func(x float64) float64 { return 1 / x }),
		real("Floor", []int{6, 13}, math.Floor),
		real("Ceil", []int{6, 13}, math.Ceil),
		real("Round", []int{11, 22}, math.RoundToEven),
		real("Sin", []int{7, 22}, math.Sin),
		real("Cos", []int{7, 22}, math.Cos),
		real("Tan", []int{7, 22}, math.Tan),
		real("Asin", []int{7, 22}, math.Asin),
		real("Acos", []int{7, 22}, math.Acos),
		real("Atan", []int{7, 22}, math.Atan),
		real("Sinh", []int{9, 22}, math.Sinh),
		real("Cosh", []int{9, 22}, math.Cosh),
		real("Asinh", []int{9, 22}, math.Asinh),
		real("Acosh", []int{9, 22}, math.Acosh),
		real("Atanh", []int{9, 22}, math.Atanh),
		real("Tanh", []int{6, 13}, math.Tanh),
		real("Sigmoid", []int{6, 13}, sigmoid),
		real("Softplus", []int{1, 22}, softplus),
		real("Softsign", []int{1, 22}, func(x float64) float64 { return x / (1 + math.Abs(x)) }),
		real("Mish", []int{18, 22}, func(x float64) float64 { return x * math.Tanh(softplus(x)) }),
		real("HardSwish", []int{14, 22}, func(x float64) float64 { return x * clamp(x/6+0.5, 0, 1) }),
		{name: "Erf", versions: []int{9, 13}, inputs: one, build: buildErf},
		with("LeakyRelu", []int{6, 16}, func(n *node) func(x float64) float64 {
			alpha := float64(n.float("alpha", 0.01))
			return func(x float64) float64 { return below(x, alpha*x) }
		}),
		with("Elu", []int{6, 22}, func(n *node) func(x float64) float64 {
			alpha := float64(n.float("alpha", 1))
			return func(x float64) float64 { return below(x, alpha*math.Expm1(x)) }
		}),
		with("Selu", []int{6, 22}, func(n *node) func(x float64) float64 {
			alpha, gamma := float64(n.float("alpha", 1.67326319217681884765625)), float64(n.float("gamma", 1.05070102214813232421875))
			return func(x float64) float64 { return gamma * below(x, alpha*math.Expm1(x)) }
		}),
		with("Celu", []int{12, 28}, func(n *node) func(x float64) float64 {
			alpha := float64(n.float("alpha", 1))
			return func(x float64) float64 { return max(0, x) + min(0, alpha*math.Expm1(x/alpha)) }
		}),
		with("HardSigmoid", []int{6, 22}, func(n *node) func(x float64) float64 {
			alpha, beta := float64(n.float("alpha", 0.2)), float64(n.float("beta", 0.5))
			return func(x float64) float64 { return clamp(alpha*x+beta, 0, 1) }
		}),
		with("ThresholdedRelu", []int{10, 22}, func(n *node) func(x float64) float64 {
			alpha := float64(n.float("alpha", 1))
			return func(x float64) float64 {
				if x > alpha {
					return x
				}
				return 0
			}
		}),
		with("Swish", []int{24}, func(n *node) func(x float64) float64 {
			alpha := float64(n.float("alpha", 1))
			return func(x float64) float64 { return x * sigmoid(alpha*x) }
		}),
		with("Gelu", []int{20}, buildGelu),
		{name: "Shrink", versions: []int{9}, inputs: one, build: buildShrink},
		{name: "Abs", versions: []int{6, 13}, inputs: one, build: func(n *node) (kernel, error) {
			return buildMap(n, byNumber(n, n.in[0], mapped(abs[float32]), mapped(abs[float64]), mapped(abs[int64]), mapped(abs[int32]), mapped(abs[int16]),
				mapped(abs[int8]), mapped(abs[uint64]), mapped(abs[uint32]), mapped(abs[uint16]), mapped(abs[uint8])))
		}},
		{name: "Sign", versions: []int{9, 13}, inputs: one, build: func(n *node) (kernel, error) {
			return buildMap(n, byNumber(n, n.in[0], mapped(sign[float32]), mapped(sign[float64]), mapped(sign[int64]), mapped(sign[int32]), mapped(sign[int16]),
				mapped(sign[int8]), mapped(sign[uint64]), mapped(sign[uint32]), mapped(sign[uint16]), mapped(sign[uint8])))
		}},
		{name: "Neg", versions: []int{6, 13}, inputs: one, build: func(n *node) (kernel, error) {
			return buildMap(n, byNumber(n, n.in[0], mapped(neg[float32]), mapped(neg[float64]), mapped(neg[int64]), mapped(neg[int32]), mapped(neg[int16]),
				mapped(neg[int8]), mapped(neg[uint64]), mapped(neg[uint32]), mapped(neg[uint16]), mapped(neg[uint8])))
		}},
		{name: "Relu", versions: []int{6, 13, 14}, inputs: one, build: func(n *node) (kernel, error) {
			return buildMap(n, byNumber(n, n.in[0], relu[float32], relu[float64], relu[int64], relu[int32], relu[int16],
				relu[int8], relu[uint64], relu[uint32], relu[uint16], relu[uint8]))
		}},
	}
}

// buildMap is a kernel that gives every element a value of the same type.
func buildMap(n *node, k kernel) (kernel, error) {
	n.inPlace = true
	return n.done(k, n.in[0])
}

// buildReal is buildMap of a function of real numbers, on float and double.
func buildReal(n *node, f func(x float64) float64) (kernel, error) {
	n.want(0, allFloats...)
	return buildMap(n, byFloat(n, n.in[0], mapped(func(x float32) float32 { return float32(f(float64(x))) }), mapped(f)))
}

func mapped[T number](f func(x T) T) kernel {
	return func(r *run) error {
		out, err := r.make(0, r.in[0].shape...)
		if err != nil {
			return err
		}
		to := view[T](out)
		for i, x := range view[T](r.in[0]) {
			to[i] = f(x)
		}
		return r.spend(8 * out.n)
	}
}

// relu leaves NaN what it is.
func relu[T number](r *run) error {
	out, err := r.make(0, r.in[0].shape...)
	if err != nil {
		return err
	}
	to := view[T](out)
	for i, x := range view[T](r.in[0]) {
		to[i] = max(x, 0)
	}
	return nil
}

func buildErf(n *node) (kernel, error) {
	real := func(x float64) float64 { return math.Erf(x) }
	if n.in[0].isFloat() {
		return buildReal(n, real)
	}
	return buildMap(n, byNumber(n, n.in[0], nil, nil, erf[int64], erf[int32], erf[int16], erf[int8], erf[uint64], erf[uint32], erf[uint16], erf[uint8]))
}

func erf[T number](r *run) error {
	return mapped(func(x T) T { return T(math.Erf(float64(x))) })(r)
}

func buildGelu(n *node) func(x float64) float64 {
	if n.oneOf("approximate", []string{"none", "tanh"}) == "tanh" {
		return func(x float64) float64 {
			return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
		}
	}
	return func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }
}

func buildShrink(n *node) (kernel, error) {
	bias, lambda := float64(n.float("bias", 0)), float64(n.float("lambd", 0.5))
	f := func(x float64) float64 {
		switch {
		case x < -lambda:
			return x + bias
		case x > lambda:
			return x - bias
		default:
			return 0
		}
	}
	return buildMap(n, byNumber(n, n.in[0], shrunk[float32](f), shrunk[float64](f), shrunk[int64](f), shrunk[int32](f), shrunk[int16](f),
		shrunk[int8](f), shrunk[uint64](f), shrunk[uint32](f), shrunk[uint16](f), shrunk[uint8](f)))
}

func shrunk[T number](f func(x float64) float64) kernel {
	return mapped(func(x T) T { return T(f(float64(x))) })
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// softplus does not overflow.
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// below is otherwise if x is negative.
func below(x, otherwise float64) float64 {
	if x < 0 {
		return otherwise
	}
	return x
}

func clamp(x, least, most float64) float64 { return min(max(x, least), most) }

func abs[T number](x T) T {
	if x < 0 {
		return -x
	}
	return x + 0 // of -0, 0
}

func neg[T number](x T) T { return -x }

func sign[T number](x T) T {
	var one T = 1
	switch {
	case x > 0:
		return one
	case x < 0:
		return -one
	default:
		return x
	}
}

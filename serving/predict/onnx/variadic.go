package onnx

// variadicOperators calculate with any number of tensors that are broadcast to one
// shape.
func variadicOperators() []operator {
	many := [2]int{1, -1}
	return []operator{
		{name: "Sum", versions: []int{6, 8, 13}, inputs: many, build: func(n *node) (kernel, error) {
			return buildVariadic(n, byFloat(n, n.in[0], folded(plus[float32], nil), folded(plus[float64], nil)))
		}},
		{name: "Mean", versions: []int{6, 8, 13}, inputs: many, build: func(n *node) (kernel, error) {
			return buildVariadic(n, byFloat(n, n.in[0], folded(plus[float32], divideBy[float32]), folded(plus[float64], divideBy[float64])))
		}},
		{name: "Max", versions: []int{6, 8, 12, 13}, inputs: many, build: func(n *node) (kernel, error) {
			return buildVariadic(n, byNumber(n, n.in[0], folded(larger[float32], nil), folded(larger[float64], nil), folded(larger[int64], nil), folded(larger[int32], nil),
				folded(larger[int16], nil), folded(larger[int8], nil), folded(larger[uint64], nil), folded(larger[uint32], nil), folded(larger[uint16], nil), folded(larger[uint8], nil)))
		}},
		{name: "Min", versions: []int{6, 8, 12, 13}, inputs: many, build: func(n *node) (kernel, error) {
			return buildVariadic(n, byNumber(n, n.in[0], folded(smaller[float32], nil), folded(smaller[float64], nil), folded(smaller[int64], nil), folded(smaller[int32], nil),
				folded(smaller[int16], nil), folded(smaller[int8], nil), folded(smaller[uint64], nil), folded(smaller[uint32], nil), folded(smaller[uint16], nil), folded(smaller[uint8], nil)))
		}},
		{name: "Clip", versions: []int{6, 11, 12, 13}, inputs: [2]int{1, 3}, build: buildClip},
	}
}

func buildVariadic(n *node, k kernel) (kernel, error) {
	for i := range n.in {
		n.want(i, allNumbers...)
		n.same(i)
	}
	return n.done(k, n.in[0])
}

func plus[T number](a, b T) T    { return a + b }
func larger[T number](a, b T) T  { return max(a, b) }
func smaller[T number](a, b T) T { return min(a, b) }

func divideBy[T float](values []T, n int) {
	for i := range values {
		values[i] /= T(n)
	}
}

// folded puts the inputs together one after the other; finish gets the result and
// the number of inputs.
func folded[T number](f func(a, b T) T, finish func(values []T, n int)) kernel {
	return func(r *run) error {
		var rooms [2][maxDims]int
		shape := append(rooms[0][:0], r.in[0].shape...)
		for i, in := range r.in[1:] {
			var err error
			if shape, err = broadcast(rooms[(i+1)%2][:0], shape, in.shape); err != nil {
				return err
			}
		}
		out, err := r.make(0, shape...)
		if err != nil {
			return err
		}
		if err := r.spendProduct(out.n, len(r.in)); err != nil {
			return err
		}
		to := view[T](out)
		for i, in := range r.in {
			from := view[T](in)
			w := newWalk(out.shape, out.shape, in.shape)
			w.each(out.n, func(at, _, b int) {
				run := to[at : at+w.inner]
				for j := range run {
					if x := from[b+j*w.sb]; i == 0 {
						run[j] = x
					} else {
						run[j] = f(run[j], x)
					}
				}
			})
		}
		if finish != nil {
			finish(to, len(r.in))
		}
		return nil
	}
}

// buildClip has its bounds in attributes before opset 11, then in inputs.
func buildClip(n *node) (kernel, error) {
	if n.version < 11 {
		least, most := n.has("min"), n.has("max")
		lo, hi := n.float("min", 0), n.float("max", 0)
		bounds := make([]*Tensor, 2)
		if n.in[0] == Float64 {
			if least {
				bounds[0] = constant([]float64{float64(lo)})
			}
			if most {
				bounds[1] = constant([]float64{float64(hi)})
			}
		} else {
			if least {
				bounds[0] = constant([]float32{lo})
			}
			if most {
				bounds[1] = constant([]float32{hi})
			}
		}
		return buildMap(n, byFloat(n, n.in[0], clip[float32](bounds), clip[float64](bounds)))
	}
	n.same(1, 2)
	return buildMap(n, byNumber(n, n.in[0], clip[float32](nil), clip[float64](nil), clip[int64](nil), clip[int32](nil), clip[int16](nil),
		clip[int8](nil), clip[uint64](nil), clip[uint32](nil), clip[uint16](nil), clip[uint8](nil)))
}

// clip bounds each element; of bounds that contradict each other, the upper one
// counts. The bounds are given or else the inputs 1 and 2.
func clip[T number](given []*Tensor) kernel {
	return func(r *run) error {
		bounds := given
		if bounds == nil {
			bounds = r.in[1:]
		}
		out, err := r.make(0, r.in[0].shape...)
		if err != nil {
			return err
		}
		to := view[T](out)
		copy(to, view[T](r.in[0]))
		for i, b := range bounds {
			if b == nil {
				continue
			}
			if b.n != 1 {
				return wrongShape("bound", b.shape, "one value")
			}
			bound := view[T](b)[0]
			if i == 0 {
				for j, x := range to {
					to[j] = max(x, bound)
				}
			} else {
				for j, x := range to {
					to[j] = min(x, bound)
				}
			}
		}
		return nil
	}
}

// intsOf are the values of a tensor of int64 or int32 in the room, which has to be
// large enough.
func intsOf(t *Tensor, room []int) []int {
	room = room[:0]
	if t.typ == Int32 {
		for _, v := range view[int32](t) {
			room = append(room, int(v))
		}
		return room
	}
	for _, v := range view[int64](t) {
		room = append(room, int(v))
	}
	return room
}

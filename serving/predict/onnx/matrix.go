package onnx

import (
	"fmt"
	"slices"
)

func matrixOperators() []operator {
	return []operator{
		{name: "MatMul", versions: []int{1, 9, 13}, inputs: [2]int{2, 2}, build: buildMatMul},
		{name: "Gemm", versions: []int{7, 9, 11, 13}, inputs: [2]int{2, 3}, build: buildGemm},
	}
}

// buildMatMul multiplies as numpy.matmul does. A constant right side is turned
// once, when the model is read.
func buildMatMul(n *node) (kernel, error) {
	n.want(0, Float32, Float64, Int64, Int32, Uint64, Uint32)
	n.same(1)
	if n.err != nil {
		return nil, n.err
	}
	var turned *Tensor
	if b := n.constIn(1); b != nil && b.typ.isFloat() && len(b.shape) == 2 {
		turned = n.transposed(b)
		n.drop(1)
	}
	return n.done(byNumber(n, n.in[0], matmul(turned, dots[float32]), matmul(turned, dots[float64]),
		matmul(nil, dots[int64]), matmul(nil, dots[int32]), nil, nil, matmul(nil, dots[uint64]), matmul(nil, dots[uint32]), nil, nil), n.in[0])
}

// transposed is a constant matrix turned, once for all nodes.
func (n *node) transposed(t *Tensor) *Tensor {
	if out := n.turned[t]; out != nil {
		return out
	}
	rows, columns := t.shape[0], t.shape[1]
	out := t.Clone()
	out.shape = []int{columns, rows}
	if t.typ == Float32 {
		turn(view[float32](out), view[float32](t), rows, columns)
	} else {
		turn(view[float64](out), view[float64](t), rows, columns)
	}
	n.turned[t] = out
	n.bytes += int64(out.bytes())
	return out
}

// turn writes a matrix of rows and columns turned.
func turn[T number](to, from []T, rows, columns int) {
	const block = 16 // both sides of a block stay in the cache
	for i0 := 0; i0 < rows; i0 += block {
		for j0 := 0; j0 < columns; j0 += block {
			for i := i0; i < min(i0+block, rows); i++ {
				for j := j0; j < min(j0+block, columns); j++ {
					to[j*rows+i] = from[i*columns+j]
				}
			}
		}
	}
}

// matmul multiplies stacks of matrices. f is dots; turned is the right side, if it
// is known.
func matmul[T number](turned *Tensor, f func(to, a, b []T, rows, columns, depth int)) kernel {
	return func(r *run) error {
		a := r.in[0].shape
		var b []int
		if turned != nil {
			b = []int{turned.shape[1], turned.shape[0]}
		} else {
			b = r.in[1].shape
		}
		if len(a) == 0 || len(b) == 0 {
			return fmt.Errorf("shapes %v and %v: expected matrices", slices.Clone(a), slices.Clone(b))
		}
		// A vector is a matrix of one row on the left, of one column on the right.
		rows, depth := 1, a[len(a)-1]
		stackA := a[:max(0, len(a)-2)]
		if len(a) > 1 {
			rows = a[len(a)-2]
		}
		columns, deep := 1, b[0]
		stackB := b[:max(0, len(b)-2)]
		if len(b) > 1 {
			columns, deep = b[len(b)-1], b[len(b)-2]
		}
		if deep != depth {
			return fmt.Errorf("shapes %v and %v do not go together: %d is not %d", slices.Clone(a), slices.Clone(b), depth, deep)
		}
		var room, room2 [maxDims]int
		shape, err := broadcast(room[:0], stackA, stackB)
		if err != nil {
			return err
		}
		full := append(room2[:0], shape...)
		if len(a) > 1 {
			full = append(full, rows)
		}
		if len(b) > 1 {
			full = append(full, columns)
		}
		out, err := r.make(0, full...)
		if err != nil || out.n == 0 {
			return err
		}
		if err := r.spendProduct(out.n, depth); err != nil {
			return err
		}
		to, va := view[T](out), view[T](r.in[0])
		if turned != nil {
			f(to, va, view[T](turned), out.n/columns, columns, depth)
			return nil
		}
		side, err := scratchOf[T](r, 0, columns*depth)
		if err != nil {
			return err
		}
		vb := view[T](r.in[1])
		w := newWalk(shape, stackA, stackB)
		stack, _ := elements(shape)
		last := -1
		w.each(stack, func(i, j, k int) {
			for s := range w.inner {
				bAt := (k + s*w.sb) * columns * depth
				if bAt != last { // the same matrix again need not be turned again
					turn(side, vb[bAt:bAt+columns*depth], depth, columns)
					last = bAt
				}
				aAt := (j + s*w.sa) * rows * depth
				f(to[(i+s)*rows*columns:(i+s+1)*rows*columns], va[aAt:aAt+rows*depth], side, rows, columns, depth)
			}
		})
		return nil
	}
}

// dots multiplies a, of rows of depth numbers, with b, whose columns stand as rows
// of depth numbers: each number of the answer is a dot product. Four columns are
// calculated at once, so that the additions of one need not wait for those of
// another, and stay in the nearest cache for all rows.
func dots[T number](to, a, b []T, rows, columns, depth int) {
	j := 0
	for ; j+4 <= columns; j += 4 {
		four := b[j*depth : (j+4)*depth]
		for i := range rows {
			one(to[i*columns+j:i*columns+j+4], a[i*depth:(i+1)*depth], four, depth)
		}
	}
	for ; j < columns; j++ {
		column := b[j*depth : (j+1)*depth]
		for i := range rows {
			to[i*columns+j] = dot(a[i*depth:(i+1)*depth], column)
		}
	}
}

// one is one row with four columns.
func one[T number](to, a, b []T, depth int) {
	b0, b1, b2, b3 := b[:depth], b[depth:2*depth], b[2*depth:3*depth], b[3*depth:4*depth]
	b0, b1, b2, b3 = b0[:len(a)], b1[:len(a)], b2[:len(a)], b3[:len(a)]
	var s0, s1, s2, s3 T
	for k, x := range a {
		s0 += x * b0[k]
		s1 += x * b1[k]
		s2 += x * b2[k]
		s3 += x * b3[k]
	}
	to[0], to[1], to[2], to[3] = s0, s1, s2, s3
}

func dot[T number](a, b []T) T {
	b = b[:len(a)]
	var s0, s1, s2, s3 T
	k := 0
	for ; k+4 <= len(a); k += 4 {
		s0 += a[k] * b[k]
		s1 += a[k+1] * b[k+1]
		s2 += a[k+2] * b[k+2]
		s3 += a[k+3] * b[k+3]
	}
	for ; k < len(a); k++ {
		s0 += a[k] * b[k]
	}
	return s0 + s1 + s2 + s3
}

// buildGemm is alpha*A*B + beta*C, either matrix turned if asked for.
func buildGemm(n *node) (kernel, error) {
	n.want(0, Float32, Float64, Int64, Int32, Uint64, Uint32)
	n.same(1, 2)
	if n.err != nil {
		return nil, n.err
	}
	g := gemm{
		alpha: float64(n.float("alpha", 1)), beta: float64(n.float("beta", 1)),
		turnA: n.truth("transA", false), turnB: n.truth("transB", false),
	}
	if b := n.constIn(1); b != nil && b.typ.isFloat() && len(b.shape) == 2 {
		g.side = b
		if !g.turnB {
			g.side = n.transposed(b)
		}
		n.drop(1)
	}
	return n.done(byNumber(n, n.in[0], gemmOf[float32](g), gemmOf[float64](g), gemmOf[int64](g), gemmOf[int32](g), nil, nil,
		gemmOf[uint64](g), gemmOf[uint32](g), nil, nil), n.in[0])
}

type gemm struct {
	alpha, beta  float64
	turnA, turnB bool
	side         *Tensor // B with its columns as rows, if it is known
}

func gemmOf[T number](g gemm) kernel {
	return func(r *run) error {
		a, b := r.in[0], g.side
		if b == nil {
			b = r.in[1]
		}
		if len(a.shape) != 2 || len(b.shape) != 2 {
			return fmt.Errorf("shapes %v and %v: expected matrices", slices.Clone(a.shape), slices.Clone(b.shape))
		}
		rows, depth := a.shape[0], a.shape[1]
		if g.turnA {
			rows, depth = depth, rows
		}
		deep, columns := b.shape[0], b.shape[1]
		if g.side != nil || g.turnB {
			deep, columns = columns, deep
		}
		if deep != depth {
			return fmt.Errorf("the left side has %d columns: expected %d as the right side has rows", depth, deep)
		}
		out, err := r.make(0, rows, columns)
		if err != nil {
			return err
		}
		if err := r.spendProduct(out.n, depth); err != nil {
			return err
		}
		left, side := view[T](a), view[T](b)
		if g.turnA {
			if left, err = scratchOf[T](r, 0, a.n); err != nil {
				return err
			}
			turn(left, view[T](a), depth, rows)
		}
		if g.side == nil && !g.turnB {
			if side, err = scratchOf[T](r, 1, b.n); err != nil {
				return err
			}
			turn(side, view[T](b), depth, columns)
		}
		to := view[T](out)
		dots(to, left, side, rows, columns, depth)
		if g.alpha != 1 {
			for i, v := range to {
				to[i] = T(T(g.alpha) * v)
			}
		}
		if len(r.in) > 2 && r.in[2] != nil {
			return addTerm(out, r.in[2], T(g.beta))
		}
		return nil
	}
}

// addTerm adds beta times a tensor that is broadcast to the shape of out.
func addTerm[T number](out, c *Tensor, beta T) error {
	var room [maxDims]int
	shape, err := broadcast(room[:0], out.shape, c.shape)
	if err != nil || !slices.Equal(shape, out.shape) {
		return fmt.Errorf("the term has shape %v: expected it to go with %v", slices.Clone(c.shape), slices.Clone(out.shape))
	}
	to, from := view[T](out), view[T](c)
	w := newWalk(out.shape, out.shape, c.shape)
	w.each(out.n, func(i, _, b int) {
		row := to[i : i+w.inner]
		if w.sb == 1 && beta == 1 {
			term := from[b : b+len(row)]
			for j := range row {
				row[j] += term[j]
			}
			return
		}
		for j := range row {
			row[j] += beta * from[b+j*w.sb]
		}
	})
	return nil
}

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

// buildMatMul multiplies as numpy.matmul does. A constant right side is prepared
// once, when the model is read.
func buildMatMul(n *node) (kernel, error) {
	n.want(0, Float32, Float64, Int64, Int32, Uint64, Uint32)
	n.same(1)
	if n.err != nil {
		return nil, n.err
	}
	n.floor = newFloor()
	tiles := tileProducts(n.tiles, n.floor)
	side := n.prepared(1, false, tiles)
	return n.done(byNumber(n, n.in[0], matmul(side, tiles), matmul(side, dotProducts[float64]()),
		matmul(nil, dotProducts[int64]()), matmul(nil, dotProducts[int32]()), nil, nil,
		matmul(nil, dotProducts[uint64]()), matmul(nil, dotProducts[uint32]()), nil, nil), n.in[0])
}

// newFloor is that of a product whose numbers may be any.
func newFloor() *float32 {
	floor := lowest
	return &floor
}

// rightSide is a constant matrix, prepared for a product.
type rightSide struct {
	values         *Tensor
	depth, columns int
}

// sideKey is which matrix, and whether it is turned.
type sideKey struct {
	of     *Tensor
	turned bool
}

// prepared is input i as the right side of a product, if it is a constant matrix of
// reals, once for all nodes; nil if it is not. turned: its rows are the columns.
func (n *node) prepared(i int, turned bool, tiles product[float32]) *rightSide {
	t := n.constIn(i)
	if t == nil || !t.typ.isFloat() || len(t.shape) != 2 {
		return nil
	}
	n.drop(i)
	side := n.sides[sideKey{t, turned}]
	if side != nil {
		return side
	}
	depth, columns, row, column := t.shape[0], t.shape[1], t.shape[1], 1
	if turned {
		depth, columns, row, column = columns, depth, 1, t.shape[1]
	}
	side = &rightSide{depth: depth, columns: columns}
	if t.typ == Float32 {
		values := make([]float32, tiles.size(depth, columns))
		tiles.prepare(values, view[float32](t), depth, columns, row, column)
		side.values = constant(values, len(values))
	} else {
		values := make([]float64, t.n)
		turn(values, view[float64](t), depth, columns, row, column)
		side.values = constant(values, len(values))
	}
	n.sides[sideKey{t, turned}] = side
	n.bytes += int64(side.values.bytes())
	return side
}

// matmul multiplies stacks of matrices; side is the right side, if it is known.
func matmul[T number](side *rightSide, p product[T]) kernel {
	return func(r *run) error {
		a := r.in[0].shape
		var room3 [2]int
		b := room3[:]
		if side != nil {
			b[0], b[1] = side.depth, side.columns
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
		if side != nil {
			return p.multiply(r, to, va, view[T](side.values), out.n/columns, columns, depth, false)
		}
		prepared, err := scratchOf[T](r, 0, p.size(depth, columns))
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
				if bAt != last { // the same matrix again need not be prepared again
					p.prepare(prepared, vb[bAt:bAt+columns*depth], depth, columns, columns, 1)
					last = bAt
				}
				aAt := (j + s*w.sa) * rows * depth
				if e := p.multiply(r, to[(i+s)*rows*columns:(i+s+1)*rows*columns], va[aAt:aAt+rows*depth], prepared, rows, columns, depth, false); e != nil {
					err = e
				}
			}
		})
		return err
	}
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
	floor := newFloor()
	if g.alpha == 1 { // then the product is the last that is done
		n.floor = floor
	}
	tiles := tileProducts(n.tiles, floor)
	g.side = n.prepared(1, g.turnB, tiles)
	return n.done(byNumber(n, n.in[0], gemmOf(g, tiles), gemmOf(g, dotProducts[float64]()), gemmOf(g, dotProducts[int64]()),
		gemmOf(g, dotProducts[int32]()), nil, nil, gemmOf(g, dotProducts[uint64]()), gemmOf(g, dotProducts[uint32]()), nil, nil), n.in[0])
}

type gemm struct {
	alpha, beta  float64
	turnA, turnB bool
	side         *rightSide // B, if it is known
}

func gemmOf[T number](g gemm, p product[T]) kernel {
	return func(r *run) error {
		a := r.in[0]
		var room [2]int
		b := room[:]
		if g.side != nil {
			b[0], b[1] = g.side.depth, g.side.columns
		} else {
			b = r.in[1].shape
		}
		if len(a.shape) != 2 || len(b) != 2 {
			return fmt.Errorf("shapes %v and %v: expected matrices", slices.Clone(a.shape), slices.Clone(b))
		}
		rows, depth := a.shape[0], a.shape[1]
		if g.turnA {
			rows, depth = depth, rows
		}
		deep, columns, row, column := b[0], b[1], b[1], 1
		if g.side == nil && g.turnB {
			deep, columns, row, column = columns, deep, 1, b[1]
		}
		if deep != depth {
			return fmt.Errorf("the left side has %d columns: expected %d as the right side has rows", depth, deep)
		}
		out, err := r.make(0, rows, columns)
		if err != nil || out.n == 0 {
			return err
		}
		if err := r.spendProduct(out.n, depth); err != nil {
			return err
		}
		left := view[T](a)
		if g.turnA {
			if left, err = scratchOf[T](r, 0, a.n); err != nil {
				return err
			}
			turn(left, view[T](a), depth, rows, rows, 1)
		}
		var side []T
		if g.side != nil {
			side = view[T](g.side.values)
		} else {
			if side, err = scratchOf[T](r, 1, p.size(depth, columns)); err != nil {
				return err
			}
			p.prepare(side, view[T](r.in[1]), depth, columns, row, column)
		}
		to := view[T](out)
		term := len(r.in) > 2 && r.in[2] != nil
		if term && g.alpha == 1 {
			clear(to)
			if err := addTerm(out, r.in[2], T(g.beta)); err != nil {
				return err
			}
			return p.multiply(r, to, left, side, rows, columns, depth, true)
		}
		if err := p.multiply(r, to, left, side, rows, columns, depth, false); err != nil {
			return err
		}
		if g.alpha != 1 {
			for i, v := range to {
				to[i] = T(T(g.alpha) * v)
			}
		}
		if term {
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

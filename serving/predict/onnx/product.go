package onnx

// product is how matrices of a type are multiplied.
type product[T number] struct {
	// size is how many numbers the right side has once it is prepared.
	size func(depth, columns int) int
	// prepare writes the right side as multiply reads it. Element k of column j is
	// from[j*column+k*row].
	prepare func(side, from []T, depth, columns, row, column int)
	// multiply makes to, of rows and columns, of a and the prepared side; add: to
	// what it has.
	multiply func(r *run, to, a, side []T, rows, columns, depth int, add bool) error
}

// dotProducts are those of all types but float32.
func dotProducts[T number]() product[T] {
	return product[T]{
		size:    func(depth, columns int) int { return depth * columns },
		prepare: turn[T],
		multiply: func(_ *run, to, a, side []T, rows, columns, depth int, add bool) error {
			dots(to, a, side, rows, columns, depth, add)
			return nil
		},
	}
}

// leastColumns is from how many columns on matrices are multiplied tile by tile:
// of fewer, most of a panel would be empty.
const leastColumns = panelWidth / 2

// tileProducts are those of float32. No number that it makes is below the floor.
// Without vector instructions, dot products are faster.
func tileProducts(t tiler, floor *float32) product[float32] {
	dotted := func(columns int) bool { return columns < leastColumns || t.four == nil }
	return product[float32]{
		size: func(depth, columns int) int {
			if dotted(columns) {
				return depth * columns
			}
			return panelsSize(depth, columns)
		},
		prepare: func(side, from []float32, depth, columns, row, column int) {
			if dotted(columns) {
				turn(side, from, depth, columns, row, column)
			} else {
				lay(side, from, depth, columns, row, column)
			}
		},
		multiply: func(r *run, to, a, side []float32, rows, columns, depth int, add bool) error {
			if dotted(columns) {
				dots(to, a, side, rows, columns, depth, add)
				for i, v := range to {
					to[i] = max(v, *floor)
				}
				return nil
			}
			edge, err := scratchOf[float32](r, 2, tileRows*panelWidth)
			if err != nil {
				return err
			}
			t.multiply(to, columns, a, panels(side, depth), rows, columns, depth, add, *floor, edge)
			return nil
		},
	}
}

// turn writes the columns of a matrix as rows. Element k of column j is
// from[j*column+k*row].
func turn[T number](to, from []T, depth, columns, row, column int) {
	if row == 1 && column == depth {
		copy(to, from[:depth*columns])
		return
	}
	const block = 16 // both sides of a block stay in the cache
	for k0 := 0; k0 < depth; k0 += block {
		for j0 := 0; j0 < columns; j0 += block {
			for k := k0; k < min(k0+block, depth); k++ {
				for j := j0; j < min(j0+block, columns); j++ {
					to[j*depth+k] = from[j*column+k*row]
				}
			}
		}
	}
}

// dots multiplies a, of rows of depth numbers, with b, whose columns stand as rows
// of depth numbers: each number of the answer is a dot product. Four columns are
// calculated at once, so that the additions of one need not wait for those of
// another, and stay in the nearest cache for all rows.
func dots[T number](to, a, b []T, rows, columns, depth int, add bool) {
	if !add {
		clear(to[:rows*columns])
	}
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
			to[i*columns+j] += dot(a[i*depth:(i+1)*depth], column)
		}
	}
}

// one adds one row with four columns.
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
	to[0], to[1], to[2], to[3] = to[0]+s0, to[1]+s1, to[2]+s2, to[3]+s3
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

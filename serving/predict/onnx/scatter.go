package onnx

import (
	"fmt"
	"slices"
)

// reductionOf is what a scatter does with the value that is there already.
func reductionOf(n *node) string {
	switch {
	case n.version < 16:
		return "none"
	case n.version < 18:
		return n.oneOf("reduction", []string{"none", "add", "mul"})
	default:
		return n.oneOf("reduction", []string{"none", "add", "mul", "min", "max"})
	}
}

// joiner joins an update with the value that is there.
func joiner[T number](how string) func(old, update T) T {
	switch how {
	case "add":
		return plus[T]
	case "mul":
		return func(a, b T) T { return a * b }
	case "min":
		return smaller[T]
	case "max":
		return larger[T]
	default:
		return nil
	}
}

func buildScatterElements(n *node) (kernel, error) {
	how, axis := reductionOf(n), n.int("axis", 0)
	n.want(1, indices...)
	n.same(2)
	if how == "none" {
		return n.done(bySize(n.in[0], scatterElements[uint8](axis, nil), scatterElements[uint16](axis, nil), scatterElements[uint32](axis, nil),
			scatterElements[uint64](axis, nil), scatterElements[string](axis, nil)), n.in[0])
	}
	return n.done(byNumber(n, n.in[0], scatterElements(axis, joiner[float32](how)), scatterElements(axis, joiner[float64](how)), scatterElements(axis, joiner[int64](how)),
		scatterElements(axis, joiner[int32](how)), scatterElements(axis, joiner[int16](how)), scatterElements(axis, joiner[int8](how)), scatterElements(axis, joiner[uint64](how)),
		scatterElements(axis, joiner[uint32](how)), scatterElements(axis, joiner[uint16](how)), scatterElements(axis, joiner[uint8](how))), n.in[0])
}

func scatterElements[T any](axis int, join func(old, update T) T) kernel {
	return func(r *run) error {
		x, where, updates := r.in[0], r.in[1], r.in[2]
		axis, err := axisOf(axis, len(x.shape))
		if err != nil {
			return err
		}
		if err := samePlaces(x, where, axis); err != nil {
			return err
		}
		if updates.n != where.n {
			return wrongShape("the updates", updates.shape, fmt.Sprintf("%v as the indices have", slices.Clone(where.shape)))
		}
		if err := copied[T](r); err != nil {
			return err
		}
		if err := r.spendProduct(where.n, 4); err != nil {
			return err
		}
		from, to := view[T](updates), view[T](r.out[0])
		return eachPlace(x, where, axis, func(i, at int) {
			if join != nil {
				to[at] = join(to[at], from[i])
			} else {
				to[at] = from[i]
			}
		})
	}
}

func buildScatterND(n *node) (kernel, error) {
	how := reductionOf(n)
	n.want(1, Int64)
	n.same(2)
	if how == "none" {
		return n.done(bySize(n.in[0], scatterND[uint8](nil), scatterND[uint16](nil), scatterND[uint32](nil), scatterND[uint64](nil), scatterND[string](nil)), n.in[0])
	}
	return n.done(byNumber(n, n.in[0], scatterND(joiner[float32](how)), scatterND(joiner[float64](how)), scatterND(joiner[int64](how)), scatterND(joiner[int32](how)),
		scatterND(joiner[int16](how)), scatterND(joiner[int8](how)), scatterND(joiner[uint64](how)), scatterND(joiner[uint32](how)), scatterND(joiner[uint16](how)),
		scatterND(joiner[uint8](how))), n.in[0])
}

func scatterND[T any](join func(old, update T) T) kernel {
	return func(r *run) error {
		x, where, updates := r.in[0], r.in[1], r.in[2]
		p, err := newPoints(x, where, 0)
		if err != nil {
			return err
		}
		if updates.n != p.count*p.size {
			return wrongShape("the updates", updates.shape, fmt.Sprintf("%d values", p.count*p.size))
		}
		if err := copied[T](r); err != nil {
			return err
		}
		from, to := view[T](updates), view[T](r.out[0])
		for i := range p.count {
			at, err := p.at(x, where, i, 0)
			if err != nil {
				return err
			}
			slice := to[at : at+p.size]
			for j, v := range from[i*p.size : (i+1)*p.size] {
				if join != nil {
					v = join(slice[j], v)
				}
				slice[j] = v
			}
		}
		return r.spend(updates.n)
	}
}

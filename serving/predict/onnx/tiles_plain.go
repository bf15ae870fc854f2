package onnx

import "math"

// lowest is the floor of numbers that may be any.
var lowest = float32(math.Inf(-1))

// plainTiler goes without vector instructions.
func plainTiler() tiler { return tiler{one: onePlain, pairs: pairsPlain} }

// pairsPlain is tiler.pairs.
func pairsPlain(to, a, b []float32) {
	a, b = a[:2*len(to)], b[:2*len(to)]
	for i := range to {
		to[i] = max(a[2*i], a[2*i+1], b[2*i], b[2*i+1])
	}
}

// onePlain is a tile of one row. Four columns are calculated at once, so that the
// additions of one need not wait for those of another.
func onePlain(c []float32, _ int, a []float32, _ int, b []float32, offsets []int32, add bool, floor float32) {
	a = a[:len(offsets)]
	for j := 0; j < panelWidth; j += 4 {
		var s0, s1, s2, s3 float32
		for k, offset := range offsets {
			x, line := a[k], b[int(offset)/4+j:][:4]
			s0 += x * line[0]
			s1 += x * line[1]
			s2 += x * line[2]
			s3 += x * line[3]
		}
		to := c[j : j+4]
		if add {
			s0, s1, s2, s3 = s0+to[0], s1+to[1], s2+to[2], s3+to[3]
		}
		to[0], to[1], to[2], to[3] = max(s0, floor), max(s1, floor), max(s2, floor), max(s3, floor)
	}
}

package onnx

import "golang.org/x/sys/cpu"

// Strides are in bytes.

//go:noescape
func eightByAVX512(c *float32, cRow uintptr, a *float32, aRow uintptr, b *float32, offsets *int32, depth uintptr, add bool, floor float32)

//go:noescape
func fourByAVX2(c *float32, cRow uintptr, a *float32, aRow uintptr, b *float32, offsets *int32, depth uintptr, add bool, floor float32)

//go:noescape
func oneByAVX2(c, a, b *float32, offsets *int32, depth uintptr, add bool, floor float32)

//go:noescape
func pairsByAVX2(to, a, b *float32, eights uintptr)

// bestTiler is what this processor does fastest.
func bestTiler() tiler {
	t := plainTiler()
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA {
		return t
	}
	t = vectorTiler()
	if cpu.X86.HasAVX512F {
		t.eight = eightVectors
	}
	return t
}

// vectorTiler calculates eight numbers at a time. The processor must have AVX2 and
// FMA.
func vectorTiler() tiler {
	return tiler{four: fourVectors, one: oneVector, pairs: pairsVector}
}

// eightVectors is a tile of eight rows, for processors with AVX-512.
func eightVectors(c []float32, cRow int, a []float32, aRow int, b []float32, offsets []int32, add bool, floor float32) {
	eightByAVX512(&c[0], uintptr(cRow)*4, &a[0], uintptr(aRow)*4, &b[0], &offsets[0], uintptr(len(offsets)), add, floor)
}

func fourVectors(c []float32, cRow int, a []float32, aRow int, b []float32, offsets []int32, add bool, floor float32) {
	fourByAVX2(&c[0], uintptr(cRow)*4, &a[0], uintptr(aRow)*4, &b[0], &offsets[0], uintptr(len(offsets)), add, floor)
}

func oneVector(c []float32, _ int, a []float32, _ int, b []float32, offsets []int32, add bool, floor float32) {
	oneByAVX2(&c[0], &a[0], &b[0], &offsets[0], uintptr(len(offsets)), add, floor)
}

func pairsVector(to, a, b []float32) {
	n := len(to)
	a, b = a[:2*n], b[:2*n]
	switch {
	case n == 0:
	case n < 8:
		var x, y [16]float32
		var z [8]float32
		copy(x[:], a)
		copy(y[:], b)
		pairsByAVX2(&z[0], &x[0], &y[0], 1)
		copy(to, z[:])
	default:
		pairsByAVX2(&to[0], &a[0], &b[0], uintptr(n/8))
		if n%8 > 0 { // the last eight, some of them again
			pairsByAVX2(&to[n-8], &a[2*n-16], &b[2*n-16], 1)
		}
	}
}

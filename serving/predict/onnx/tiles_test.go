package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// tilers are all that can be had of this processor, each without what it prefers.
func tilers() map[string]tiler {
	best := bestTiler()
	four, one := best, best
	four.eight = nil
	one.eight, one.four = nil, nil
	return map[string]tiler{"best": best, "four rows": four, "one row": one, "plain": plainTiler()}
}

func randoms(random *rand.Rand, n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = random.Float32() - 0.5
	}
	return values
}

// Every way to multiply gives the sums that float64 gives, whatever the sizes are,
// adds if it is told to, and writes nowhere else.
func TestTilesAgree(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for try := range 300 {
		rows, width, depth := 1+random.IntN(20), 1+random.IntN(50), random.IntN(30)
		if try%10 == 0 {
			depth = 380 + random.IntN(500) // more than a tile is deep
		}
		a, b, before := randoms(random, rows*depth), randoms(random, depth*width), randoms(random, rows*width+tileRows*panelWidth)
		add, floor := try%2 == 0, lowest
		if try%3 == 0 {
			floor = 0
		}
		laid := make([]float32, panelsSize(depth, width))
		lay(laid, b, depth, width, width, 1)
		for name, tiles := range tilers() {
			c := append([]float32{}, before...)
			tiles.multiply(c, width, a, panels(laid, depth), rows, width, depth, add, floor, make([]float32, tileRows*panelWidth))
			for i := range c {
				want, size := float64(before[i]), 1.0
				if i < rows*width {
					if !add {
						want = 0
					}
					for k := range depth {
						term := float64(a[i/width*depth+k]) * float64(b[k*width+i%width])
						want, size = want+term, size+math.Abs(term)
					}
					want = max(want, float64(floor))
				}
				if math.Abs(float64(c[i])-want) > 1e-6*size {
					t.Fatalf("%s: %d rows, %d columns, depth %d, add %v, floor %v: number %d is %v, want %v", name, rows, width, depth, add, floor, i, c[i], want)
				}
			}
		}
	}
}

// NaN is no number that a floor raises, and the larger of NaN and another number.
func TestTilesKeepNaN(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	for name, tiles := range tilers() {
		for _, rows := range []int{1, 4, 8} {
			a, b := make([]float32, rows), make([]float32, panelWidth)
			for i := range b {
				b[i] = -1
			}
			b[5] = nan
			for i := range a {
				a[i] = 1
			}
			c := make([]float32, rows*panelWidth)
			tiles.multiply(c, panelWidth, a, panels(b, 1), rows, panelWidth, 1, false, 0, nil)
			for i, v := range c {
				if i%panelWidth == 5 && v == v || i%panelWidth != 5 && v != 0 {
					t.Errorf("%s: %d rows: number %d is %v", name, rows, i, v)
				}
			}
		}
		for n := range 40 {
			for _, at := range []int{0, 1} {
				x, y, to := make([]float32, 2*n), make([]float32, 2*n), make([]float32, n)
				for i := range x {
					x[i], y[i] = float32(i), float32(-i)
				}
				if n > 3 {
					x[6+at], y[2+at] = nan, nan
				}
				tiles.pairs(to, x, y)
				for i, v := range to {
					if gone := n > 3 && (i == 1 || i == 3); gone != (v != v) || !gone && v != max(x[2*i+1], y[2*i]) {
						t.Errorf("%s: %d pairs: pair %d is %v", name, n, i, v)
					}
				}
			}
		}
	}
}

// Convolutions are what the definition says, in one to three dimensions, with
// strides, padding, dilations and groups.
func TestConvolutionsAgree(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		rank, groups := 1+random.IntN(3), 1+random.IntN(3)
		channels, filters := 1+random.IntN(3), 1+random.IntN(10)
		shape, kernel := []int{1 + random.IntN(2), channels * groups}, []int{filters * groups, channels}
		var strides, pads, dilations []int
		for range rank {
			k, dilation := 1+random.IntN(3), 1+random.IntN(2)
			kernel, dilations, strides = append(kernel, k), append(dilations, dilation), append(strides, 1+random.IntN(5)/4)
			shape = append(shape, (k-1)*dilation+1+random.IntN(20/rank))
		}
		for range 2 * rank {
			pads = append(pads, random.IntN(3))
		}
		n := 1
		for _, dim := range shape {
			n *= dim
		}
		x := randoms(random, n)
		file := of(
			floatInput("x", shape[1:]...), floatsOf("w", random, kernel...), floatsOf("b", random, kernel[0]),
			op("Conv", "x w b", "y", ints("strides", strides...), ints("pads", pads...), ints("dilations", dilations...), intAttr("group", groups)), output("y"),
		)
		for name, tiles := range tilers() {
			m, err := readWith(file, defaultLimits, tiles)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Run([]*Tensor{constant(x, shape...)})
			if err != nil {
				t.Fatal(err)
			}
			if why := definition(got[0], x, shape, constantNamed(m, "w"), kernel, constantNamed(m, "b"), strides, pads, dilations, groups); why != "" {
				t.Fatalf("%s: image %v, weights %v, strides %v, pads %v, dilations %v, groups %d: %s", name, shape, kernel, strides, pads, dilations, groups, why)
			}
		}
	}
}

func constantNamed(m *Model, name string) []float32 {
	i := slices.IndexFunc(m.values, func(v value) bool { return v.name == name })
	return view[float32](m.values[i].constant)
}

// definition says in which number a convolution is not what it is by definition.
func definition(got *Tensor, x []float32, shape []int, weights []float32, kernel []int, bias []float32, strides, pads, dilations []int, groups int) string {
	rank := len(strides)
	window := 1
	for _, k := range kernel[2:] {
		window *= k
	}
	place := make([]int, len(got.shape))
	for i, v := range view[float32](got) {
		filter := place[1]
		want := float64(bias[filter])
		for channel := range kernel[1] {
			k := make([]int, rank)
			for j := range window {
				from, inside := place[0]*shape[1]+filter/(kernel[0]/groups)*kernel[1]+channel, true
				for d := range rank {
					at := place[2+d]*strides[d] - pads[d] + k[d]*dilations[d]
					inside = inside && at >= 0 && at < shape[2+d]
					from = from*shape[2+d] + at
				}
				if inside {
					want += float64(x[from]) * float64(weights[(filter*kernel[1]+channel)*window+j])
				}
				advance(k, kernel[2:])
			}
		}
		if math.Abs(float64(v)-want) > 1e-6 {
			return fmt.Sprintf("number %d is %v, want %v", i, v, want)
		}
		advance(place, got.shape)
	}
	return ""
}

// A Relu is done by the product before it, unless somebody needs what that makes.
func TestReluIsFused(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	parts := []string{floatInput("x", 3), floatsOf("w", random, 3, 20), floatsOf("b", random, 20)}
	for name, c := range map[string]struct {
		nodes []string
		fused bool
	}{
		"alone":             {[]string{op("Gemm", "x w b", "a"), op("Relu", "a", "y"), output("y")}, true},
		"of MatMul":         {[]string{op("MatMul", "x w", "a"), op("Relu", "a", "y"), output("y")}, true},
		"needed by others":  {[]string{op("Gemm", "x w b", "a"), op("Relu", "a", "c"), op("Add", "a c", "y"), output("y")}, false},
		"an output, too":    {[]string{op("Gemm", "x w b", "a"), op("Relu", "a", "y"), output("y"), output("a")}, false},
		"of what is scaled": {[]string{op("Gemm", "x w b", "a", block(1, "alpha")+varint(20, kindFloat)+"\x15\x00\x00\x00\x3f"), op("Relu", "a", "y"), output("y")}, false},
	} {
		m, err := Read(of(append(append([]string{}, parts...), c.nodes...)...))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if fused := m.steps[1].shares; fused != c.fused {
			t.Errorf("%s: fused is %v, want %v", name, fused, c.fused)
		}
		plain, err := readWith(of(append(append([]string{}, parts...), c.nodes...)...), defaultLimits, plainTiler())
		if err != nil {
			t.Fatal(err)
		}
		x := constant([]float32{1, -2, float32(math.NaN()), 3, 4, -5}, 2, 3)
		got, err := m.Run([]*Tensor{x})
		if err != nil {
			t.Fatal(err)
		}
		want, err := plain.Run([]*Tensor{x})
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if err := near(got[i], want[i], tolerance, tolerance); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if v := view[float32](got[i]); v[0] == v[0] || v[20] != v[20] {
				t.Errorf("%s: NaN is not where it should be: %v", name, v)
			}
		}
	}
}

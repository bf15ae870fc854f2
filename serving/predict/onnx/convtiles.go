package onnx

// tiledConv multiplies the weights with columns, each of which is what the window
// covers at one place. No number that it makes is below the floor.
//
// If windows stand side by side, a row of the columns is a stretch of the padded
// image, and nothing need be laid out: what is multiplied are all places of the
// padded image, those between the lines included, whose answers are left out.
// Otherwise the columns are laid out in panels, some at a time.
func tiledConv(t tiler, floor *float32) func(r *run, c *convolved[float32]) error {
	return func(r *run, c *convolved[float32]) error {
		g, err := newGrid(r, c)
		if err != nil {
			return err
		}
		if places := g.places(c); places <= 2*c.outSize {
			return g.multiply(r, c, t, *floor, places)
		}
		return g.multiplyLaid(r, c, t, *floor)
	}
}

// grid is where windows stand on an image with its padding.
type grid struct {
	size    [maxDims]int // of each dimension, with padding
	plane   int          // their product
	room    []float32    // for the padded image, and a panel's width more
	offsets []int32      // of the elements of a window in all channels, from its first; in bytes
}

func newGrid(r *run, c *convolved[float32]) (*grid, error) {
	g := &r.s.grid
	*g = grid{plane: 1, offsets: g.offsets[:0]}
	for d := range c.rank {
		g.size[d] = c.in[d] + c.padBegin[d] + c.padEnd[d]
		if g.size[d] > maxElements/g.plane {
			return nil, &LimitError{"the padding of a convolution is too large"}
		}
		g.plane *= g.size[d]
	}
	if g.plane > (1<<29-1)/max(1, c.channels) { // whose offsets are int32
		return nil, &LimitError{"the images of a convolution are too large"}
	}
	if err := r.spendProduct(c.batch, c.groups, c.channels, g.plane); err != nil {
		return nil, err
	}
	var err error
	if g.room, err = scratchOf[float32](r, 1, c.channels*g.plane+panelWidth); err != nil {
		return nil, err
	}
	clear(g.room)
	for channel := range c.channels {
		var k [maxDims]int
		for range c.kernelSize {
			at := 0
			for d := range c.rank {
				at = at*g.size[d] + k[d]*c.dilation[d]
			}
			g.offsets = append(g.offsets, int32(4*(channel*g.plane+at)))
			advance(k[:c.rank], c.kernel[:c.rank])
		}
	}
	return g, nil
}

// places is how many places of the padded image there are from the first window to
// the last, if windows stand side by side; otherwise more than anyone would want.
func (g *grid) places(c *convolved[float32]) int {
	last := 0
	for d := range c.rank {
		if c.stride[d] != 1 {
			return maxElements
		}
		last = last*g.size[d] + c.out[d] - 1
	}
	return last + 1
}

// pad copies an image, of all channels of a group, into the padding.
func (g *grid) pad(image []float32, c *convolved[float32]) {
	last := c.rank - 1
	width := c.in[last]
	for channel := range c.channels {
		plane, from := g.room[channel*g.plane:], image[channel*c.inSize:(channel+1)*c.inSize]
		var at [maxDims]int
		for i := 0; i < len(from); i += width {
			to := 0
			for d := range c.rank {
				to = to*g.size[d] + at[d] + c.padBegin[d]
			}
			copy(plane[to:], from[i:i+width])
			advance(at[:last], c.in[:last])
		}
	}
}

// multiply makes the answers of all places and takes out those of windows.
func (g *grid) multiply(r *run, c *convolved[float32], t tiler, floor float32, places int) error {
	across := (places + panelWidth - 1) / panelWidth * panelWidth
	sums, err := scratchOf[float32](r, 0, c.filters*across)
	if err != nil {
		return err
	}
	b := columns{values: g.room, next: panelWidth, offsets: g.offsets}
	return c.each(func(to, image, kernels, bias []float32) error {
		g.pad(image, c)
		for f := range c.filters {
			fill(sums[f*across:(f+1)*across], at(bias, f))
		}
		t.multiply(sums, across, kernels, b, c.filters, across, len(g.offsets), true, floor, nil)
		last := c.rank - 1
		width := c.out[last]
		for f := range c.filters {
			plane, from := to[f*c.outSize:(f+1)*c.outSize], sums[f*across:(f+1)*across]
			if places == len(plane) {
				copy(plane, from)
				continue
			}
			var place [maxDims]int
			for i := 0; i < len(plane); i += width {
				copy(plane[i:i+width], from[g.first(c, place[:c.rank]):])
				advance(place[:last], c.out[:last])
			}
		}
		return nil
	})
}

// chunk is how many numbers of columns are laid out at a time: they are still in
// the cache when they are multiplied.
const chunk = 1 << 15

// multiplyLaid lays out columns, and multiplies them.
func (g *grid) multiplyLaid(r *run, c *convolved[float32], t tiler, floor float32) error {
	depth := len(g.offsets)
	atOnce := max(1, chunk/max(1, panelWidth*depth)) * panelWidth // places
	laid, err := scratchOf[float32](r, 0, panelsSize(depth, min(atOnce, c.outSize))+tileRows*panelWidth)
	if err != nil {
		return err
	}
	edge := laid[len(laid)-tileRows*panelWidth:]
	return c.each(func(to, image, kernels, bias []float32) error {
		g.pad(image, c)
		for f := range c.filters {
			fill(to[f*c.outSize:(f+1)*c.outSize], at(bias, f))
		}
		for from := 0; from < c.outSize; from += atOnce {
			n := min(atOnce, c.outSize-from)
			g.lay(laid, c, from, n)
			t.multiply(to[from:], c.outSize, kernels, panels(laid, depth), c.filters, n, depth, true, floor, edge)
		}
		return nil
	})
}

// lay writes the panels of so many places, from one on.
func (g *grid) lay(laid []float32, c *convolved[float32], from, places int) {
	var place [maxDims]int
	rest := from
	for d := c.rank - 1; d >= 0; d-- {
		place[d] = rest % c.out[d]
		rest /= c.out[d]
	}
	for j := 0; j < places; j += panelWidth {
		n := min(panelWidth, places-j)
		var first [panelWidth]int // where in the image the windows begin
		for i := range n {
			first[i] = g.first(c, place[:c.rank])
			advance(place[:c.rank], c.out[:c.rank])
		}
		panel := laid[j*len(g.offsets):]
		for k, offset := range g.offsets {
			line, image := panel[k*panelWidth:(k+1)*panelWidth], g.room[offset/4:]
			for i, begin := range first[:n] {
				line[i] = image[begin]
			}
			clear(line[n:])
		}
	}
}

// first is where in the padded image the window at a place begins.
func (g *grid) first(c *convolved[float32], place []int) (first int) {
	for d, i := range place {
		first = first*g.size[d] + i*c.stride[d]
	}
	return first
}

// at is number i, 0 if there are none.
func at[T number](values []T, i int) T {
	if values == nil {
		return 0
	}
	return values[i]
}

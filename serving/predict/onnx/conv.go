package onnx

import (
	"fmt"
	"slices"
)

func convolutionOperators() []operator {
	return []operator{
		{name: "Conv", versions: []int{1, 11, 22}, inputs: [2]int{2, 3}, build: buildConv},
		{name: "ConvTranspose", versions: []int{1, 11, 22}, inputs: [2]int{2, 3}, build: buildConvTranspose},
		{name: "MaxPool", versions: []int{1, 8, 10, 11, 12, 22}, inputs: [2]int{1, 1}, build: buildMaxPool},
		{name: "AveragePool", versions: []int{1, 7, 10, 11, 19, 22}, inputs: [2]int{1, 1}, build: buildAveragePool},
		{name: "GlobalAveragePool", versions: []int{1, 22}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			n.want(0, allFloats...)
			return n.done(byFloat(n, n.in[0], globally(meanOf[float32]), globally(meanOf[float64])), n.in[0])
		}},
		{name: "GlobalMaxPool", versions: []int{1, 22}, inputs: [2]int{1, 1}, build: func(n *node) (kernel, error) {
			n.want(0, allFloats...)
			return n.done(byFloat(n, n.in[0], globally(slices.Max[[]float32]), globally(slices.Max[[]float64])), n.in[0])
		}},
	}
}

func buildConv(n *node) (kernel, error) {
	n.want(0, allFloats...)
	n.same(1, 2)
	w, groups := newWindow(n), n.int("group", 1)
	if groups < 1 {
		n.fail(wrong("attribute group: %d: expected 1 or more", groups))
	}
	n.floor = newFloor()
	return n.done(byFloat(n, n.in[0], conv(w, groups, tiledConv(n.tiles, n.floor)), conv(w, groups, dottedConv[float64])), n.in[0])
}

// convolved is one convolution: a batch of images with channels in groups.
type convolved[T float] struct {
	place
	to, from, kernels, bias          []T // bias: nil for none
	batch, groups, channels, filters int // channels and filters: of one group
}

// conv checks what goes in, and calls work.
func conv[T float](w window, groups int, work func(r *run, c *convolved[T]) error) kernel {
	return func(r *run) error {
		x, weights := r.in[0], r.in[1]
		if len(weights.shape) < 3 || len(x.shape) != len(weights.shape) {
			return fmt.Errorf("shapes %v and %v: expected a batch of images and as many dimensions of weights", slices.Clone(x.shape), slices.Clone(weights.shape))
		}
		p, err := w.fit(x.shape, weights.shape[2:])
		if err != nil {
			return err
		}
		batch, channels := x.shape[0], x.shape[1]
		filters, depth := weights.shape[0], weights.shape[1]
		if channels != depth*groups || filters%groups > 0 {
			return fmt.Errorf("%d channels and %d filters of %d channels do not make %d groups", channels, filters, depth, groups)
		}
		var bias []T
		if len(r.in) > 2 && r.in[2] != nil {
			if bias = view[T](r.in[2]); len(bias) != filters {
				return wrongShape("the bias", r.in[2].shape, fmt.Sprintf("%d values", filters))
			}
		}
		var room [maxDims]int
		out, err := r.make(0, p.shape(room[:0], batch, filters)...)
		if err != nil || out.n == 0 {
			return err
		}
		row := depth * p.kernelSize
		if err := r.spendProduct(out.n, row+1); err != nil {
			return err
		}
		if p.outSize > maxElements/max(row, 1) {
			return &LimitError{"the windows of a convolution are too many"}
		}
		return work(r, &convolved[T]{
			place: p, to: view[T](out), from: view[T](x), kernels: view[T](weights), bias: bias,
			batch: batch, groups: groups, channels: depth, filters: filters / groups,
		})
	}
}

// each calls group for each group of each image: what it makes, the image's
// channels, the weights and the bias, nil if there is none.
func (c *convolved[T]) each(group func(to, image, kernels, bias []T) error) error {
	row := c.channels * c.kernelSize
	for n := range c.batch * c.groups {
		g := n % c.groups
		var bias []T
		if c.bias != nil {
			bias = c.bias[g*c.filters : (g+1)*c.filters]
		}
		if err := group(c.to[n*c.filters*c.outSize:][:c.filters*c.outSize], c.from[n*c.channels*c.inSize:][:c.channels*c.inSize],
			c.kernels[g*c.filters*row:][:c.filters*row], bias); err != nil {
			return err
		}
	}
	return nil
}

// dottedConv lays out what each window covers as a row and multiplies the rows with
// the weights: the weights of one output channel are such a row, too.
func dottedConv[T float](r *run, c *convolved[T]) error {
	row := c.channels * c.kernelSize
	rows, err := scratchOf[T](r, 0, c.outSize*row)
	if err != nil {
		return err
	}
	return c.each(func(to, image, kernels, bias []T) error {
		for f := range c.filters {
			fill(to[f*c.outSize:(f+1)*c.outSize], at(bias, f))
		}
		spread(rows, image, &c.place, c.channels)
		dots(to, kernels, rows, c.filters, c.outSize, row, true)
		return nil
	})
}

// spread writes, for every place of the window, what it covers in all channels; 0
// outside.
func spread[T float](rows, image []T, p *place, channels int) {
	var at, in [maxDims]int
	width := channels * p.kernelSize
	for place := 0; place < p.outSize; place++ {
		row := rows[place*width : (place+1)*width]
		for c := range channels {
			plane := image[c*p.inSize : (c+1)*p.inSize]
			clear(in[:p.rank])
			for k := range p.kernelSize {
				row[c*p.kernelSize+k] = 0
				if j, inside := p.cover(at[:p.rank], in[:p.rank]); inside {
					row[c*p.kernelSize+k] = plane[j]
				}
				advance(in[:p.rank], p.kernel[:p.rank])
			}
		}
		advance(at[:p.rank], p.out[:p.rank])
	}
}

// cover is the index of what element k of the window at a place covers.
func (p *place) cover(at, k []int) (index int, inside bool) {
	for d := range k {
		i := at[d]*p.stride[d] - p.padBegin[d] + k[d]*p.dilation[d]
		if uint(i) >= uint(p.in[d]) {
			return 0, false
		}
		index = index*p.in[d] + i
	}
	return index, true
}

func buildConvTranspose(n *node) (kernel, error) {
	n.want(0, allFloats...)
	n.same(1, 2)
	t := transposition{window: newWindow(n), groups: n.int("group", 1), extra: n.ints("output_padding"), size: n.ints("output_shape")}
	if t.groups < 1 {
		n.fail(wrong("attribute group: %d: expected 1 or more", t.groups))
	}
	for _, v := range append(slices.Clone(t.extra), t.size...) {
		if v < 0 || v > 1<<20 {
			n.fail(wrong("output_padding and output_shape: %d: expected 0 or more", v))
		}
	}
	return n.done(byFloat(n, n.in[0], convTranspose[float32](t), convTranspose[float64](t)), n.in[0])
}

// transposition is what ConvTranspose has beside a window.
type transposition struct {
	window
	groups      int
	extra, size []int
}

// fitBack puts the window on the output: p.in is what is made, p.out what it is
// made of.
func (t *transposition) fitBack(shape, kernel []int) (p place, err error) {
	p.rank = len(shape) - 2
	for _, list := range [][]int{t.kernel, t.strides, t.dilations, t.extra} {
		if list != nil && len(list) != p.rank {
			return p, fmt.Errorf("attributes are for %d dimensions, there are %d", len(list), p.rank)
		}
	}
	if t.pads != nil && len(t.pads) != 2*p.rank || t.size != nil && len(t.size) < p.rank {
		return p, fmt.Errorf("pads or output_shape are not for %d dimensions", p.rank)
	}
	p.inSize, p.outSize, p.kernelSize = 1, 1, 1
	for i := range p.rank {
		p.out[i], p.kernel[i], p.stride[i], p.dilation[i] = shape[i+2], kernel[i], 1, 1
		if t.strides != nil {
			p.stride[i] = t.strides[i]
		}
		if t.dilations != nil {
			p.dilation[i] = t.dilations[i]
		}
		extra := 0
		if t.extra != nil {
			extra = t.extra[i]
		}
		full := (p.out[i]-1)*p.stride[i] + extra + (p.kernel[i]-1)*p.dilation[i] + 1
		same := t.auto == "SAME_UPPER" || t.auto == "SAME_LOWER"
		switch {
		case t.size != nil || same:
			p.in[i] = p.out[i] * p.stride[i]
			if t.size != nil {
				p.in[i] = t.size[len(t.size)-p.rank+i]
			}
			total := max(0, full-p.in[i])
			p.padBegin[i] = total / 2
			if t.auto == "SAME_LOWER" {
				p.padBegin[i] = total - total/2
			}
			p.padEnd[i] = total - p.padBegin[i]
		default:
			if t.pads != nil && t.auto == "NOTSET" {
				p.padBegin[i], p.padEnd[i] = t.pads[i], t.pads[p.rank+i]
			}
			p.in[i] = full - p.padBegin[i] - p.padEnd[i]
		}
		if p.in[i] < 1 || p.in[i] > maxElements {
			return p, fmt.Errorf("dimension %d would have size %d", i+2, p.in[i])
		}
		p.inSize, p.outSize, p.kernelSize = p.inSize*p.in[i], p.outSize*p.out[i], p.kernelSize*p.kernel[i]
		if p.inSize > maxElements || p.kernelSize > maxElements {
			return p, &LimitError{"a window is too large"}
		}
	}
	return p, nil
}

// convTranspose adds, for every element of the input, the weights times it to what
// the window there covers.
func convTranspose[T float](t transposition) kernel {
	return func(r *run) error {
		x, weights := r.in[0], r.in[1]
		if len(weights.shape) < 3 || len(x.shape) != len(weights.shape) {
			return fmt.Errorf("shapes %v and %v: expected a batch of images and as many dimensions of weights", slices.Clone(x.shape), slices.Clone(weights.shape))
		}
		p, err := t.fitBack(x.shape, weights.shape[2:])
		if err != nil {
			return err
		}
		batch, channels, each := x.shape[0], x.shape[1], weights.shape[1]
		filters := each * t.groups
		if weights.shape[0] != channels || channels%t.groups > 0 {
			return fmt.Errorf("%d channels and weights for %d do not make %d groups", channels, weights.shape[0], t.groups)
		}
		var room [maxDims]int
		out, err := r.make(0, append(append(room[:0], batch, filters), p.in[:p.rank]...)...)
		if err != nil || out.n == 0 {
			return err
		}
		if err := r.spendProduct(x.n, each, p.kernelSize, 4); err != nil {
			return err
		}
		to, from, kernels := view[T](out), view[T](x), view[T](weights)
		var bias []T
		if len(r.in) > 2 && r.in[2] != nil {
			if bias = view[T](r.in[2]); len(bias) != filters {
				return wrongShape("the bias", r.in[2].shape, fmt.Sprintf("%d values", filters))
			}
		}
		for i := range to {
			to[i] = 0
			if bias != nil {
				to[i] = bias[i/p.inSize%filters]
			}
		}
		for image := range batch {
			for c := range channels {
				g := c / (channels / t.groups)
				plane := from[(image*channels+c)*p.outSize : (image*channels+c+1)*p.outSize]
				for f := range each {
					at := (image*filters + g*each + f) * p.inSize
					k := (c*each + f) * p.kernelSize
					scatter(to[at:at+p.inSize], plane, kernels[k:k+p.kernelSize], &p)
				}
			}
		}
		return nil
	}
}

// scatter adds what each element of a plane gives through the weights.
func scatter[T float](to, plane, weights []T, p *place) {
	var at, k [maxDims]int
	for _, x := range plane {
		clear(k[:p.rank])
		for _, weight := range weights {
			if j, inside := p.cover(at[:p.rank], k[:p.rank]); inside {
				to[j] += x * weight
			}
			advance(k[:p.rank], p.kernel[:p.rank])
		}
		advance(at[:p.rank], p.out[:p.rank])
	}
}

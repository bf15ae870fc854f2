package onnx

import (
	"fmt"
	"slices"
)

// window is how a kernel slides over the spatial dimensions of a tensor, which
// come after the batch and the channels.
type window struct {
	kernel    []int // nil: not said, the weights say
	strides   []int
	dilations []int
	pads      []int // at the begin of each dimension, then at the end of each
	auto      string
	ceil      bool // the last window may stand partly outside
}

// newWindow reads the attributes that convolutions and pools share.
func newWindow(n *node) window {
	w := window{
		kernel: n.ints("kernel_shape"), strides: n.ints("strides"), dilations: n.ints("dilations"), pads: n.ints("pads"),
		auto: n.oneOf("auto_pad", []string{"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"}),
	}
	w.ceil = n.op != "Conv" && n.op != "ConvTranspose" && n.truth("ceil_mode", false)
	for _, list := range [][]int{w.kernel, w.strides, w.dilations} {
		for _, v := range list {
			if v < 1 || v > 1<<20 {
				n.fail(wrong("kernel_shape, strides and dilations: %d: expected 1 or more", v))
			}
		}
	}
	for _, v := range w.pads {
		if v < 0 || v > 1<<20 {
			n.fail(wrong("pads: %d: expected 0 or more", v))
		}
	}
	return w
}

// place is a window on a tensor of known size.
type place struct {
	rank                                int // number of spatial dimensions
	in, kernel, out, stride, dilation   [maxDims]int
	padBegin, padEnd                    [maxDims]int
	inSize, outSize, kernelSize, stacks int // products; stacks is batch times channels
}

// fit puts the window on a tensor of the shape. kernel is that of the weights, nil
// for pools.
func (w *window) fit(shape, kernel []int) (p place, err error) {
	p.rank = len(shape) - 2
	if kernel == nil {
		kernel = w.kernel
	}
	if p.rank < 1 || len(kernel) != p.rank ||
		w.strides != nil && len(w.strides) != p.rank || w.dilations != nil && len(w.dilations) != p.rank || w.pads != nil && len(w.pads) != 2*p.rank {
		return p, fmt.Errorf("shape %v: expected a batch, channels and as many dimensions as the window has (%d)", slices.Clone(shape), len(kernel))
	}
	if w.kernel != nil && !slices.Equal(w.kernel, kernel) {
		return p, fmt.Errorf("kernel_shape is %v: expected %v as the weights have", w.kernel, slices.Clone(kernel))
	}
	p.inSize, p.outSize, p.kernelSize, p.stacks = 1, 1, 1, shape[0]*shape[1]
	for i := range p.rank {
		p.in[i], p.kernel[i], p.stride[i], p.dilation[i] = shape[i+2], kernel[i], 1, 1
		if w.strides != nil {
			p.stride[i] = w.strides[i]
		}
		if w.dilations != nil {
			p.dilation[i] = w.dilations[i]
		}
		reach := (p.kernel[i]-1)*p.dilation[i] + 1
		w.pad(&p, i, reach)
		room := p.in[i] + p.padBegin[i] + p.padEnd[i] - reach
		if room < 0 || p.kernel[i] < 1 {
			return p, fmt.Errorf("dimension %d has size %d: too small for a window of %d", i+2, p.in[i], reach)
		}
		p.out[i] = room/p.stride[i] + 1
		if w.ceil && room%p.stride[i] > 0 && p.out[i]*p.stride[i] < p.in[i]+p.padBegin[i] {
			p.out[i]++ // the last window must not begin beyond the end
		}
		p.inSize, p.outSize, p.kernelSize = p.inSize*p.in[i], p.outSize*p.out[i], p.kernelSize*p.kernel[i]
		if p.outSize > maxElements || p.kernelSize > maxElements {
			return p, &LimitError{"a window is too large"}
		}
	}
	return p, nil
}

// pad finds the padding of dimension i.
func (w *window) pad(p *place, i, reach int) {
	switch w.auto {
	case "VALID":
	case "SAME_UPPER", "SAME_LOWER":
		out := (p.in[i] + p.stride[i] - 1) / p.stride[i]
		total := max(0, (out-1)*p.stride[i]+reach-p.in[i])
		p.padBegin[i] = total / 2
		if w.auto == "SAME_LOWER" {
			p.padBegin[i] = total - total/2
		}
		p.padEnd[i] = total - p.padBegin[i]
	default:
		if w.pads != nil {
			p.padBegin[i], p.padEnd[i] = w.pads[i], w.pads[p.rank+i]
		}
	}
}

// shape appends the shape of the output.
func (p *place) shape(room []int, batch, channels int) []int {
	return append(append(room, batch, channels), p.out[:p.rank]...)
}

// advance counts index up within dims, the last dimension first; after the last
// place comes the first.
func advance(index, dims []int) {
	for k := len(dims) - 1; k >= 0; k-- {
		if index[k]++; index[k] < dims[k] {
			return
		}
		index[k] = 0
	}
}

package onnx

import (
	"fmt"
	"os"
	"slices"
	"time"
	"unsafe"
)

// Session carries out runs one after the other in the same memory: once it has
// seen the largest shapes, a run allocates nothing. Its outputs are valid until
// the next run. A Session must not be used by two goroutines at once; a model can
// have any number of sessions.
type Session struct {
	m       *Model
	values  []Tensor // by value id; those of constants and inputs point elsewhere
	runs    []run    // one for each step
	buffers []buffer
	scratch [scratches]buffer
	outputs []*Tensor
	header  Tensor // of scratch memory
	grid    grid   // of the convolution that is done
	bytes   int64  // of all buffers
	work    int64  // that this run has spent
}

// scratches is how many buffers a kernel may ask for beside its outputs.
const scratches = 3

// buffer is the memory of values that are not needed at the same time.
type buffer struct {
	words []uint64
	texts []string
}

// run is one step of a session: what its kernel works on.
type run struct {
	s   *Session
	in  []*Tensor // nil: omitted
	out []*Tensor
	to  []int // buffers of the outputs
}

// NewSession is a session of the model.
func (m *Model) NewSession() *Session {
	s := &Session{m: m, values: make([]Tensor, len(m.values)), buffers: make([]buffer, m.buffers)}
	for id, v := range m.values {
		s.values[id].typ = v.typ
		if v.constant != nil {
			s.values[id] = *v.constant
		}
	}
	s.runs = make([]run, len(m.steps))
	for i, step := range m.steps {
		r := &s.runs[i]
		r.s = s
		for _, id := range step.in {
			if id < 0 {
				r.in = append(r.in, nil)
			} else {
				r.in = append(r.in, &s.values[id])
			}
		}
		for _, id := range step.out {
			r.out = append(r.out, &s.values[id])
			r.to = append(r.to, m.values[id].buffer)
		}
	}
	for _, out := range m.outputs {
		s.outputs = append(s.outputs, &s.values[out.id])
	}
	return s
}

// Run computes the outputs, in the order of Model.Outputs, from the inputs, in the
// order of Model.Inputs. An *InputError says that an input is not what the model
// declares, a *LimitError that the run would take too much, a *ValueError that
// some node has no answer to a value; another error is a node that cannot be carried
// out on these inputs, such as one whose shapes do not go together.
func (s *Session) Run(inputs []*Tensor) ([]*Tensor, error) {
	return s.RunUntil(time.Time{}, inputs)
}

// RunUntil is Run that ends with os.ErrDeadlineExceeded before the first node that
// would begin after the deadline; the zero time is none.
func (s *Session) RunUntil(deadline time.Time, inputs []*Tensor) ([]*Tensor, error) {
	if err := s.m.check(inputs); err != nil {
		return nil, err
	}
	for i, in := range s.m.inputs {
		s.values[in.id] = *inputs[i]
	}
	s.work = 0
	for i := range s.runs {
		if !deadline.IsZero() && time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: %w", s.m.steps[i].name, os.ErrDeadlineExceeded)
		}
		if err := s.m.steps[i].kernel(&s.runs[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", s.m.steps[i].name, err)
		}
	}
	return s.outputs, nil
}

// Run is Session.Run in a session of the model's own, with outputs that stay
// valid. Any number of goroutines may call it at once.
func (m *Model) Run(inputs []*Tensor) ([]*Tensor, error) {
	return m.RunUntil(time.Time{}, inputs)
}

// RunUntil is Run with the deadline of Session.RunUntil.
func (m *Model) RunUntil(deadline time.Time, inputs []*Tensor) ([]*Tensor, error) {
	s, _ := m.sessions.Get().(*Session)
	if s == nil {
		s = m.NewSession()
	}
	outputs, err := s.RunUntil(deadline, inputs)
	if err != nil {
		return nil, err // what the session has begun is thrown away
	}
	clones := make([]*Tensor, len(outputs))
	for i, t := range outputs {
		clones[i] = t.Clone()
	}
	for _, in := range m.inputs {
		s.values[in.id] = Tensor{} // the caller's memory is not kept
	}
	if s.bytes <= keepBytes {
		m.sessions.Put(s)
	}
	return clones, nil
}

// keepBytes is how much memory a session may have that is kept for the next run.
const keepBytes = 64 << 20

// make gives output i its shape and memory, whose content is undefined.
func (r *run) make(i int, shape ...int) (*Tensor, error) {
	t := r.out[i]
	n, ok := elements(shape)
	if !ok {
		if len(shape) > maxDims || slices.ContainsFunc(shape, func(dim int) bool { return dim < 0 }) {
			return nil, fmt.Errorf("output %d would have shape %v", i, slices.Clone(shape))
		}
		return nil, &LimitError{fmt.Sprintf("output %d would have shape %v", i, slices.Clone(shape))}
	}
	t.shape = append(t.shape[:0], shape...)
	t.n = n
	b := &r.s.buffers[r.to[i]]
	if t.typ == String {
		if err := r.s.growTexts(b, n); err != nil {
			return nil, err
		}
		t.at = unsafe.Pointer(unsafe.SliceData(b.texts))
		return t, r.spend(n)
	}
	if err := r.s.grow(b, t.bytes()); err != nil {
		return nil, err
	}
	t.at = unsafe.Pointer(unsafe.SliceData(b.words))
	return t, r.spend(n)
}

// elements is how many elements a shape has, if there can be such a tensor.
func elements(shape []int) (n int, ok bool) {
	n = 1
	for _, dim := range shape {
		if dim < 0 || dim > 0 && n > maxElements/dim {
			return 0, false
		}
		n *= dim
	}
	return n, len(shape) <= maxDims
}

// share makes output 0 the values of input 0 in another shape.
func (r *run) share(shape ...int) error {
	from, to := r.in[0], r.out[0]
	if n, ok := elements(shape); !ok || n != from.n {
		return fmt.Errorf("%d values of shape %v do not fit shape %v", from.n, from.shape, slices.Clone(shape))
	}
	to.shape = append(to.shape[:0], shape...)
	to.n, to.at = from.n, from.at
	return nil
}

// grow makes the buffer large enough.
func (s *Session) grow(b *buffer, bytes int) error {
	if bytes <= cap(b.words)*8 {
		return nil
	}
	words := (bytes + 7) / 8
	if err := s.take(int64(words-cap(b.words)) * 8); err != nil {
		return err
	}
	b.words = make([]uint64, words)
	return nil
}

func (s *Session) growTexts(b *buffer, n int) error {
	if n <= cap(b.texts) {
		return nil
	}
	if err := s.take(int64(n-cap(b.texts)) * int64(String.size())); err != nil {
		return err
	}
	b.texts = make([]string, n)
	return nil
}

// take counts bytes of memory against the limit.
func (s *Session) take(bytes int64) error {
	if bytes > s.m.limits.Bytes-s.bytes {
		return &LimitError{fmt.Sprintf("a run takes more than %d bytes", s.m.limits.Bytes)}
	}
	s.bytes += bytes
	return nil
}

// spend counts steps of calculation against the limit.
func (r *run) spend(steps int) error {
	r.s.work += int64(steps)
	if r.s.work > r.s.m.limits.Steps || r.s.work < 0 {
		return &LimitError{fmt.Sprintf("a run takes more than %d steps of calculation", r.s.m.limits.Steps)}
	}
	return nil
}

// spendProduct counts a product of steps, which may be beyond any number.
func (r *run) spendProduct(factors ...int) error {
	steps := 1
	for _, f := range factors {
		if f > 0 && steps > maxElements*1024/f {
			steps = maxElements * 1024
			break
		}
		steps *= f
	}
	return r.spend(steps)
}

// over is a tensor in scratch memory, until the next one.
func over[T number](r *run, typ Type, values []T) *Tensor {
	r.s.header = Tensor{typ: typ, n: len(values), at: pointer(values)}
	return &r.s.header
}

// scratchOf is memory for n numbers until the end of the step; its content is
// undefined. k is which of the session's scratch buffers it is.
func scratchOf[T number](r *run, k, n int) ([]T, error) {
	var zero T
	b := &r.s.scratch[k]
	if n > maxElements {
		return nil, &LimitError{"a step takes too much memory"}
	}
	if err := r.s.grow(b, n*int(unsafe.Sizeof(zero))); err != nil {
		return nil, err
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b.words))), n), nil
}

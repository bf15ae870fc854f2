package onnx

// plan leaves out what no output needs and gives the values buffers: two values
// have the same one if the first is needed no more when the second is made. It is
// done once; at a run, a buffer only grows.
func (m *Model) plan() {
	m.prune()
	m.fuse()
	last := m.lifetimes()
	free := map[bool][]int{} // buffers that nobody needs now, for text and for numbers
	for i, s := range m.steps {
		for j, id := range s.out {
			v := &m.values[id]
			if s.shares {
				continue
			}
			text := v.typ == String
			if j == 0 && s.inPlace && m.mayOverwrite(s, i, last) {
				v.buffer = m.values[m.values[s.in[0]].root].buffer
				continue
			}
			if n := len(free[text]); n > 0 {
				v.buffer = free[text][n-1]
				free[text] = free[text][:n-1]
			} else {
				v.buffer = m.buffers
				m.buffers++
			}
		}
		m.release(i, s, last, free)
	}
}

// mayOverwrite reports whether nothing needs the input of step i after it.
func (m *Model) mayOverwrite(s step, i int, last []int) bool {
	if s.in[0] < 0 {
		return false
	}
	root := m.values[s.in[0]].root
	in, out := &m.values[root], &m.values[s.out[0]]
	return in.buffer >= 0 && last[root] == i && in.typ == out.typ
}

// release gives back the buffers of the values that nothing needs after step i.
func (m *Model) release(i int, s step, last []int, free map[bool][]int) {
	seen := map[int]bool{}
	for _, ids := range [][]int{s.in, s.out} {
		for _, id := range ids {
			if id < 0 {
				continue
			}
			root := m.values[id].root
			v := &m.values[root]
			if v.buffer < 0 || last[root] != i || seen[v.buffer] {
				continue
			}
			seen[v.buffer] = true
			if s.inPlace && len(s.out) > 0 && root != s.out[0] && m.values[s.out[0]].buffer == v.buffer {
				continue // it has been handed on
			}
			free[v.typ == String] = append(free[v.typ == String], v.buffer)
		}
	}
}

// prune leaves out the steps that no output depends on, and the constants that no
// step reads.
func (m *Model) prune() {
	needed := make([]bool, len(m.values))
	for _, out := range m.outputs {
		needed[out.id] = true
	}
	kept := len(m.steps)
	for i := len(m.steps) - 1; i >= 0; i-- {
		s := m.steps[i]
		wanted := false
		for _, id := range s.out {
			wanted = wanted || needed[id]
		}
		if !wanted {
			continue
		}
		for _, id := range s.in {
			if id >= 0 {
				needed[id] = true
			}
		}
		kept--
		m.steps[kept] = s
	}
	m.steps = m.steps[kept:]
	for id := range m.values {
		if !needed[id] {
			m.values[id].constant = nil
		}
	}
}

// fuse leaves the work of a Relu to the product before it, if nobody else needs what
// that makes.
func (m *Model) fuse() {
	uses, maker := make([]int, len(m.values)), make([]int, len(m.values))
	for _, out := range m.outputs {
		uses[out.id]++
	}
	for i := range m.steps {
		for _, id := range m.steps[i].in {
			if id >= 0 {
				uses[id]++
			}
		}
		for _, id := range m.steps[i].out {
			maker[id] = i + 1
		}
	}
	for i := range m.steps {
		s := &m.steps[i]
		if !s.relu || uses[s.in[0]] != 1 || maker[s.in[0]] == 0 {
			continue
		}
		if before := &m.steps[maker[s.in[0]]-1]; before.floor != nil && before.out[0] == s.in[0] {
			*before.floor = 0
			s.kernel, s.shares, s.inPlace = shareSame, true, false
		}
	}
}

// lifetimes finds out which values share memory, and which step is the last that
// needs the memory of each.
func (m *Model) lifetimes() (last []int) {
	last = make([]int, len(m.values))
	for i, s := range m.steps {
		if s.shares && s.in[0] >= 0 {
			m.values[s.out[0]].root = m.values[s.in[0]].root
		}
		for _, ids := range [][]int{s.in, s.out} {
			for _, id := range ids {
				if id >= 0 {
					last[m.values[id].root] = i
				}
			}
		}
	}
	for _, out := range m.outputs {
		last[m.values[out.id].root] = len(m.steps)
	}
	return last
}

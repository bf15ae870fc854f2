package onnx

import (
	"math"
	"slices"
)

// machine is a support vector machine that tells classes apart in pairs.
type machine struct {
	similarity
	labels         *Tensor
	starts, counts []int // of the support vectors of each class
	proba, probb   []float64
	positive       bool // no coefficient is negative
	transform      string
}

func buildSVMClassifier(n *node) (kernel, error) {
	m := machine{similarity: newSimilarity(n), labels: labelsOf(n, "classlabels_strings", "classlabels_ints")}
	m.proba, m.probb = reals(n.floats("prob_a")), reals(n.floats("prob_b"))
	m.transform = n.oneOf("post_transform", transforms)
	m.counts = n.ints("vectors_per_class")
	if n.err != nil {
		return nil, n.err
	}
	for _, c := range m.counts {
		if c < 0 || c > len(m.vectors) {
			return nil, wrong("attribute vectors_per_class: %d: expected 0 or more", c)
		}
		m.starts = append(m.starts, m.count)
		m.count += c
	}
	classes := m.labels.n
	pairs := classes * (classes - 1) / 2
	m.positive = !slices.ContainsFunc(m.coefficients, func(c float64) bool { return c < 0 })
	n.labels, n.labelled = m.labels, 1
	if m.count == 0 {
		if len(m.coefficients)%classes > 0 {
			return nil, wrong("%d coefficients are not for %d classes", len(m.coefficients), classes)
		}
		m.columns, m.name = len(m.coefficients)/classes, "LINEAR"
		return n.done(m.straight, m.labels.typ, Float32)
	}
	switch {
	case len(m.counts) != classes:
		return nil, wrong("attribute vectors_per_class: %d values: expected %d, one for each class", len(m.counts), classes)
	case classes < 2:
		return nil, wrong("%d class: expected 2 or more", classes)
	case len(m.vectors)%m.count > 0 || len(m.vectors) == 0 || len(m.coefficients) != (classes-1)*m.count || len(m.rho) != pairs:
		return nil, wrong("%d values of %d support vectors, %d coefficients and %d rho do not go together", len(m.vectors), m.count, len(m.coefficients), len(m.rho))
	case len(m.proba) != len(m.probb) || len(m.proba) != 0 && len(m.proba) != pairs:
		return nil, wrong("%d prob_a and %d prob_b: expected %d", len(m.proba), len(m.probb), pairs)
	}
	m.columns = len(m.vectors) / m.count
	if len(m.proba) == 0 && classes > 2 {
		n.labels = nil // a column is a pair of classes
	}
	return n.done(func(r *run) error { return m.run(r, classes, pairs) }, m.labels.typ, Float32)
}

// straight is a linear model: one score for each class.
func (m *machine) straight(r *run) error {
	rows, _, err := rowsOf(r.in[0])
	if err != nil {
		return err
	}
	names, err := r.make(0, rows)
	if err != nil {
		return err
	}
	classes := m.labels.n
	out, err := r.make(1, rows, classes)
	if err != nil {
		return err
	}
	to := view[float32](out)
	scores, err := scratchOf[float64](r, 2, classes)
	if err != nil {
		return err
	}
	if err := r.spendProduct(rows, m.columns, classes); err != nil {
		return err
	}
	return m.rows(r, func(i int, x []float32, _ []float64) {
		for k := range scores {
			scores[k] = m.rho[0] + m.of(x, m.coefficients[k*m.columns:(k+1)*m.columns])
		}
		label(names, i, m.labels, m.choose(largest(scores), scores))
		transform(m.transform, scores)
		for k, s := range scores {
			to[i*classes+k] = float32(s)
		}
	})
}

// choose is the class that a linear model of two classes answers, by the sign of
// its largest score; with more classes, the largest.
func (m *machine) choose(best int, scores []float64) int {
	if m.labels.n != 2 {
		return best
	}
	if m.positive && scores[best] >= 0.5 || !m.positive && scores[best] > 0 {
		return 1
	}
	return best
}

func (m *machine) run(r *run, classes, pairs int) error {
	rows, _, err := rowsOf(r.in[0])
	if err != nil {
		return err
	}
	columns := classes
	if len(m.proba) == 0 && classes > 2 {
		columns = pairs
	}
	names, err := r.make(0, rows)
	if err != nil {
		return err
	}
	out, err := r.make(1, rows, columns)
	if err != nil {
		return err
	}
	if err := r.spendProduct(rows, m.count, classes); err != nil {
		return err
	}
	if len(m.proba) > 0 { // the probabilities of pairs are put together step by step
		if err := r.spendProduct(rows, max(100, classes), classes, classes); err != nil {
			return err
		}
	}
	memory, err := scratchOf[float64](r, 2, pairs+3*classes*classes+3*classes+2)
	if err != nil {
		return err
	}
	scores, memory := memory[:max(pairs, 2)], memory[max(pairs, 2):]
	votes, memory := memory[:classes], memory[classes:]
	to := view[float32](out)
	return m.rows(r, func(i int, _ []float32, common []float64) {
		m.vote(common, scores[:pairs], votes)
		best := largest(votes)
		row := scores[:pairs]
		switch {
		case len(m.proba) > 0:
			row = m.probabilities(scores[:pairs], memory)
			transform(m.transform, row)
		case classes == 2:
			row = scores[:2]
			row[0], row[1] = -row[0], row[0]
			transform(m.transform, row)
		default:
			transform(m.transform, row)
		}
		label(names, i, m.labels, best)
		for k, s := range row {
			to[i*columns+k] = float32(s)
		}
	})
}

// vote scores each pair of classes and counts which wins.
func (m *machine) vote(common, scores, votes []float64) {
	clear(votes)
	pair := 0
	for i := range votes {
		for j := i + 1; j < len(votes); j++ {
			sum := m.rho[pair]
			from, row := m.starts[i], m.coefficients[(j-1)*m.count:]
			for k := from; k < from+m.counts[i]; k++ {
				sum += row[k] * common[k]
			}
			from, row = m.starts[j], m.coefficients[i*m.count:]
			for k := from; k < from+m.counts[j]; k++ {
				sum += row[k] * common[k]
			}
			scores[pair] = sum
			pair++
			if sum > 0 {
				votes[i]++
			} else {
				votes[j]++
			}
		}
	}
}

// probabilities puts the probabilities of pairs together to those of classes, as
// Wu, Lin and Weng do and libsvm after them.
func (m *machine) probabilities(scores, memory []float64) []float64 {
	k := m.labels.n
	pairwise, q, p, qp := memory[:k*k], memory[k*k:2*k*k], memory[2*k*k:2*k*k+k], memory[2*k*k+k:2*k*k+2*k]
	pair := 0
	for i := range k {
		for j := i + 1; j < k; j++ {
			v := 1 - sigmoid(scores[pair]*m.proba[pair]+m.probb[pair])
			v = clamp(v, 1e-7, 1-1e-7)
			pairwise[i*k+j], pairwise[j*k+i] = v, 1-v
			pair++
		}
	}
	clear(q)
	for i := range k {
		p[i] = 1 / float64(k)
		for j := range k {
			if j != i {
				q[i*k+i] += pairwise[j*k+i] * pairwise[j*k+i]
				q[i*k+j] = -pairwise[j*k+i] * pairwise[i*k+j]
			}
		}
	}
	for range max(100, k) {
		total := 0.0
		for i := range k {
			qp[i] = 0
			for j := range k {
				qp[i] += q[i*k+j] * p[j]
			}
			total += p[i] * qp[i]
		}
		worst := 0.0
		for _, v := range qp {
			worst = max(worst, math.Abs(v-total))
		}
		if worst < 0.005/float64(k) {
			break
		}
		for i := range k {
			d := (total - qp[i]) / q[i*k+i]
			p[i] += d
			total = (total + d*(d*q[i*k+i]+2*qp[i])) / (1 + d) / (1 + d)
			for j := range k {
				qp[j] = (qp[j] + d*q[i*k+j]) / (1 + d)
				p[j] /= 1 + d
			}
		}
	}
	return p
}

package onnx

// forest is an ensemble that tells classes apart.
type forest struct {
	*ensemble
	labels   *Tensor
	single   bool // all weights carry one class id, of two classes
	positive bool // no weight is negative
}

func buildTreeClassifier(n *node) (kernel, error) {
	e, places := readTrees(n)
	f := forest{ensemble: e, labels: labelsOf(n, "classlabels_strings", "classlabels_int64s")}
	if n.err != nil {
		return nil, n.err
	}
	e.aggregate, e.outputs = "SUM", f.labels.n
	e.addWeights(n, "class", places)
	if n.err != nil {
		return nil, n.err
	}
	f.single, f.positive = e.outputs == 2, true
	for _, w := range e.weights {
		f.single = f.single && w.output == e.weights[0].output
		f.positive = f.positive && w.value >= 0
	}
	if f.single && len(e.base) > 1 {
		n.refuse("give one base value", "base_values of both classes, which share one score,")
	}
	e.check(n)
	e.checkBase(n)
	if n.err != nil {
		return nil, n.err
	}
	if f.single { // one score for both classes
		for i := range e.weights {
			e.weights[i].output = 0
		}
	}
	n.labels, n.labelled = f.labels, 1
	return n.done(f.classify, f.labels.typ, Float32)
}

func (f *forest) classify(r *run) error {
	rows, _, err := rowsOf(r.in[0])
	if err != nil {
		return err
	}
	names, err := r.make(0, rows)
	if err != nil {
		return err
	}
	out, err := r.make(1, rows, f.outputs)
	if err != nil {
		return err
	}
	to := view[float32](out)
	return f.rows(r, func(i int, scores []float64, _ []bool) {
		var best int
		if f.single {
			best = f.one(scores)
		} else {
			best = f.several(scores)
		}
		label(names, i, f.labels, best)
		for k, s := range scores {
			to[i*f.outputs+k] = float32(s)
		}
	})
}

// one makes two scores of the one that both classes share (serving.md section 4,
// rule 3), and says which class it is for. The two are [1-s, s], also after the
// logistic function; only raw scores, some of which are negative, are [-s, s], as
// ONNX Runtime has them.
func (f *forest) one(scores []float64) (best int) {
	s := scores[0]
	if len(f.base) > 0 {
		s += f.base[0]
	}
	s = float64(float32(s))
	threshold := 0.0
	if f.positive {
		threshold = 0.5
	}
	if s > threshold {
		best = 1
	}
	switch {
	case f.transform == "LOGISTIC":
		s = sigmoid(s)
		scores[0], scores[1] = 1-s, s
	case f.transform == "PROBIT":
		scores[0], scores[1] = probit(1-s), probit(s)
	case f.transform == "NONE" && f.positive:
		scores[0], scores[1] = 1-s, s
	default:
		scores[0], scores[1] = -s, s
		transform(f.transform, scores)
	}
	return best
}

// several is for scores of their own for each class.
func (f *forest) several(scores []float64) (best int) {
	for k := range scores {
		if len(f.base) > 0 {
			scores[k] += f.base[k%len(f.base)]
		}
		scores[k] = float64(float32(scores[k]))
	}
	best = largest(scores)
	transform(f.transform, scores)
	return best
}

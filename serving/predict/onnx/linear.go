package onnx

import (
	"fmt"
	"math"
	"slices"
)

// labelOperators say what scores mean.
func labelOperators() []operator {
	return []operator{{
		domain: domainML, name: "ZipMap", versions: []int{1}, inputs: [2]int{1, 1}, build: buildZipMap,
		note: "the scores stay a tensor, whose columns have the labels as names; only at the end of a model",
	}}
}

// buildZipMap leaves the scores what they are (serving.md section 4, rule 5).
func buildZipMap(n *node) (kernel, error) {
	n.want(0, Float32)
	n.labels = labelsOf(n, "classlabels_strings", "classlabels_int64s")
	if n.err != nil {
		return nil, n.err
	}
	columns := n.labels.n
	n.shares = true
	return n.done(func(r *run) error {
		if x := r.in[0]; len(x.shape) == 0 || x.dim(-1) != columns {
			return wrongShape("the scores", x.shape, fmt.Sprintf("%d columns, one for each label", columns))
		}
		return shareSame(r)
	}, Float32)
}

func linearOperators() []operator {
	return []operator{
		{domain: domainML, name: "LinearRegressor", versions: []int{1}, inputs: [2]int{1, 1}, build: buildLinearRegressor},
		{domain: domainML, name: "LinearClassifier", versions: []int{1}, inputs: [2]int{1, 1}, build: buildLinearClassifier},
	}
}

// transforms are what may be done to scores at last.
var transforms = []string{"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"}

// transform changes the scores of one row.
func transform(name string, scores []float64) {
	switch name {
	case "LOGISTIC":
		for i, s := range scores {
			scores[i] = sigmoid(s)
		}
	case "PROBIT":
		for i, s := range scores {
			scores[i] = probit(s)
		}
	case "SOFTMAX":
		softmax(scores)
	case "SOFTMAX_ZERO":
		softmaxZero(scores)
	}
}

// softmaxZero leaves scores of 0 at 0.
func softmaxZero(scores []float64) {
	most, sum := slices.Max(scores), 0.0
	for i, s := range scores {
		if s > 1e-7 || s < -1e-7 {
			scores[i] = math.Exp(s - most)
		} else {
			scores[i] = s * math.Exp(-most)
		}
		sum += scores[i]
	}
	for i := range scores {
		if sum == 0 {
			scores[i] = 0.5
		} else {
			scores[i] /= sum
		}
	}
}

// probit is the inverse of the normal distribution, by the approximation that the
// original runtime has.
func probit(p float64) float64 {
	x := 2*p - 1
	log := math.Log((1 - x) * (1 + x))
	v := 2/(math.Pi*0.147) + 0.5*log
	return math.Sqrt2 * math.Copysign(math.Sqrt(-v+math.Sqrt(v*v-log/0.147)), x)
}

// linear are the weights of a linear model, one row for each score.
type linear struct {
	weights    []float64
	intercepts []float64
	columns    int
	scores     int
	transform  string
	read       toFloat32
}

func newLinear(n *node, scores int) linear {
	l := linear{read: newToFloat32(n), transform: n.oneOf("post_transform", transforms), scores: scores}
	l.weights, l.intercepts = reals(n.floats("coefficients")), reals(n.floats("intercepts"))
	if scores < 1 || len(l.weights) == 0 || len(l.weights)%scores > 0 || len(l.intercepts) != 0 && len(l.intercepts) != scores {
		n.fail(wrong("%d coefficients and %d intercepts do not make %d scores", len(l.weights), len(l.intercepts), scores))
		return l
	}
	l.columns = len(l.weights) / scores
	if len(l.intercepts) == 0 {
		l.intercepts = make([]float64, scores)
	}
	n.bytes = int64(len(l.weights)+len(l.intercepts)) * 8
	return l
}

// score calls row with the scores of each row, which sums are rounded to float32 as
// the original runtime has them.
func (l *linear) score(r *run, row func(i int, scores []float64)) error {
	rows, columns, err := rowsOf(r.in[0])
	if err != nil {
		return err
	}
	if columns != l.columns {
		return fmt.Errorf("rows of %d values: expected %d as the model has", columns, l.columns)
	}
	if err := r.spendProduct(rows, columns, l.scores); err != nil {
		return err
	}
	x, err := l.read.values(r, r.in[0])
	if err != nil {
		return err
	}
	scores, err := scratchOf[float64](r, 1, l.scores+1) // room for a second class
	if err != nil {
		return err
	}
	for i := range rows {
		values := x[i*columns : (i+1)*columns]
		for k := range l.scores {
			sum := l.intercepts[k]
			for j, w := range l.weights[k*columns : (k+1)*columns] {
				sum += w * float64(values[j])
			}
			scores[k] = sum
		}
		row(i, scores[:l.scores])
	}
	return nil
}

func buildLinearRegressor(n *node) (kernel, error) {
	l := newLinear(n, n.int("targets", 1))
	return n.done(func(r *run) error {
		rows, _, err := rowsOf(r.in[0])
		if err != nil {
			return err
		}
		out, err := r.make(0, rows, l.scores)
		if err != nil {
			return err
		}
		to := view[float32](out)
		return l.score(r, func(i int, scores []float64) {
			transform(l.transform, scores)
			for k, s := range scores {
				to[i*l.scores+k] = float32(s)
			}
		})
	}, Float32)
}

// buildLinearClassifier: one row of coefficients for two classes is the score of
// the second.
func buildLinearClassifier(n *node) (kernel, error) {
	n.ignore("multi_class")
	labels := labelsOf(n, "classlabels_strings", "classlabels_ints")
	if labels == nil {
		return nil, n.err
	}
	scores := len(n.floats("intercepts"))
	if scores == 0 {
		scores = labels.n
	}
	l := newLinear(n, scores)
	second := scores == 1 && labels.n == 2
	if scores > 1 && scores != labels.n || scores == 1 && labels.n > 2 {
		n.fail(wrong("%d labels for %d scores", labels.n, scores))
	}
	n.labels, n.labelled = labels, 1
	columns := scores
	if second {
		columns = 2
	}
	return n.done(func(r *run) error {
		rows, _, err := rowsOf(r.in[0])
		if err != nil {
			return err
		}
		names, err := r.make(0, rows)
		if err != nil {
			return err
		}
		out, err := r.make(1, rows, columns)
		if err != nil {
			return err
		}
		to := view[float32](out)
		return l.score(r, func(i int, scores []float64) {
			best := 0
			switch {
			case second && scores[0] > 0:
				best = 1
			case !second:
				best = largest(scores)
			}
			label(names, i, labels, best)
			if second {
				scores = scores[:2]
				scores[0], scores[1] = -scores[0], scores[0]
				transform(l.transform, scores)
				if l.transform == "NONE" { // as ONNX Runtime has them
					scores[0] = 1 - scores[1]
				}
			} else {
				transform(l.transform, scores)
			}
			for k, s := range scores {
				to[i*columns+k] = float32(s)
			}
		})
	}, labels.typ, Float32)
}

// largest is the first of the largest.
func largest(values []float64) int {
	best := 0
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	return best
}

// label writes label k as the answer to row i.
func label(to *Tensor, i int, labels *Tensor, k int) {
	if labels.typ == String {
		view[string](to)[i] = view[string](labels)[k]
	} else {
		view[int64](to)[i] = view[int64](labels)[k]
	}
}

package onnx

import (
	"fmt"
	"math"
)

func vectorMachineOperators() []operator {
	return []operator{
		{domain: domainML, name: "SVMRegressor", versions: []int{1}, inputs: [2]int{1, 1}, build: buildSVMRegressor},
		{domain: domainML, name: "SVMClassifier", versions: []int{1}, inputs: [2]int{1, 1}, build: buildSVMClassifier},
	}
}

// similarity is the kernel of a support vector machine.
type similarity struct {
	name                 string
	gamma, coef0, degree float64
	read                 toFloat32
	vectors              []float64 // support vectors, or nothing for a linear model
	count, columns       int
	coefficients         []float64
	rho                  []float64
}

func newSimilarity(n *node) similarity {
	s := similarity{read: newToFloat32(n), name: n.oneOf("kernel_type", []string{"LINEAR", "POLY", "RBF", "SIGMOID"})}
	params := n.floats("kernel_params")
	if len(params) == 3 {
		s.gamma, s.coef0, s.degree = float64(params[0]), float64(params[1]), float64(params[2])
	} else if len(params) > 0 || s.name != "LINEAR" {
		n.fail(wrong("attribute kernel_params: %d values: expected gamma, coef0 and degree", len(params)))
	}
	s.vectors, s.coefficients, s.rho = reals(n.floats("support_vectors")), reals(n.floats("coefficients")), reals(n.floats("rho"))
	if len(s.coefficients) == 0 || len(s.rho) == 0 {
		n.fail(wrong("attributes coefficients and rho: are missing"))
	}
	n.bytes = int64(len(s.vectors)+len(s.coefficients)+len(s.rho)) * 8
	return s
}

// of compares a row with a vector.
func (s *similarity) of(x []float32, vector []float64) float64 {
	sum := 0.0
	if s.name == "RBF" {
		for i, v := range vector {
			d := float64(x[i]) - v
			sum += d * d
		}
		return math.Exp(-s.gamma * sum)
	}
	for i, v := range vector {
		sum += float64(x[i]) * v
	}
	switch s.name {
	case "POLY":
		return math.Pow(s.gamma*sum+s.coef0, s.degree)
	case "SIGMOID":
		return math.Tanh(s.gamma*sum + s.coef0)
	default:
		return sum
	}
}

// rows calls row for each row with what it has in common with the support vectors.
func (s *similarity) rows(r *run, row func(i int, x []float32, common []float64)) error {
	rows, columns, err := rowsOf(r.in[0])
	if err != nil {
		return err
	}
	if columns != s.columns {
		return fmt.Errorf("rows of %d values: expected %d as the model has", columns, s.columns)
	}
	if err := r.spendProduct(rows, columns+10, s.count+1); err != nil {
		return err
	}
	x, err := s.read.values(r, r.in[0])
	if err != nil {
		return err
	}
	common, err := scratchOf[float64](r, 1, s.count)
	if err != nil {
		return err
	}
	for i := range rows {
		values := x[i*columns : (i+1)*columns]
		for k := range common {
			common[k] = s.of(values, s.vectors[k*columns:(k+1)*columns])
		}
		row(i, values, common)
	}
	return nil
}

func buildSVMRegressor(n *node) (kernel, error) {
	s := newSimilarity(n)
	after := n.oneOf("post_transform", transforms)
	oneClass := n.truth("one_class", false)
	s.count = n.int("n_supports", 0)
	if s.count < 0 || s.count > 0 && (len(s.vectors) == 0 || len(s.vectors)%s.count > 0 || len(s.coefficients) < s.count) {
		n.fail(wrong("%d support vectors of %d values and %d coefficients do not go together", s.count, len(s.vectors), len(s.coefficients)))
	}
	if n.err != nil {
		return nil, n.err
	}
	straight := s.count == 0
	if straight { // a linear model: the coefficients are those of the columns
		s.columns = len(s.coefficients)
	} else {
		s.columns = len(s.vectors) / s.count
	}
	return n.done(func(r *run) error {
		rows, _, err := rowsOf(r.in[0])
		if err != nil {
			return err
		}
		out, err := r.make(0, rows, 1)
		if err != nil {
			return err
		}
		to := view[float32](out)
		return s.rows(r, func(i int, x []float32, common []float64) {
			sum := s.rho[0]
			for k, v := range common {
				sum += s.coefficients[k] * v
			}
			if straight {
				sum += s.of(x, s.coefficients)
			}
			if oneClass {
				sum = math.Copysign(1, sum)
			}
			score := [1]float64{sum}
			transform(after, score[:])
			to[i] = float32(score[0])
		})
	}, Float32)
}

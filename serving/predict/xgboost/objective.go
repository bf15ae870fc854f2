package xgboost

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// objective is what an objective makes of sums, and of base_score.
type objective struct {
	link    link
	inverse inverse
	clamped bool // base_score may be 0 or 1 and is moved inside
}

// link leads from the sum of the leaves, the margin, to the answer (rule 3).
type link uint8

const (
	identity link = iota
	logistic      // 1 / (1 + exp(-x))
	exponential
	hinge      // 1 if above 0, otherwise 0
	softmax    // over all groups
	argmax     // index of the largest group
	ascending  // sorted: of several quantiles
	increments // each output is the one before and softplus of its own sum: of several expectiles
)

// inverse leads from base_score, which is in the units of the answer, to where
// the sum starts (rule 2).
type inverse uint8

const (
	same inverse = iota
	logit
	logarithm
	steps // from each output to the next, for increments
)

// alphas is how many quantiles or expectiles a list of XGBoost has, such as "[0.1,0.9]".
func alphas(list string) int {
	if list == "" {
		return 0
	}
	return strings.Count(list, ",") + 1
}

// objectiveNamed knows the objectives of rule 11 and refuses all others by name.
// Rules that changed follow the version that wrote the file. levels is how many
// quantiles or expectiles the file names.
func objectiveNamed(name string, version [3]int, groups, levels int) (objective, error) {
	switch name {
	case "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
		"rank:pairwise", "rank:ndcg", "rank:map":
		return objective{}, nil
	case "reg:quantileerror", "reg:expectileerror": // rule 4
		switch {
		case groups == 1:
			return objective{}, nil
		case groups != levels:
			return objective{}, &UnsupportedError{
				Feature: fmt.Sprintf("objective %s of %d outputs with %d levels", name, groups, levels),
				Advice:  "train one model for each target",
			}
		case name == "reg:expectileerror":
			return objective{link: increments, inverse: steps}, nil
		case since(version, 3, 4):
			return objective{link: ascending}, nil
		}
		return objective{}, nil
	case "binary:logistic", "reg:logistic":
		return objective{link: logistic, inverse: logit, clamped: since(version, 3, 2)}, nil
	case "binary:logitraw":
		if !since(version, 1, 3) || version == [3]int{1, 3, 0} { // rule 2 says 2.0; the fixtures of 1.2.1 and 1.7.6 and the sources say 1.3.1
			return objective{inverse: logit}, nil
		}
		return objective{}, nil
	case "binary:hinge":
		return objective{link: hinge}, nil
	case "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft":
		return objective{link: exponential, inverse: logarithm}, nil
	case "multi:softmax":
		return objective{link: argmax}, nil
	case "multi:softprob":
		return objective{link: softmax}, nil
	}
	return objective{}, &UnsupportedError{
		Feature: "objective " + name,
		Advice:  "train with one of the objectives of XGBoost's documentation; custom ones are unknown outside the program that trained",
	}
}

func since(version [3]int, major, minor int) bool {
	return version[0] > major || version[0] == major && version[1] >= minor
}

// nearlyZero is kRtEps of XGBoost.
const nearlyZero = 1e-6

// marginsOf turns base scores into margins in place.
func (o objective) marginsOf(base []float32) error {
	for i := len(base) - 1; i >= 0; i-- {
		p := base[i]
		switch o.inverse {
		case same:
		case steps:
			if i == 0 {
				break
			}
			step := p - base[i-1] - nearlyZero
			if step <= 0 {
				return wrong("%v after %v: expected expectiles that rise by more than %v", p, base[i-1], float32(nearlyZero))
			}
			base[i] = inverseSoftplus(step)
		case logit:
			if o.clamped && p >= 0 && p <= 1 {
				p = min(max(p, nearlyZero), 1-float32(nearlyZero))
			}
			if p <= 0 || p >= 1 {
				return wrong("%v: expected a probability, above 0 and below 1", p)
			}
			base[i] = -float32(math.Log(float64(1/p - 1)))
		case logarithm:
			if p < 0 {
				return wrong("%v: expected no negative number, as its logarithm is taken", p)
			}
			base[i] = float32(math.Log(float64(p)))
		}
	}
	return nil
}

// apply is the answer to one sum; the others need all of them.
func (l link) apply(x float32) float32 {
	switch l {
	case logistic:
		// The bound is XGBoost's: exp of more would overflow. Its extra summand of
		// 1e-16 is lost in float32 and left out.
		return 1 / (exp(min(-x, 88.7)) + 1)
	case exponential:
		return exp(x)
	case hinge:
		if x > 0 {
			return 1
		}
		return 0
	case identity, softmax, argmax, ascending, increments:
	}
	return x
}

// applyToAll makes the answer of all sums of a row in place, for links that need
// all of them.
func (l link) applyToAll(x []float32) {
	switch l {
	case softmax:
		applySoftmax(x)
	case ascending:
		slices.Sort(x)
	case increments:
		applyIncrements(x)
	case identity, logistic, exponential, hinge, argmax:
	}
}

// applySoftmax is XGBoost's: single precision, but for the sum.
func applySoftmax(x []float32) {
	largest := x[0]
	for _, v := range x[1:] {
		largest = max(largest, v)
	}
	sum := 0.0
	for i, v := range x {
		x[i] = exp(v - largest)
		sum += float64(x[i])
	}
	for i := range x {
		x[i] /= float32(sum)
	}
}

// applyIncrements is XGBoost's: single precision, each step rounded.
func applyIncrements(x []float32) {
	for i := 1; i < len(x); i++ {
		x[i] = x[i-1] + (nearlyZero + softplus(x[i]))
	}
}

// softplus is log(1 + exp(x)), the larger part without a logarithm.
func softplus(x float32) float32 {
	return max(x, 0) + float32(math.Log1p(float64(exp(-max(x, -x)))))
}

// inverseSoftplus is log(exp(y) - 1) for y above 0, in single precision as well.
func inverseSoftplus(y float32) float32 {
	rest := float32(-math.Expm1(-float64(y)))
	return y + float32(math.Log(float64(rest)))
}

func exp(x float32) float32 { return float32(math.Exp(float64(x))) }

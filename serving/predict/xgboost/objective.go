package xgboost

import "math"

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
	hinge   // 1 if above 0, otherwise 0
	softmax // over all groups
	argmax  // index of the largest group
)

// inverse leads from base_score, which is in the units of the answer, to where
// the sum starts (rule 2).
type inverse uint8

const (
	same inverse = iota
	logit
	logarithm
)

// objectiveNamed knows the objectives of rule 11 and refuses all others by name.
// Rules that changed follow the version that wrote the file.
func objectiveNamed(name string, version [3]int, groups int) (objective, error) {
	switch name {
	case "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
		"rank:pairwise", "rank:ndcg", "rank:map":
		return objective{}, nil
	case "reg:quantileerror", "reg:expectileerror":
		if groups > 1 { // rule 4: what follows the sums changes from version to version
			return objective{}, &UnsupportedError{
				Feature: "objective " + name + " with several outputs",
				Advice:  "train one model for each quantile or expectile",
			}
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

// marginsOf turns base scores into margins in place.
func (o objective) marginsOf(base []float32) error {
	const nearlyZero = 1e-6 // kRtEps of XGBoost
	for i, p := range base {
		switch o.inverse {
		case same:
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

// apply is the answer to one sum; softmax and argmax need all of them.
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
	case identity, softmax, argmax:
	}
	return x
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

func exp(x float32) float32 { return float32(math.Exp(float64(x))) }

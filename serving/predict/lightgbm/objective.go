package lightgbm

import (
	"math"
	"strconv"
	"strings"
)

// objective is what the objective line of the header says.
type objective struct {
	name    string
	classes int
	link    link
	sigmoid float64
}

// link leads from the sum of the leaves to the answer (rule 6).
type link uint8

const (
	identity       link = iota
	sigmoid             // 1 / (1 + exp(-factor*x))
	exponential         // exp(x)
	logExponential      // log(1 + exp(x))
	square              // x*x with the sign of x
	softmax             // over all groups
)

// parseObjective reads a line such as "binary sigmoid:1". An objective or a
// parameter that it does not know is refused by name: it may change the link.
func parseObjective(line string, classes int, refused *UnsupportedError) (objective, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return objective{}, under("objective", wrong("is empty"))
	}
	o := objective{name: canonical(words[0]), sigmoid: 1}
	root := false
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, ":")
		switch key {
		case "sigmoid":
			v, err := parseFloat([]byte(value))
			if err != nil || v <= 0 {
				return o, under("objective", wrong("sigmoid: expected a number above 0, found %.40q", value))
			}
			o.sigmoid = v
		case "num_class":
			if n, err := strconv.Atoi(value); err != nil || n != classes {
				return o, under("objective", wrong("num_class: expected %d as in num_class of the header, found %.40q", classes, value))
			}
		case "sqrt":
			root = true
		default:
			refused.add("parameter "+printable([]byte(key))+" of objective "+printable([]byte(o.name)), "train without it, or save with a LightGBM of 2.0 to 4.7")
		}
	}
	several := false
	switch o.name {
	case "regression", "regression_l1", "fair", "quantile", "mape":
		if root { // labels were replaced by their roots; huber and the rest do not do it
			o.link = square
		}
	case "huber", "lambdarank", "rank_xendcg":
	case "poisson", "gamma", "tweedie":
		o.link = exponential
	case "binary":
		o.link, o.classes = sigmoid, 2
	case "cross_entropy":
		o.link, o.sigmoid = sigmoid, 1
	case "cross_entropy_lambda":
		o.link = logExponential
	case "multiclass":
		o.link, o.classes, several = softmax, classes, true
	case "multiclassova":
		o.link, o.classes, several = sigmoid, classes, true
	case "custom":
		several = true
	default:
		refused.add("objective "+printable([]byte(o.name)), "train with one of the objectives of LightGBM's documentation, or with one of your own, of which the sums are answered")
		several = true
	}
	if classes > 1 && !several {
		return o, under("num_class", wrong("%d classes: objective %s has one output", classes, o.name))
	}
	return o, nil
}

// canonical is the name of an objective that LightGBM understands under several.
func canonical(name string) string {
	switch name {
	case "regression_l2", "mean_squared_error", "mse", "l2", "l2_root", "root_mean_squared_error", "rmse":
		return "regression"
	case "mean_absolute_error", "l1", "mae":
		return "regression_l1"
	case "softmax":
		return "multiclass"
	case "multiclass_ova", "ova", "ovr":
		return "multiclassova"
	case "xentropy":
		return "cross_entropy"
	case "xentlambda":
		return "cross_entropy_lambda"
	case "mean_absolute_percentage_error":
		return "mape"
	case "xendcg", "xe_ndcg", "xe_ndcg_mart", "xendcg_mart":
		return "rank_xendcg"
	case "none", "null", "na":
		return "custom"
	}
	return name
}

// apply is the answer to one sum; softmax needs all of them.
func (l link) apply(x, factor float64) float64 {
	switch l {
	case sigmoid:
		return 1 / (1 + math.Exp(-factor*x))
	case exponential:
		return math.Exp(x)
	case logExponential:
		return math.Log1p(math.Exp(x))
	case square:
		if x < 0 {
			return -x * x
		}
		return x * x
	case identity, softmax:
	}
	return x
}

// applySoftmax is LightGBM's, in place.
func applySoftmax(x []float64) {
	largest := x[0]
	for _, v := range x[1:] {
		largest = max(largest, v)
	}
	sum := 0.0
	for i, v := range x {
		x[i] = math.Exp(v - largest)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}

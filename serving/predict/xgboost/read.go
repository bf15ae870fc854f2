package xgboost

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of what a file may ask for (serving.md section 5). They are far above
// real models; what they prevent is a few bytes that demand gigabytes.
const (
	maxBytes    = 1 << 30 // of the file
	maxFeatures = 1 << 22
	maxGroups   = 1 << 16 // classes or targets
)

// Read reads the model in b, a whole file as Booster.save_model wrote it, in JSON
// or UBJSON. It returns a *FormatError when b is not such a file and an
// *UnsupportedError when the model needs something this package does not do.
// The model keeps no part of b.
func Read(b []byte) (*Model, error) {
	tokens, err := sniff(b)
	if err != nil {
		return nil, err
	}
	f := file{reader: reader{tokens: tokens}}
	if err := f.read(); err != nil {
		return nil, err
	}
	if n := tokens.rest(); n > 0 {
		return nil, wrong("%d bytes follow the model: expected the end of the file", n)
	}
	return f.model()
}

// sniff tells the formats apart: `{` and the type of a length is UBJSON, `{` and
// anything JSON can go on with is JSON (serving.md section 2).
func sniff(b []byte) (tokenizer, error) {
	if len(b) > maxBytes {
		return nil, wrong("%d bytes: files of more than %d bytes are not read", len(b), maxBytes)
	}
	trimmed := bytes.TrimLeft(b, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return nil, wrong("the file is empty")
	case len(b) > 1 && b[0] == '{' && strings.IndexByte("iUIlL", b[1]) >= 0:
		return &ubjTokens{b: b}, nil
	case trimmed[0] == '{':
		return &jsonTokens{b: b}, nil
	case b[0] == 0x80: // the first opcode of every pickle since protocol 2
		return nil, &UnsupportedError{
			Feature: "a Python pickle",
			Advice:  `load it in Python and save the model with save_model("model.ubj")`,
		}
	}
	return nil, &UnsupportedError{
		Feature: "a file that is neither JSON nor UBJSON, perhaps XGBoost's old binary format,",
		Advice:  "load it with an XGBoost before 3.1 and save it again as .ubj",
	}
}

// file is a model as the file describes it. Members come in any order, so what
// depends on several of them is decided in model.
type file struct {
	reader    reader
	features  int
	classes   int
	targets   int
	base      string // as written, see baseScore
	objective string
	levels    string // quantiles or expectiles, as written; empty: there are none
	booster   string
	names     []string
	types     []string
	version   [3]int
	best      string // attribute best_iteration
	weights   []float32
	forest    forest
	has       map[string]bool // members that have no default
}

func (f *file) read() error {
	f.targets = 1 // absent before 1.7
	f.has = map[string]bool{}
	err := f.reader.object(func(key string) error {
		switch key {
		case "learner":
			return f.reader.object(f.learner)
		case "version":
			return f.readVersion()
		case "Config", "Model": // what pickling a Booster writes
			return &UnsupportedError{
				Feature: "a memory snapshot of a Booster",
				Advice:  "write the file with Booster.save_model",
			}
		}
		return f.reader.skip()
	})
	if err != nil {
		return err
	}
	for _, key := range []string{
		"version", "learner_model_param.base_score", "learner_model_param.num_feature", "objective.name", "gradient_booster.name",
	} {
		if !f.has[key] {
			if key != "version" {
				key = "learner." + key
			}
			return under(key, wrong("is missing: not a model that XGBoost saved"))
		}
	}
	return nil
}

func (f *file) readVersion() error {
	f.has["version"] = true
	var parts []int32
	if err := f.reader.ints(&parts); err != nil {
		return err
	}
	if len(parts) != 3 || parts[0] < 1 || parts[1] < 0 || parts[2] < 0 {
		return wrong("expected major, minor and patch of XGBoost 1.0 or newer, found %v", parts)
	}
	f.version = [3]int{int(parts[0]), int(parts[1]), int(parts[2])}
	return nil
}

func (f *file) learner(key string) (err error) {
	r := &f.reader
	switch key {
	case "feature_names":
		f.names, err = r.strings()
	case "feature_types":
		f.types, err = r.strings()
	case "attributes":
		err = r.object(func(key string) (err error) {
			if key == "best_iteration" {
				f.best, err = r.string()
				return err
			}
			return r.skip()
		})
	case "learner_model_param":
		err = r.object(f.modelParam)
	case "objective":
		err = r.object(f.readObjective)
	case "gradient_booster":
		err = r.object(f.gradientBooster)
	default:
		err = r.skip()
	}
	return err
}

func (f *file) readObjective(key string) (err error) {
	switch key {
	case "name":
		f.has["objective.name"] = true
		f.objective, err = f.reader.string()
		return err
	case "quantile_loss_param", "expectile_loss_param":
		return f.reader.object(func(key string) (err error) {
			if key == "quantile_alpha" || key == "expectile_alpha" {
				f.levels, err = f.reader.string()
				return err
			}
			return f.reader.skip()
		})
	}
	return f.reader.skip()
}

func (f *file) modelParam(key string) (err error) {
	f.has["learner_model_param."+key] = true
	switch key {
	case "base_score":
		f.base, err = f.reader.string()
		return err
	case "num_feature":
		return f.reader.decimal(&f.features)
	case "num_class":
		return f.reader.decimal(&f.classes)
	case "num_target":
		return f.reader.decimal(&f.targets)
	}
	return f.reader.skip()
}

// gradientBooster reads trees or linear weights, and the weights of dart from each
// of the three places where versions put them (rule 5): here beside a nested
// gbtree (to 3.2), here beside model (3.3), inside model (since 3.4).
func (f *file) gradientBooster(key string) (err error) {
	r := &f.reader
	switch key {
	case "name":
		f.has["gradient_booster.name"] = true
		f.booster, err = r.string()
		return err
	case "weight_drop":
		f.forest.weighted++
		return r.floats(&f.forest.weights)
	case "gbtree":
		return r.object(func(key string) error {
			if key == "model" {
				return r.object(f.boosterModel)
			}
			return r.skip()
		})
	case "model":
		return r.object(f.boosterModel)
	}
	return r.skip()
}

func (f *file) boosterModel(key string) error {
	if key == "weights" { // of gblinear
		return f.reader.floats(&f.weights)
	}
	return f.forest.member(&f.reader, key)
}

// baseScore parses base_score: one number, or since 3.1 a list, `[a,b,c]`, with
// one for each output. One value serves all outputs (rule 2).
func baseScore(s string, groups int) ([]float32, error) {
	inner, list := strings.CutPrefix(s, "[")
	if list {
		var closed bool
		if inner, closed = strings.CutSuffix(inner, "]"); !closed {
			return nil, wrong("expected a number or a list of numbers, found %.40q", s)
		}
	}
	n := strings.Count(inner, ",") + 1
	if n != 1 && n != groups {
		return nil, wrong("has %d values: expected 1 or %d, one for each output", n, groups)
	}
	base := make([]float32, 0, groups)
	for value := range strings.SplitSeq(inner, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(value), 32)
		if err != nil || v-v != 0 { // NaN and infinities differ from themselves here
			return nil, wrong("expected finite numbers, found %.40q", value)
		}
		base = append(base, float32(v))
	}
	for len(base) < groups {
		base = append(base, base[0])
	}
	return base, nil
}

// bestIterationWarning says that sklearn's wrapper would use fewer rounds than
// Booster.predict, which uses all, as we do (rule 9). It is empty when they agree.
func bestIterationWarning(best string, rounds int) string {
	i, err := strconv.Atoi(best)
	if err != nil || i+1 == rounds {
		return ""
	}
	return fmt.Sprintf("best_iteration is %d, but all %d rounds are used, as Booster.predict does; scikit-learn's wrapper stops "+
		"after %d: to serve only those, save booster[:%d]", i, rounds, i+1, i+1)
}

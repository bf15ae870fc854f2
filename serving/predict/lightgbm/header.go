package lightgbm

import (
	"bytes"
	"unicode/utf8"
)

// header is what stands before the first tree.
type header struct {
	version     int
	features    int
	groups      int // num_tree_per_iteration
	names       []string
	categorical []int
	average     bool
	trees       int // in tree_sizes; -1: not said
	objective   objective
}

// knownHeader are the lines that versions 2.0 to 4.7 write. Any other may change
// what the trees mean.
func knownHeader(key string) bool {
	switch key {
	case "version", "num_class", "num_tree_per_iteration", "max_feature_idx", "feature_names", "feature_infos",
		"average_output", "tree_sizes", "objective",
		"label_index", "monotone_constraints": // of the training
		return true
	}
	return false
}

func (h *header) read(b part, refused *UnsupportedError) error {
	for _, p := range b {
		if !knownHeader(string(p.key)) {
			refused.add("header line "+printable(p.key), "save the model with a LightGBM of 2.0 to 4.7")
		}
	}
	if err := h.readVersion(b, refused); err != nil {
		return err
	}
	classes, err := b.number("num_class")
	if err != nil {
		return err
	}
	h.groups = classes
	if _, found := b.find("num_tree_per_iteration"); found {
		if h.groups, err = b.number("num_tree_per_iteration"); err != nil {
			return err
		}
	}
	switch {
	case classes < 1 || classes > maxGroups:
		return under("num_class", wrong("%d classes: expected 1 to %d", classes, maxGroups))
	case classes != h.groups:
		return under("num_tree_per_iteration", wrong("%d trees: expected %d, one for each class", h.groups, classes))
	}
	if err := h.readFeatures(b); err != nil {
		return err
	}
	_, h.average = b.find("average_output")
	h.trees = -1
	if sizes, found := b.find("tree_sizes"); found {
		h.trees = len(bytes.Fields(sizes))
	}
	line, found := b.find("objective")
	if !found {
		line = []byte("custom") // of the program that trained
	}
	h.objective, err = parseObjective(string(line), classes, refused)
	return err
}

func (h *header) readVersion(b part, refused *UnsupportedError) error {
	version, found := b.find("version")
	if !found {
		return under("version", wrong("is missing: not a model that LightGBM 2.0 or newer saved"))
	}
	switch string(version) {
	case "v2", "v3", "v4":
		h.version = int(version[1] - '0')
	default:
		refused.add("version "+printable(version)+" of the file", "save the model with a LightGBM of 2.0 to 4.7, which write v2, v3 and v4")
		return refused // the lines may mean anything
	}
	return nil
}

// readFeatures reads names and, from the description of their values, which are
// categorical: "none" is a feature without use, "[-1:2.5]" the range of a number,
// "3:0:1" the categories that were seen.
func (h *header) readFeatures(b part) error {
	last, err := b.number("max_feature_idx")
	if err != nil {
		return err
	}
	h.features = last + 1
	names, found := b.find("feature_names")
	switch {
	case h.features > maxFeatures:
		return under("max_feature_idx", wrong("%d features: expected at most %d", h.features, maxFeatures))
	case !found:
		return under("feature_names", wrong("is missing"))
	case !utf8.Valid(names):
		return under("feature_names", wrong("not UTF-8"))
	}
	split := bytes.Fields(names)
	if len(split) != h.features {
		return under("feature_names", wrong("%d names: expected %d, one for each feature", len(split), h.features))
	}
	for _, name := range split {
		h.names = append(h.names, string(name))
	}
	infos, found := b.find("feature_infos")
	if !found {
		return under("feature_infos", wrong("is missing"))
	}
	if split = bytes.Fields(infos); len(split) != h.features {
		return under("feature_infos", wrong("%d values: expected %d, one for each feature", len(split), h.features))
	}
	for i, info := range split {
		if info[0] != '[' && string(info) != "none" {
			h.categorical = append(h.categorical, i)
		}
	}
	return nil
}

package lightgbm

import (
	"fmt"
	"slices"
)

// model checks what depends on several parts of the file and puts the answer
// together.
func (f *file) model() (*Model, error) {
	h := &f.header
	n := len(f.forest.roots)
	switch {
	case h.trees >= 0 && h.trees != n:
		return nil, under("tree_sizes", wrong("%d sizes: the file has %d trees", h.trees, n))
	case n%h.groups != 0:
		return nil, under("num_tree_per_iteration", wrong("%d trees: expected a multiple of %d, one for each class", n, h.groups))
	case h.average && n == 0:
		return nil, under("average_output", wrong("there is no tree to take the average of"))
	}
	m := &Model{
		features: h.features, groups: h.groups, classes: h.objective.classes,
		names: h.names, categorical: h.categorical,
		objective: h.objective.name, version: h.version,
		link: h.objective.link, sigmoid: h.objective.sigmoid,
		trees: n, nodes: slices.Clip(f.forest.nodes), roots: make([][]root, h.groups),
		sets: f.forest.sets, bits: f.forest.bits, lines: f.forest.lines, slopes: f.forest.slopes,
	}
	for i, root := range f.forest.roots { // rule 4
		m.roots[i%h.groups] = append(m.roots[i%h.groups], root)
	}
	if h.average {
		m.average = float64(n / h.groups)
		f.linkOfAverage(m)
	}
	if columns := f.pandasColumns(); columns > 0 {
		m.warnings = append(m.warnings, fmt.Sprintf(
			"The model was trained on a data frame with %d categorical columns: rows must have the codes of the categories, "+
				"their places in the lists behind pandas_categorical at the end of the file, and be missing a value that is in none.", columns))
	}
	return m, nil
}

// linkOfAverage takes the link away from a forest of a v2 file (rule 5): to 2.2.2
// its leaves hold answers. 2.2.3 writes the same and means sums, which nobody can
// see in the file.
func (f *file) linkOfAverage(m *Model) {
	if m.version != 2 || m.link == identity {
		return
	}
	m.link = identity
	m.warnings = append(m.warnings,
		"The file is a random forest in version v2: it is answered as LightGBM to 2.2.2 does, which is the average of the leaves. "+
			"If LightGBM 2.2.3 wrote it, answers lack the function of objective "+m.objective+": load it there or in a newer one and save it with 2.3 or newer.")
}

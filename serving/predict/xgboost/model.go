package xgboost

import "slices"

// model checks what depends on several members of the file and puts the answer
// together.
func (f *file) model() (*Model, error) {
	groups, err := f.groups()
	if err != nil {
		return nil, err
	}
	objective, err := objectiveNamed(f.objective, f.version, groups, alphas(f.levels))
	if err != nil {
		return nil, err
	}
	base, err := baseScore(f.base, groups)
	if err == nil {
		err = objective.marginsOf(base)
	}
	if err != nil {
		return nil, under("learner.learner_model_param.base_score", err)
	}
	m := &Model{
		features: f.features, groups: groups, outputs: groups,
		names: f.names, types: f.types,
		objective: f.objective, version: f.version,
		base: base, link: objective.link,
	}
	if m.link == argmax {
		m.outputs = 1
	}
	switch f.booster {
	case "gbtree", "dart":
		err = f.addTrees(m)
	case "gblinear":
		err = f.addWeights(m)
	default:
		err = &UnsupportedError{Feature: "booster " + f.booster, Advice: "train with gbtree, dart or gblinear"}
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// groups is the number of sums per row (rule 3), after checks of the numbers that
// everything else is sized by.
func (f *file) groups() (int, error) {
	const param = "learner.learner_model_param."
	switch {
	case f.features < 1 || f.features > maxFeatures:
		return 0, under(param+"num_feature", wrong("%d features: expected 1 to %d", f.features, maxFeatures))
	case f.classes > maxGroups:
		return 0, under(param+"num_class", wrong("%d classes: expected at most %d", f.classes, maxGroups))
	case f.targets > maxGroups:
		return 0, under(param+"num_target", wrong("%d targets: expected at most %d", f.targets, maxGroups))
	case f.classes > 1 && f.targets > 1:
		return 0, under(param+"num_target", wrong("%d targets of %d classes: XGBoost has no such models", f.targets, f.classes))
	case f.names != nil && len(f.names) != f.features:
		return 0, under("learner.feature_names", wrong("%d names: expected %d, one for each feature", len(f.names), f.features))
	case f.types != nil && len(f.types) != f.features:
		return 0, under("learner.feature_types", wrong("%d types: expected %d, one for each feature", len(f.types), f.features))
	}
	return max(1, f.classes, f.targets), nil
}

// addTrees gives m the trees of the file, sorted by group: within a group, the
// order of the file is the order of the sum (rule 1).
func (f *file) addTrees(m *Model) error {
	path := "learner.gradient_booster.model"
	if f.booster == "dart" {
		path = "learner.gradient_booster.gbtree.model"
	}
	t := &f.forest
	if err := t.check(m.features, m.groups, f.booster == "dart"); err != nil {
		return under(path, err)
	}
	t.applyWeights()
	// The oldest versions sum the leaves first. The order decides the last bits.
	m.baseLast = !since(f.version, 1, 3) || f.booster == "dart" && !since(f.version, 1, 4)
	m.trees = len(t.starts)
	m.nodes = slices.Clip(t.nodes)
	m.sets = t.sets
	m.roots = make([][]root, m.groups)
	for i, start := range t.starts {
		group := t.groups[i]
		m.roots[group] = append(m.roots[group], start)
	}
	rounds := t.rounds(m.groups)
	if warning := bestIterationWarning(f.best, rounds); warning != "" {
		m.warnings = append(m.warnings, warning)
	}
	return nil
}

// addWeights gives m the weights of gblinear: index feature*groups + group, a row
// of biases last (rule 8).
func (f *file) addWeights(m *Model) error {
	if expected := (m.features + 1) * m.groups; len(f.weights) != expected {
		return under("learner.gradient_booster.model.weights", wrong("%d weights: expected %d, those of %d features and a bias for each of %d outputs",
			len(f.weights), expected, m.features, m.groups))
	}
	m.weights = slices.Clip(f.weights)
	// XGBoost starts every output at the first base score here, also since 3.1,
	// when each has its own. Answers of its predict are what is promised.
	for g := range m.base {
		m.base[g] = m.base[0]
	}
	return nil
}

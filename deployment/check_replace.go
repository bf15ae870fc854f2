package deployment

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Candidate is a model that is to replace the one that a deployment serves, with
// what is known of both.
type Candidate struct {
	Model   Model
	State   *State // of the deployment; it serves
	Command Command
	Facts   Facts
}

// Validation is the verdict on a candidate. Its checks stand beside it
// (datarobot.md section 3).
type Validation struct {
	CurrentModel Name        `json:"currentModel"`
	NewModel     Name        `json:"newModel"`
	Status       CheckStatus `json:"status"`
	Message      string      `json:"message"`
}

// Validate is the verdict on the candidate with every check that it rests on:
// the eleven of tier 1 always, those of the model's file once it was looked at.
func (c *Candidate) Validate() (*Validation, Checks) {
	checks := c.compare()
	switch {
	case c.Facts.Refused != nil:
		maps.Copy(checks, CheckRejected(c.Facts.Refused))
	case c.Facts.Inspection != nil:
		maps.Copy(checks, CheckFile(c.Model, *c.Facts.Inspection))
	}
	status := checks.Status()
	return &Validation{CurrentModel: c.State.Model.ID, NewModel: c.Model.ID, Status: status, Message: replaceVerdict(status)}, checks
}

// replaceVerdict is the verdict in DataRobot's words (datarobot.md section 3).
func replaceVerdict(s CheckStatus) string {
	if s == Failing {
		return "Model cannot be used to replace the current model of the deployment."
	}
	return "Model can be used to replace the current model of the deployment."
}

// ReplaceRejection is what failing checks of a candidate come to, or nil when
// none fails: a conflict with what serves (datarobot.md R12), unless the sender
// may not replace at all.
func (c Checks) ReplaceRejection() *Rejection {
	findings := c.findings(Failing, replaceCode)
	if len(findings) == 0 {
		return nil
	}
	code := CodeValidationFailed
	switch {
	case c[CheckPermission].Status == Failing:
		code = CodeNotPermitted
	case c[CheckNotCurrentModel].Status == Failing:
		code = CodeIsCurrentModel
	}
	return &Rejection{Code: code, Class: code.Class(), Message: replaceVerdict(Failing), Findings: findings}
}

func replaceCode(n CheckName) Code {
	switch n {
	case CheckPermission:
		return CodeNotPermitted
	case CheckNotCurrentModel:
		return CodeIsCurrentModel
	default:
		return CodeValidationFailed
	}
}

// compare makes the eleven checks of tier 1 (datarobot.md section 4).
func (c *Candidate) compare() Checks {
	ref := *c.State.Model
	return Checks{
		CheckTarget:           checkSame("target", ref.Target.Name, c.Model.Target.Name, "Target is compatible."),
		CheckTargetType:       checkSame("target type", ref.Target.Type, c.Model.Target.Type, "Target type is compatible."),
		CheckTargetClasses:    c.checkClasses(),
		CheckFeatures:         c.checkFeatures(),
		CheckFeatureDataTypes: c.checkFeatureTypes(),
		CheckPermission:       checkPermission(c.Facts.Policy, c.Command),
		CheckNotCurrentModel:  checkNotCurrent(ref.ID, c.Model.ID),
		CheckSupported:        checkSupported(c.State, c.Model.Format),
		CheckModelCanDeploy:   checkCanDeploy(c.Model),
		CheckModelStatus:      checkStatus(c.Model),
		CheckSeriesType:       c.checkSeries(),
	}
}

// CheckDeployable makes the checks of a model that look at no other model.
func CheckDeployable(m Model) Checks {
	return Checks{CheckModelCanDeploy: checkCanDeploy(m), CheckModelStatus: checkStatus(m)}
}

// checkSame compares one fact of the current model with that of the candidate.
func checkSame[S ~string](what string, current, got S, passing string) Check {
	if current != got {
		return Check{Failing, fmt.Sprintf("expected %s %q as of the current model, got %q", what, current, got)}
	}
	return Check{Passing, passing}
}

// unknown is a check for which the facts of the current model are missing.
func (c *Candidate) unknown() Check {
	return Check{Warning, fmt.Sprintf("The facts of the current model %q are not known: there is nothing to compare with.", c.State.Model.ID)}
}

// checkClasses compares the names of the classes. Where the candidate names
// none, the number of those that its file tells apart has to do.
func (c *Candidate) checkClasses() Check {
	if c.State.Model.Target.Type == TargetRegression || c.Model.Target.Type == TargetRegression {
		return Check{Passing, "The check does not apply: a target of type Regression has no classes."}
	}
	if c.Facts.Current == nil {
		return c.unknown()
	}
	want, got := c.Facts.Current.Target.Classes, c.Model.Target.Classes
	inFile := 0
	if c.Facts.Inspection != nil {
		inFile = c.Facts.Inspection.Classes
	}
	switch {
	case len(want) == 0 && len(got) == 0:
		return Check{Passing, "The check does not apply: neither model names its classes."}
	case len(got) == 0 && inFile > 0 && inFile != len(want):
		return Check{Failing, fmt.Sprintf("expected the %d classes of the current model (%s), got a file that tells %d apart", len(want), list(want), inFile)}
	case len(got) == 0:
		return Check{Warning, fmt.Sprintf("New model does not name its classes; those of the current model are %s.", list(want))}
	case len(want) == 0:
		return Check{Warning, fmt.Sprintf("The current model does not name its classes; those of the new model are %s.", list(got))}
	case slices.Equal(want, got):
		return Check{Passing, "Target classes are compatible."}
	case slices.Equal(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))):
		return Check{Warning, fmt.Sprintf("New model has its classes in another order: %s; that of the current model is %s.", list(got), list(want))}
	default:
		return Check{Failing, differentClasses(want, got)}
	}
}

// differentClasses names the classes of both or, if there are many, those that
// only one of them has.
func differentClasses(want, got []string) string {
	if len(want) <= shownNames && len(got) <= shownNames {
		return fmt.Sprintf("expected the classes of the current model (%s), got %s", list(want), list(got))
	}
	return fmt.Sprintf("expected the %d classes of the current model, got %d; missing: %s; additional: %s",
		len(want), len(got), list(without(want, got)), list(without(got, want)))
}

// checkFeatures warns of features that the current model does not need, and of
// rows that are no longer laid out as they were.
func (c *Candidate) checkFeatures() Check {
	if c.Facts.Current == nil {
		return c.unknown()
	}
	want, got := c.Facts.Current.FeatureNames(), c.Model.FeatureNames()
	extra, fewer := without(got, want), without(want, got)
	switch {
	case len(extra) > 0:
		return Check{Warning, "New model requires additional features: " + list(extra) + "."}
	case len(fewer) > 0:
		return Check{Passing, "Features are compatible. New model does not need " + list(fewer) + "."}
	case !slices.Equal(want, got):
		return Check{Warning, fmt.Sprintf("New model has its features in another order: %s; that of the current model is %s.", list(got), list(want))}
	default:
		return Check{Passing, "Features are compatible."}
	}
}

func (c *Candidate) checkFeatureTypes() Check {
	if c.Facts.Current == nil {
		return c.unknown()
	}
	types := make(map[string]FeatureType, len(c.Facts.Current.Features))
	for _, feature := range c.Facts.Current.Features {
		types[feature.Name] = feature.Type
	}
	var differ []string
	for _, feature := range c.Model.Features {
		if want, shared := types[feature.Name]; shared && want != feature.Type {
			differ = append(differ, fmt.Sprintf("%s to be %s, got %s", feature.Name, want, feature.Type))
		}
	}
	if len(differ) > 0 {
		return Check{Failing, "expected feature " + strings.Join(cut(differ), "; feature ") + "; as of the current model"}
	}
	return Check{Passing, "Feature data types are compatible."}
}

func checkNotCurrent(current, got Name) Check {
	if current == got {
		return Check{Failing, fmt.Sprintf("expected another model than the current one, got %q, which is the current one", got)}
	}
	return Check{Passing, fmt.Sprintf("Model is not the current one, which is %q.", current)}
}

// checkSupported: a deployment that does not serve now has to be activated or
// deployed anew first (datarobot.md R21).
func checkSupported(s *State, format Format) Check {
	if s.Status != StatusActive {
		return Check{Failing, fmt.Sprintf("expected a deployment that is %s, got one that is %s", StatusActive, s.Status)}
	}
	return Check{Passing, fmt.Sprintf("The deployment is active, and models of format %s can replace its model.", format)}
}

func checkCanDeploy(m Model) Check {
	switch {
	case m.Archived:
		return Check{Failing, "expected a model that is not archived, got an archived one"}
	case m.Deprecated:
		return Check{Warning, "Model is deprecated."}
	default:
		return Check{Passing, "Model can be deployed."}
	}
}

func checkStatus(m Model) Check {
	if m.Status != "" && m.Status != ModelReady {
		return Check{Failing, fmt.Sprintf("expected a model whose status is %s, got %s", ModelReady, m.Status)}
	}
	return Check{Passing, "Model is ready."}
}

func (c *Candidate) checkSeries() Check {
	if c.Facts.Current == nil {
		return c.unknown()
	}
	want, got := c.Facts.Current.SeriesType, c.Model.SeriesType
	if want == "" && got == "" {
		return Check{Passing, "The check does not apply: neither model is a time series model."}
	}
	name := func(s SeriesType) SeriesType {
		if s == "" {
			return "none"
		}
		return s
	}
	return checkSame("series type", name(want), name(got), "Series type is compatible.")
}

// without are the names of all that are not among others, in their order.
func without(all, others []string) (left []string) {
	known := make(map[string]bool, len(others))
	for _, name := range others {
		known[name] = true
	}
	for _, name := range all {
		if !known[name] {
			left = append(left, name)
		}
	}
	return left
}

// shownNames is how many names a message shows.
const shownNames = 20

// list are names as a message shows them: the first ones, if there are many.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(cut(names), ", ")
}

func cut(names []string) []string {
	if len(names) <= shownNames {
		return names
	}
	return append(slices.Clone(names[:shownNames]), fmt.Sprintf("and %d more", len(names)-shownNames))
}

package deployment

import (
	"fmt"
	"slices"
	"strings"
)

// Checks are the verdicts on one candidate, by name (datarobot.md section 4).
type Checks map[CheckName]Check

// CheckName names one check. Names are on the wire.
type CheckName string

// The checks of a contract, and of a model file against what is declared of it.
const (
	CheckContract         CheckName = "contract"         // the contract that the command names is right
	CheckImages           CheckName = "images"           // the images that the contract names are in their registries; only if it names some
	CheckArtifact         CheckName = "artifact"         // the bytes are those the command names
	CheckFormat           CheckName = "format"           // the file is what its format says
	CheckPrediction       CheckName = "prediction"       // the model answers a prediction
	CheckGoldenRows       CheckName = "goldenRows"       // it answers the golden rows as expected; only if it has some
	CheckDeclaredFeatures CheckName = "declaredFeatures" // the declared features are the file's
	CheckDeclaredTarget   CheckName = "declaredTarget"   // the declared target fits the file
)

// The checks of a model against the one that it is to replace (datarobot.md
// section 4, tier 1). Of a model that is to be deployed, those that look at no
// other model are made.
const (
	CheckTarget           CheckName = "target"             // both predict the same
	CheckTargetType       CheckName = "targetType"         // in the same way
	CheckTargetClasses    CheckName = "targetClasses"      // and tell the same classes apart
	CheckFeatures         CheckName = "features"           // it needs no feature that the current model does not need
	CheckFeatureDataTypes CheckName = "featureDataTypes"   // features that both need are of the same type
	CheckPermission       CheckName = "permission"         // the sender may change the deployment
	CheckNotCurrentModel  CheckName = "notCurrentModel"    // it is another model
	CheckSupported        CheckName = "supported"          // the model of the deployment can be replaced; what the contract describes can be served
	CheckModelCanDeploy   CheckName = "modelCanBeDeployed" // it is not archived
	CheckModelStatus      CheckName = "modelStatus"        // it is built
	CheckSeriesType       CheckName = "seriesType"         // both are for single time series, or for several, or for none
)

// Check is one verdict.
type Check struct {
	Status  CheckStatus `json:"status"`
	Message string      `json:"message"`
}

// CheckStatus is how a check ended. The worst one is the verdict of all.
type CheckStatus string

// The check statuses.
const (
	Passing CheckStatus = "passing"
	Warning CheckStatus = "warning"
	Failing CheckStatus = "failing"
)

// Status is the verdict of all checks together: failing if any fails, else
// warning if any warns, else passing (datarobot.md R14).
func (c Checks) Status() CheckStatus {
	worst := Passing
	for _, check := range c {
		switch check.Status {
		case Failing:
			return Failing
		case Warning:
			worst = Warning
		case Passing:
		}
	}
	return worst
}

// Rejection is what failing checks come to, or nil when none fails.
func (c Checks) Rejection() *Rejection {
	return RejectAll("the model does not pass its checks", c.findings(Failing, func(CheckName) Code { return CodeChecksFailing }))
}

// StrictRejection is what warnings come to where they stop what they are about
// (datarobot.md R14), or nil when none warns.
func (c Checks) StrictRejection(code Code) *Rejection {
	return RejectAll("a check has a warning, and validation is strict", c.findings(Warning, func(CheckName) Code { return code }))
}

// findings are the checks with the status, in the order of their paths.
func (c Checks) findings(status CheckStatus, code func(CheckName) Code) (findings []Finding) {
	for name, check := range c {
		if check.Status == status {
			findings = append(findings, Finding{Code: code(name), Path: name.path(), Message: check.Message})
		}
	}
	slices.SortFunc(findings, func(a, b Finding) int { return strings.Compare(a.Path+a.Message, b.Path+b.Message) })
	return findings
}

// path is the member of the command's data that the check is about.
func (n CheckName) path() string {
	switch n {
	case CheckDeclaredFeatures, CheckFeatures, CheckFeatureDataTypes:
		return "model.features"
	case CheckDeclaredTarget, CheckTarget, CheckTargetType, CheckTargetClasses:
		return "model.target"
	case CheckNotCurrentModel:
		return "model"
	case CheckModelCanDeploy:
		return "model.archived"
	case CheckModelStatus:
		return "model.status"
	case CheckSeriesType:
		return "model.seriesType"
	case CheckContract, CheckImages, CheckPermission, CheckSupported:
		return ""
	case CheckGoldenRows:
		return atGolden
	default:
		return "model.artifact"
	}
}

// CheckFile compares what is declared of a model with what its file says.
func CheckFile(m Model, file Inspection) Checks {
	checks := Checks{
		CheckArtifact:         {Passing, fmt.Sprintf("The artifact has %d bytes and digest %s.", m.Artifact.Size, m.Artifact.Digest)},
		CheckFormat:           checkFormat(file),
		CheckPrediction:       {Passing, "The model answers predictions."},
		CheckDeclaredFeatures: checkFeatures(m.FeatureNames(), file),
		CheckDeclaredTarget:   checkTarget(m.Target, file),
	}
	if g := m.Golden; g != nil { // the file was looked at with them
		checks[CheckGoldenRows] = Check{Passing, fmt.Sprintf("The answers to %s are as expected, within %g.", g.all(), g.Within())}
	}
	return checks
}

// CheckRejected is what a rejection that came up while the file was looked at
// says as checks: the one it belongs to fails, and those before it pass.
func CheckRejected(r *Rejection) Checks {
	failing := Check{Failing, r.Error()}
	switch r.Code {
	case CodeArtifactInvalid, CodeUnsupportedArtifact:
		return Checks{CheckArtifact: {Passing, "The artifact is the one the command names."}, CheckFormat: failing}
	case CodeModelCannotPredict:
		return Checks{
			CheckArtifact:   {Passing, "The artifact is the one the command names."},
			CheckFormat:     {Passing, "The file is of the declared format."},
			CheckPrediction: failing,
		}
	case CodeGoldenRowsFailing:
		return Checks{
			CheckArtifact:   {Passing, "The artifact is the one the command names."},
			CheckFormat:     {Passing, "The file is of the declared format."},
			CheckPrediction: {Passing, "The model answers predictions."},
			CheckGoldenRows: failing,
		}
	default:
		return Checks{CheckArtifact: failing}
	}
}

func checkFormat(file Inspection) Check {
	if len(file.Warnings) > 0 {
		return Check{Warning, strings.Join(file.Warnings, " ")}
	}
	if file.Objective == "" {
		return Check{Passing, fmt.Sprintf("The file is of the format %s.", file.Format)}
	}
	return Check{Passing, fmt.Sprintf("The file is a %s model with objective %s.", file.Format, file.Objective)}
}

func checkFeatures(declared []string, file Inspection) Check {
	if file.Features == 0 {
		return Check{Passing, "The file does not say how many values it needs per row."}
	}
	if len(declared) != file.Features {
		return Check{Failing, fmt.Sprintf("expected the %d features that the file needs per row, got %d declared", file.Features, len(declared))}
	}
	if len(file.FeatureNames) == 0 {
		return Check{Passing, fmt.Sprintf("The file needs %d values per row and names none.", file.Features)}
	}
	if len(file.FeatureNames) != file.Features {
		return Check{Failing, fmt.Sprintf("expected a file that names the %d features it needs per row, got one that names %d", file.Features, len(file.FeatureNames))}
	}
	for i, name := range file.FeatureNames {
		if declared[i] != name {
			return Check{Failing, fmt.Sprintf("expected feature %d to be %q as in the file, got %q", i, name, declared[i])}
		}
	}
	return Check{Passing, fmt.Sprintf("The %d declared features are those of the file, in its order.", file.Features)}
}

func checkTarget(t Target, file Inspection) Check {
	if len(file.TargetTypes) > 0 && !slices.Contains(file.TargetTypes, t.Type) {
		source := "objective " + file.Objective
		if file.Objective == "" {
			source = "the file"
		}
		return Check{Failing, fmt.Sprintf("expected a target of type %s, which %s is for, got %s", join(file.TargetTypes, " or "), source, t.Type)}
	}
	if file.Classes > 0 && len(t.Classes) > 0 && len(t.Classes) != file.Classes {
		return Check{Failing, fmt.Sprintf("expected the %d classes that the file tells apart, got %d: %s", file.Classes, len(t.Classes), strings.Join(t.Classes, ", "))}
	}
	return Check{Passing, fmt.Sprintf("Target %s of type %s fits the file.", t.Name, t.Type)}
}

func join[S ~string](list []S, separator string) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = string(s)
	}
	return strings.Join(parts, separator)
}

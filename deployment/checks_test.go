package deployment_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/deployment"
)

// churnFile is what the file of churn says.
func churnFile() deployment.Inspection {
	return deployment.Inspection{
		Format: deployment.FormatXGBoost, Objective: "binary:logistic",
		Features: 2, FeatureNames: []string{"tenure_months", "plan <€>"}, Outputs: 1, Trees: 50,
		TargetTypes: []deployment.TargetType{deployment.TargetBinary}, Classes: 2,
	}
}

func TestCheckFilePasses(t *testing.T) {
	t.Parallel()
	want := deployment.Checks{
		"artifact":         {"passing", "The artifact has 48213 bytes and digest sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."},
		"format":           {"passing", "The file is a xgboost model with objective binary:logistic."},
		"prediction":       {"passing", "The model answers predictions."},
		"declaredFeatures": {"passing", "The 2 declared features are those of the file, in its order."},
		"declaredTarget":   {"passing", "Target churned of type Binary fits the file."},
	}
	got := deployment.CheckFile(churn(), churnFile())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	if got.Status() != deployment.Passing || got.Rejection() != nil {
		t.Errorf("got status %s, rejection %v, want passing and none", got.Status(), got.Rejection())
	}
}

// Each case differs in one thing from a model that fits its file.
func TestCheckFileSaysWhatWasExpectedAndGot(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*deployment.Model, *deployment.Inspection)
		check  deployment.CheckName
		want   deployment.Check
	}{
		"warnings of the file": {
			func(_ *deployment.Model, f *deployment.Inspection) {
				f.Warnings = []string{"Old file.", "No base score."}
			},
			deployment.CheckFormat,
			deployment.Check{Status: deployment.Warning, Message: "Old file. No base score."},
		},
		"too few features": {
			func(m *deployment.Model, _ *deployment.Inspection) { m.Features = m.Features[:1] },
			deployment.CheckDeclaredFeatures,
			deployment.Check{Status: deployment.Failing, Message: "expected the 2 features that the file needs per row, got 1 declared"},
		},
		"too many features": {
			func(_ *deployment.Model, f *deployment.Inspection) { f.Features = 1 },
			deployment.CheckDeclaredFeatures,
			deployment.Check{Status: deployment.Failing, Message: "expected the 1 features that the file needs per row, got 2 declared"},
		},
		"feature of another name": {
			func(m *deployment.Model, _ *deployment.Inspection) { m.Features[1].Name = "contract" },
			deployment.CheckDeclaredFeatures,
			deployment.Check{Status: deployment.Failing, Message: `expected feature 1 to be "plan <€>" as in the file, got "contract"`},
		},
		"features in another order": {
			func(m *deployment.Model, _ *deployment.Inspection) {
				m.Features[0], m.Features[1] = m.Features[1], m.Features[0]
			},
			deployment.CheckDeclaredFeatures,
			deployment.Check{Status: deployment.Failing, Message: `expected feature 0 to be "tenure_months" as in the file, got "plan <€>"`},
		},
		"file that names more features than it needs": {
			func(_ *deployment.Model, f *deployment.Inspection) {
				f.FeatureNames = append(f.FeatureNames, "contract")
			},
			deployment.CheckDeclaredFeatures,
			deployment.Check{Status: deployment.Failing, Message: "expected a file that names the 2 features it needs per row, got one that names 3"},
		},
		"file that names fewer features than it needs": {
			func(_ *deployment.Model, f *deployment.Inspection) { f.FeatureNames = f.FeatureNames[:1] },
			deployment.CheckDeclaredFeatures,
			deployment.Check{Status: deployment.Failing, Message: "expected a file that names the 2 features it needs per row, got one that names 1"},
		},
		"file without feature names": {
			func(m *deployment.Model, f *deployment.Inspection) {
				m.Features[0].Name, f.FeatureNames = "anything", nil
			},
			deployment.CheckDeclaredFeatures,
			deployment.Check{Status: deployment.Passing, Message: "The file needs 2 values per row and names none."},
		},
		"target of another type": {
			func(m *deployment.Model, _ *deployment.Inspection) { m.Target.Type = deployment.TargetRegression },
			deployment.CheckDeclaredTarget,
			deployment.Check{Status: deployment.Failing, Message: "expected a target of type Binary, which objective binary:logistic is for, got Regression"},
		},
		"target of none of the types": {
			func(_ *deployment.Model, f *deployment.Inspection) {
				f.TargetTypes = []deployment.TargetType{deployment.TargetMulticlass, deployment.TargetRegression}
			},
			deployment.CheckDeclaredTarget,
			deployment.Check{Status: deployment.Failing, Message: "expected a target of type Multiclass or Regression, which objective binary:logistic is for, got Binary"},
		},
		"target of one of the types": {
			func(_ *deployment.Model, f *deployment.Inspection) {
				f.TargetTypes = []deployment.TargetType{deployment.TargetMulticlass, deployment.TargetBinary}
			},
			deployment.CheckDeclaredTarget,
			deployment.Check{Status: deployment.Passing, Message: "Target churned of type Binary fits the file."},
		},
		"file that does not say what it is for": {
			func(m *deployment.Model, f *deployment.Inspection) {
				m.Target.Type, f.TargetTypes = deployment.TargetRegression, nil
			},
			deployment.CheckDeclaredTarget,
			deployment.Check{Status: deployment.Passing, Message: "Target churned of type Regression fits the file."},
		},
		"other number of classes": {
			func(_ *deployment.Model, f *deployment.Inspection) { f.Classes = 3 },
			deployment.CheckDeclaredTarget,
			deployment.Check{Status: deployment.Failing, Message: "expected the 3 classes that the file tells apart, got 2: stays, leaves"},
		},
		"no classes declared": {
			func(m *deployment.Model, f *deployment.Inspection) { m.Target.Classes, f.Classes = nil, 3 },
			deployment.CheckDeclaredTarget,
			deployment.Check{Status: deployment.Passing, Message: "Target churned of type Binary fits the file."},
		},
		"file that does not say how many classes": {
			func(m *deployment.Model, f *deployment.Inspection) {
				m.Target.Classes, f.Classes = []string{"a", "b", "c"}, 0
			},
			deployment.CheckDeclaredTarget,
			deployment.Check{Status: deployment.Passing, Message: "Target churned of type Binary fits the file."},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, file := churn(), churnFile()
			test.change(&m, &file)
			got := deployment.CheckFile(m, file)
			if diff := cmp.Diff(test.want, got[test.check]); diff != "" {
				t.Errorf("check %s (-want +got):\n%s", test.check, diff)
			}
			if len(got) != 5 {
				t.Errorf("got %d checks, want all 5", len(got))
			}
			for other, check := range got {
				if other != test.check && check.Status != deployment.Passing {
					t.Errorf("check %s: got %+v, want it to pass as before", other, check)
				}
			}
			if got.Status() != test.want.Status {
				t.Errorf("verdict: got %s, want %s", got.Status(), test.want.Status)
			}
			if rejected := got.Rejection() != nil; rejected != (test.want.Status == deployment.Failing) {
				t.Errorf("rejected: got %t for a check that is %s", rejected, test.want.Status)
			}
		})
	}
}

func TestChecksStatusIsTheWorst(t *testing.T) {
	t.Parallel()
	p, w, f := deployment.Check{Status: deployment.Passing}, deployment.Check{Status: deployment.Warning}, deployment.Check{Status: deployment.Failing}
	tests := []struct {
		checks deployment.Checks
		want   deployment.CheckStatus
	}{
		{nil, deployment.Passing},
		{deployment.Checks{"a": p, "b": p}, deployment.Passing},
		{deployment.Checks{"a": p, "b": w, "c": p}, deployment.Warning},
		{deployment.Checks{"a": w, "b": f, "c": p}, deployment.Failing},
		{deployment.Checks{"a": f}, deployment.Failing},
	}
	for _, test := range tests {
		for range 20 { // whatever the order of the map
			if got := test.checks.Status(); got != test.want {
				t.Fatalf("%v: got %s, want %s", test.checks, got, test.want)
			}
		}
	}
}

func TestChecksRejectionNamesEveryFailingCheck(t *testing.T) {
	t.Parallel()
	checks := deployment.Checks{
		deployment.CheckArtifact:         {Status: deployment.Failing, Message: "no bytes"},
		deployment.CheckFormat:           {Status: deployment.Failing, Message: "no model"},
		deployment.CheckPrediction:       {Status: deployment.Warning, Message: "slow"},
		deployment.CheckDeclaredTarget:   {Status: deployment.Failing, Message: "wrong target"},
		deployment.CheckDeclaredFeatures: {Status: deployment.Failing, Message: "wrong features"},
	}
	want := &deployment.Rejection{
		Code: deployment.CodeChecksFailing, Class: deployment.ClassInvalid, Message: "the model does not pass its checks",
		Findings: []deployment.Finding{
			{Code: deployment.CodeChecksFailing, Path: "model.artifact", Message: "no bytes"},
			{Code: deployment.CodeChecksFailing, Path: "model.artifact", Message: "no model"},
			{Code: deployment.CodeChecksFailing, Path: "model.features", Message: "wrong features"},
			{Code: deployment.CodeChecksFailing, Path: "model.target", Message: "wrong target"},
		},
	}
	for range 20 { // whatever the order of the map
		if diff := cmp.Diff(want, checks.Rejection()); diff != "" {
			t.Fatalf("rejection (-want +got):\n%s", diff)
		}
	}
}

func TestCheckRejectedFailsTheCheckItIsAbout(t *testing.T) {
	t.Parallel()
	artifact := deployment.Check{Status: deployment.Passing, Message: "The artifact is the one the command names."}
	format := deployment.Check{Status: deployment.Passing, Message: "The file is of the declared format."}
	failing := deployment.Check{Status: deployment.Failing, Message: "why"}
	tests := map[deployment.Code]deployment.Checks{
		deployment.CodeDigestMismatch:      {deployment.CheckArtifact: failing},
		deployment.CodeSizeMismatch:        {deployment.CheckArtifact: failing},
		deployment.CodeArtifactNotFound:    {deployment.CheckArtifact: failing},
		deployment.CodeURLNotAllowed:       {deployment.CheckArtifact: failing},
		deployment.CodeArtifactInvalid:     {deployment.CheckArtifact: artifact, deployment.CheckFormat: failing},
		deployment.CodeUnsupportedArtifact: {deployment.CheckArtifact: artifact, deployment.CheckFormat: failing},
		deployment.CodeModelCannotPredict: {
			deployment.CheckArtifact: artifact, deployment.CheckFormat: format, deployment.CheckPrediction: failing,
		},
	}
	for code, want := range tests {
		got := deployment.CheckRejected(deployment.Reject(code, "model.artifact", "why"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", code, diff)
		}
		if got.Status() != deployment.Failing {
			t.Errorf("%s: got status %s, want failing", code, got.Status())
		}
	}
}

// Of many classes a message names those that differ.
func TestManyClassesThatDiffer(t *testing.T) {
	t.Parallel()
	many := func(from, to int) (classes []string) {
		for i := from; i < to; i++ {
			classes = append(classes, fmt.Sprint("c", i))
		}
		return classes
	}
	current, candidate := churn(), churn()
	current.Target.Classes, candidate.Target.Classes = many(0, 50), many(1, 75)
	ref := current.Ref()
	_, checks := (&deployment.Candidate{
		Model: candidate, State: &deployment.State{Name: "churn", Status: deployment.StatusActive, Model: &ref}, Facts: deployment.Facts{Current: &current},
	}).Validate()
	want := "expected the 50 classes of the current model, got 74; missing: c0; additional: c50, c51, c52, c53, c54, c55, c56, c57, c58, c59, " +
		"c60, c61, c62, c63, c64, c65, c66, c67, c68, c69, and 5 more"
	if got := checks[deployment.CheckTargetClasses]; got.Message != want || got.Status != deployment.Failing {
		t.Errorf("got %+v, want %s", got, want)
	}
}

package sourcing

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
)

// formats are the model types that the prediction servers run, with the format
// of their files. Any other is a failing check.
func formats() map[contract.ModelType]deployment.Format {
	return map[contract.ModelType]deployment.Format{
		contract.ModelXGBoost:  deployment.FormatXGBoost,
		contract.ModelLightGBM: deployment.FormatLightGBM,
		contract.ModelONNX:     deployment.FormatONNX,
	}
}

// unsupported is what of a contract no prediction server here runs, and what to
// do instead.
func unsupported(at contract.Path, c contract.Contract, types contract.Types) (findings []deployment.Finding) {
	add := func(path, format string, args ...any) {
		findings = append(findings, deployment.Finding{Code: deployment.CodeUnsupportedArtifact, Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if image := imageOf(&c.Model); image != nil {
		add(reference(at, "model", image.member), "images are not run here, there is no server for containers: expected the file of the model, in the repository or as a blob, of type %s", names(formats()))
	} else if _, served := formats()[types.Model]; !served {
		add("source.modelType", "%s", notServed(types.Model))
	} else if kind := c.Model.Kind(); kind != contract.KindFile && kind != contract.KindBlob {
		add(reference(at, "model", string(kind)), "models from %s cannot be fetched: expected a file in the repository or a blob", kind)
	}
	if types.Explainer != contract.NoExplainer {
		add("source.explainerType", "explainers are not run here: expected explainerType %s, which leaves the one of the contract alone", contract.NoExplainer)
	}
	if types.Transformer != contract.NoTransformer {
		add("source.transformerType", "transformers are not run here: expected transformerType %s, which leaves the one of the contract alone", contract.NoTransformer)
	}
	return findings
}

func notServed(t contract.ModelType) string {
	return fmt.Sprintf("models of type %s cannot be served here: expected %s", t, names(formats()))
}

func names(served map[contract.ModelType]deployment.Format) string {
	var list []string
	for t := range served {
		list = append(list, string(t))
	}
	slices.Sort(list)
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

// reference is where a member of a part's reference is in the repository.
func reference(at contract.Path, part, member string) string {
	return path.Join(string(at), part, "reference.json") + "#reference." + member
}

// described is a contract whose model can be served.
type described struct {
	at       contract.Path
	contract contract.Contract
	format   deployment.Format
	target   string               // its name; "": nobody has said one
	upload   *deployment.Artifact // that the model is, if it was uploaded
}

// model is the model of the contract, with its file kept.
func (c *Contracts) model(ctx context.Context, repository fs.FS, d described, progress func(string)) (*deployment.Model, error) {
	golden, err := d.golden()
	if err != nil {
		return nil, err
	}
	artifact, err := c.artifact(ctx, repository, d, progress)
	if err != nil {
		return nil, err
	}
	name, err := c.Artifacts.Open(ctx, artifact.Digest, artifact.Size)
	if err != nil {
		return nil, err
	}
	progress("loading the model")
	file, err := c.Load(name, deployment.Model{Format: d.format, Golden: golden})
	if err != nil {
		return nil, relocate(err, d.locate)
	}
	target, err := d.declares(file)
	if err != nil {
		return nil, err
	}
	return &deployment.Model{Format: d.format, Target: target, Features: d.features(file), Artifact: artifact, Golden: golden}, nil
}

// artifact is the model's file, which is ours from then on.
func (c *Contracts) artifact(ctx context.Context, repository fs.FS, d described, progress func(string)) (a deployment.Artifact, err error) {
	progress("fetching the model")
	if d.upload != nil {
		_, err = c.Artifacts.Pin(ctx, *d.upload, quarters(progress))
		return deployment.Artifact{Object: d.upload.Object, Digest: d.upload.Digest, Size: d.upload.Size}, relocate(err, uploadMember)
	}
	if f := d.contract.Model.File; f != nil {
		a, err = c.Artifacts.Keep(ctx, f.Name, open(repository, f.Name), quarters(progress))
		if err == nil && a.Digest != f.Digest {
			return a, fmt.Errorf("%s: %w", f.Name, contract.ErrChanged)
		}
	} else {
		blob := d.contract.Model.Reference.Blob
		a, err = c.Artifacts.Take(ctx, blob.URL, blob.CredentialsID, quarters(progress))
	}
	return a, relocate(err, func(at string) string {
		if at == "model.artifact.credentialsId" {
			return reference(d.at, "model", "blob.credentialsId")
		}
		return d.file()
	})
}

// uploadMember is where a command has what an artifact has at path.
func uploadMember(path string) string {
	return "source.artifact.files[0]" + strings.TrimPrefix(path, "model.artifact")
}

// file is where the contract says which file the model is.
func (d described) file() string {
	if f := d.contract.Model.File; f != nil {
		return f.Name
	}
	return reference(d.at, "model", "blob.url")
}

func (d described) metadata() contract.Metadata {
	if d.contract.Metadata == nil {
		return contract.Metadata{}
	}
	return *d.contract.Metadata
}

// features are those of metadata.json or, if it has none, of the file. All are
// numeric: nothing there says otherwise.
func (d described) features(file deployment.Inspection) (features []deployment.Feature) {
	for _, f := range d.metadata().Features {
		features = append(features, deployment.Feature{Name: f.Name, Type: deployment.FeatureNumeric})
	}
	if len(features) > 0 {
		return features
	}
	for i := range file.Features {
		name := fmt.Sprintf("f%d", i)
		if i < len(file.FeatureNames) {
			name = file.FeatureNames[i]
		}
		features = append(features, deployment.Feature{Name: name, Type: deployment.FeatureNumeric})
	}
	return features
}

// declares is what the model predicts. What metadata.json says counts, also when
// it contradicts the file: that is a check. What it leaves open the file decides.
func (d described) declares(file deployment.Inspection) (deployment.Target, error) {
	m := d.metadata()
	target := deployment.Target{Name: cmp.Or(d.target, deployment.PredictionTarget), Classes: classes(m.PredictionClasses)}
	var fits []deployment.TargetType
	switch m.ProblemType {
	case contract.Regression:
		fits, target.Classes = []deployment.TargetType{deployment.TargetRegression}, nil
	case contract.Classification:
		fits = []deployment.TargetType{deployment.TargetBinary, deployment.TargetMulticlass}
	default:
		fits = []deployment.TargetType{deployment.TargetBinary, deployment.TargetMulticlass, deployment.TargetRegression}
		if len(target.Classes) > 0 {
			fits = fits[:2]
		}
	}
	switch n := len(target.Classes); {
	case n == 2:
		fits = []deployment.TargetType{deployment.TargetBinary}
	case n > 2:
		fits = []deployment.TargetType{deployment.TargetMulticlass}
	}
	both := slices.DeleteFunc(slices.Clone(fits), func(t deployment.TargetType) bool {
		return len(file.TargetTypes) > 0 && !slices.Contains(file.TargetTypes, t)
	})
	switch {
	case len(both) == 1:
		target.Type = both[0]
	case len(both) == 0: // they contradict each other, which the check of the target says
		target.Type = fits[0]
	default:
		return target, deployment.Reject(deployment.CodeMetadataInvalid, path.Join(string(d.at), "metadata.json")+"#problemType",
			"is required for this model, whose file leaves open what it is for: expected %s with predictionClasses, or %s", contract.Classification, contract.Regression)
	}
	return target, nil
}

// classes are the names of the classes in the order of the values that they
// stand for: false, true; 0, 1, 2; or, of texts, that of the file. One name alone
// says nothing of the others.
func classes(named contract.Classes) (names []string) {
	if len(named) < 2 {
		return nil
	}
	sorted := slices.Clone(named)
	slices.SortStableFunc(sorted, func(a, b contract.Class) int {
		x, comparable := rank(a.Value)
		y, too := rank(b.Value)
		if !comparable || !too {
			return 0
		}
		return cmp.Compare(x, y)
	})
	for _, c := range sorted {
		names = append(names, c.Name)
	}
	return names
}

// rank is the place of a class whose value is a number, true or false.
func rank(value json.RawMessage) (float64, bool) {
	switch text := string(bytes.TrimSpace(value)); text {
	case "false":
		return 0, true
	case "true":
		return 1, true
	default:
		n, err := strconv.ParseFloat(text, 64)
		return n, err == nil
	}
}

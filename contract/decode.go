package contract

import (
	"slices"
	"strings"
)

const (
	referenceFile = "reference.json"
	metadataFile  = "metadata.json"
)

// readReference reads the bytes of a reference.json, in any spelling that
// clients have written (deeploy.md section 5).
func readReference(part part, file string, data []byte, f *findings) Reference {
	v, err := parse(data)
	if err != nil {
		f.add(CodeInvalidReference, file, "is not JSON: %s", err)
		return Reference{}
	}
	m := f.open(v, file+"#", CodeInvalidReference, false)
	inner, at, ok := m.take("reference")
	if !ok {
		if v.kind == object {
			f.add(CodeInvalidReference, at, "no information on what is to be deployed: expected an object with one of %s", either(texts(part.kinds)))
		}
		m.done()
		return Reference{}
	}
	m.done()
	return decodeReference(part, inner, at, f)
}

// decodeReference reads the object with the kinds in it, and checks it.
func decodeReference(part part, v value, at string, f *findings) Reference {
	m := f.open(v, at, CodeInvalidReference, true)
	if v.kind != object {
		return Reference{}
	}
	r := decodeKinds(func(k Kind) *members { return m.object(string(k)) })
	m.done()
	r.check(part, at, f)
	return r
}

// decodeKinds reads each kind from the object that take has for it, if any.
func decodeKinds(take func(Kind) *members) (r Reference) {
	if m := take(KindBlob); m != nil {
		r.Blob = &Blob{URL: m.text("url"), Region: m.text("region"), CredentialsID: m.text("credentialsId")}
		m.done()
	}
	if m := take(KindDocker); m != nil {
		r.Docker = &Docker{Image: m.text("image"), URI: m.text("uri"), Port: m.port(), CredentialsID: m.text("credentialsId")}
		m.done()
	}
	if m := take(KindMLflow); m != nil {
		r.MLflow = &MLflow{Model: m.text("model"), Version: m.version("version"), Stage: m.text("stage"), Alias: m.text("alias")}
		if m := m.object("blob"); m != nil {
			blob := MLflowBlob{Region: m.text("region"), CredentialsID: m.text("credentialsId")}
			if blob != (MLflowBlob{}) {
				r.MLflow.Blob = &blob
			}
			m.done()
		}
		m.done()
	}
	if m := take(KindAzureML); m != nil {
		r.AzureML = &AzureML{
			Image: m.text("image"), URI: m.text("uri"), Port: m.port(),
			ReadinessPath: m.text("readinessPath"),
			LivenessPath:  m.text("livenessPath", "livelinessPath"), // the second is how clients misspelled it (U10)
			Model:         m.text("model"), Version: m.version("version"),
		}
		m.done()
	}
	if m := take(KindDatabricks); m != nil {
		r.Databricks = &Databricks{Model: m.text("model"), Alias: m.text("alias"), Version: m.version("version")}
		m.done()
	}
	if m := take(KindHuggingFace); m != nil {
		r.HuggingFace = &HuggingFace{Model: m.text("model")}
		m.done()
	}
	return r
}

// readMetadata reads the bytes of a metadata.json, of today or of the git era
// (deeploy.md section 6).
func readMetadata(file string, data []byte, f *findings) Metadata {
	v, err := parse(data)
	if err != nil {
		f.add(CodeMetadataInvalid, file, "is not JSON: %s", err)
		return Metadata{}
	}
	return decodeMetadata(v, file+"#", f)
}

func decodeMetadata(v value, at string, f *findings) Metadata {
	m := f.open(v, at, CodeMetadataInvalid, false)
	if v.kind != object {
		return Metadata{}
	}
	out := m.metadata()
	m.done()
	return out
}

// metadata are the members of metadata.json among others.
func (m *members) metadata() (out Metadata) {
	f := m.found
	if v, at, ok := m.takeSet("features"); ok {
		out.Features = decodeFeatures(v, at, f)
	}
	if v, at, ok := m.takeSet("featureLabels"); ok {
		labels := decodeLabels(v, at, f)
		if out.Features == nil {
			out.Features = labels
		} else if !slices.EqualFunc(out.Features, labels, func(a, b Feature) bool { return a.Name == b.Name }) {
			f.add(CodeMetadataInvalid, at, "names other features than features does: expected one of them, or the same names in the same order")
		}
	}
	if v, at, ok := m.takeSet("problemType"); ok {
		out.ProblemType = decodeProblem(v, at, f)
	}
	if v, at, ok := m.takeSet("predictionClasses"); ok {
		out.PredictionClasses = decodeClasses(v, at, f)
	}
	if v, at, ok := m.takeSet("exampleInput"); ok {
		out.ExampleInput = v.raw()
		checkExample(v, at, len(out.Features), f)
	}
	if v, _, ok := m.takeSet("exampleOutput"); ok {
		out.ExampleOutput = v.raw()
	}
	return out
}

// takeSet is take, but what holds nothing is not there: git-era files have {} or
// "" for what was not set, whatever its type (U16).
func (m *members) takeSet(name string) (v value, at string, ok bool) {
	v, at, ok = m.take(name)
	return v, at, ok && !v.empty()
}

func decodeFeatures(v value, at string, f *findings) (out []Feature) {
	if v.kind != array {
		f.add(CodeMetadataInvalid, at, "expected an array of features, got %v", v.kind)
		return nil
	}
	names := map[string]bool{}
	for i, item := range v.items {
		at := index(at, i)
		m := f.open(item, at, CodeMetadataInvalid, true)
		feature := Feature{Name: m.text("name"), ObservedMin: m.number("observedMin"), ObservedMax: m.number("observedMax")}
		if v, _, ok := m.takeSet("distribution"); ok {
			feature.Distribution = v.raw()
		}
		if item.kind == object {
			checkName(feature.Name, at+".name", names, f)
		}
		m.done()
		out = append(out, feature)
	}
	return out
}

func decodeLabels(v value, at string, f *findings) (out []Feature) {
	if v.kind != array {
		f.add(CodeMetadataInvalid, at, "expected an array of feature names, got %v", v.kind)
		return nil
	}
	names := map[string]bool{}
	for i, item := range v.items {
		if item.kind != text {
			f.add(CodeMetadataInvalid, index(at, i), "expected the name of a feature, got %v", item.kind)
		} else {
			checkName(item.text, index(at, i), names, f)
		}
		out = append(out, Feature{Name: item.text})
	}
	return out
}

func decodeProblem(v value, at string, f *findings) ProblemType {
	for _, p := range []ProblemType{Classification, Regression} {
		if v.kind == text && strings.EqualFold(v.text, string(p)) {
			return p
		}
	}
	f.add(CodeMetadataInvalid, at, "expected %s or %s, got %s", Classification, Regression, described(v))
	return ""
}

func decodeClasses(v value, at string, f *findings) (out Classes) {
	if v.kind != object {
		f.add(CodeMetadataInvalid, at, `expected an object such as {"credit worthy":true}, got %v`, v.kind)
		return nil
	}
	for _, m := range v.members {
		if m.kind == array || m.kind == object || m.kind == null {
			f.add(CodeMetadataInvalid, at+"."+m.name, "expected the value that the model answers: true, false, a number or a string, got %v", m.kind)
		}
		out = append(out, Class{Name: m.name, Value: m.raw()})
	}
	return out
}

// described is the value for a message, when it is short enough for one.
func described(v value) string {
	if v.kind == text {
		return quote(v.text)
	}
	return v.kind.String()
}

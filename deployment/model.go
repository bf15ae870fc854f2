package deployment

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Model is an immutable model version with its facts. Two models with equal
// Digest are the same model, whatever their ids (datarobot.md section 4,
// "model facts needed").
type Model struct {
	ID       Name      `json:"id"`
	Format   Format    `json:"format"`
	Type     string    `json:"type,omitempty"` // free text for people, e.g. "XGBoost Classifier"
	Target   Target    `json:"target"`
	Features []Feature `json:"features"`
	Artifact Artifact  `json:"artifact"`

	SeriesType SeriesType `json:"seriesType,omitempty"` // "": it is no time series
	Golden     *Golden    `json:"golden,omitempty"`     // rows whose answers are known; nil: none
	Lifecycle
}

// Lifecycle says whether a model is fit for use, as far as it is declared.
type Lifecycle struct {
	Status     ModelStatus `json:"status,omitempty"` // "": ready
	Deprecated bool        `json:"deprecated,omitempty"`
	Archived   bool        `json:"archived,omitempty"`
}

// ModelStatus is how far the making of a model is.
type ModelStatus string

// The model statuses (datarobot.md section 4).
const (
	ModelReady    ModelStatus = "ready"    // built, its tests passed
	ModelBuilding ModelStatus = "building" // not done
	ModelFailed   ModelStatus = "failed"   // the build or a test did not succeed
)

// SeriesType is how many time series a model is for.
type SeriesType string

// The series types (datarobot.md section 4).
const (
	SeriesSingle SeriesType = "single"
	SeriesMulti  SeriesType = "multi"
)

// Format names how the bytes of a model are to be read.
type Format string

// The formats.
const (
	FormatLightGBM Format = "lightgbm" // a model file that LightGBM has saved as text
	FormatONNX     Format = "onnx"     // a model file in the format of the ONNX standard
	FormatXGBoost  Format = "xgboost"  // a model file that XGBoost has saved as JSON or UBJSON
)

// Formats are all formats.
func Formats() []Format {
	return []Format{
		FormatLightGBM,
		FormatONNX,
		FormatXGBoost,
	}
}

// Target is what a model predicts.
type Target struct {
	Name    string     `json:"name"`
	Type    TargetType `json:"type"`
	Classes []string   `json:"classes,omitempty"` // class names in output order; classification only
}

// TargetType is the kind of prediction, in DataRobot's spelling.
type TargetType string

// The target types (datarobot.md section 4).
const (
	TargetBinary     TargetType = "Binary"
	TargetRegression TargetType = "Regression"
	TargetMulticlass TargetType = "Multiclass"
)

// Feature is one input of a model. The order of a model's features is the
// order of the values in a prediction row.
type Feature struct {
	Name string      `json:"name"`
	Type FeatureType `json:"type"`
}

// FeatureType is the kind of values a feature holds.
type FeatureType string

// The feature types.
const (
	FeatureNumeric     FeatureType = "numeric"
	FeatureCategorical FeatureType = "categorical"
	FeatureBoolean     FeatureType = "boolean"
)

// Artifact says where the bytes of a model are and how to know them again.
// Exactly one of URL and Object is set.
type Artifact struct {
	URL    string `json:"url,omitempty"`    // file, http, https, s3, gs or azblob
	Object string `json:"object,omitempty"` // name in the artifacts object store
	Digest Digest `json:"digest"`
	Size   int64  `json:"size"` // bytes

	CredentialsID string `json:"credentialsId,omitempty"` // names what gives access to the url; never the credentials
}

// Digest is "sha256:" followed by 64 lower-case hexadecimal digits.
type Digest string

const digestPrefix = "sha256:"

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ParseDigest returns s as a Digest, or an error that says what one looks like.
func ParseDigest(s string) (Digest, error) {
	if !digestPattern.MatchString(s) {
		return "", fmt.Errorf("digest %q: expected sha256: and 64 lower-case hexadecimal digits", s)
	}
	return Digest(s), nil
}

// DigestOf is the digest whose raw SHA-256 sum is given.
func DigestOf(sum []byte) Digest { return Digest(digestPrefix + hex.EncodeToString(sum)) }

// Hex is the digest without its algorithm: 64 hexadecimal digits.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), digestPrefix) }

// Digest identifies the content of the model: every fact except the id and
// except where the artifact is to be fetched from (its digest counts, its
// location does not).
func (m Model) Digest() Digest {
	m.ID, m.Artifact.URL, m.Artifact.Object = "", "", ""
	text, err := json.Marshal(m)
	if err != nil { // a Model holds nothing that JSON cannot say
		panic(err)
	}
	sum := sha256.Sum256(text)
	return DigestOf(sum[:])
}

// SameContent reports whether both are the same model under perhaps different ids.
func (m Model) SameContent(other Model) bool { return m.Digest() == other.Digest() }

var contentIDPattern = regexp.MustCompile(`^m-[a-z2-7]{26}$`)

// ContentID is the id of a model that was given inline: "m-" and 26 characters
// of the base32 of its content digest. Equal content always has the same id.
func (m Model) ContentID() Name {
	sum, err := hex.DecodeString(m.Digest().Hex())
	if err != nil {
		panic(err)
	}
	return Name("m-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum))[:26])
}

// IsContentID reports whether id has the form that ContentID makes. Such an id
// cannot be chosen freely: it belongs to one content.
func IsContentID(id Name) bool { return contentIDPattern.MatchString(string(id)) }

// FeatureNames are the names of the features in row order.
func (m Model) FeatureNames() []string {
	names := make([]string, len(m.Features))
	for i, f := range m.Features {
		names[i] = f.Name
	}
	return names
}

// Ref is the short form in which a deployment refers to a model.
func (m Model) Ref() ModelRef {
	target := m.Target
	target.Classes = nil // there may be thousands
	return ModelRef{ID: m.ID, Format: m.Format, Type: m.Type, Target: target, Digest: m.Artifact.Digest, Size: m.Artifact.Size}
}

// ModelRef is what a deployment's state says of a model: its identity and the
// digest of its bytes. The full facts are the model's own (models bucket).
type ModelRef struct {
	ID     Name   `json:"id"`
	Format Format `json:"format"`
	Type   string `json:"type,omitempty"`
	Target Target `json:"target"` // without its classes
	Digest Digest `json:"digest"` // of the artifact
	Size   int64  `json:"size"`   // of the artifact, bytes

	Contract *Contract `json:"contract,omitempty"` // that it was deployed from, if any
}

// From is the reference with the contract that the model is deployed from.
func (r ModelRef) From(c *Contract) ModelRef {
	r.Contract = clone(c)
	return r
}

func (r *ModelRef) clone() *ModelRef {
	c := clone(r)
	if c != nil {
		c.Target = c.Target.clone()
		c.Contract = clone(c.Contract)
	}
	return c
}

// Inspection is what a model file says of itself, together with what was seen
// when it was loaded and asked for a prediction.
type Inspection struct {
	Format       Format   `json:"format"`
	Objective    string   `json:"objective,omitempty"`
	Features     int      `json:"features"`               // values per row
	FeatureNames []string `json:"featureNames,omitempty"` // empty when the file has none
	Outputs      int      `json:"outputs"`                // values per row
	Trees        int      `json:"trees,omitempty"`
	Warnings     []string `json:"warnings,omitempty"` // what a user should know about the file

	TargetTypes []TargetType `json:"targetTypes,omitempty"` // the file can be for these; empty: it does not say
	Classes     int          `json:"classes,omitempty"`     // classes it tells apart; 0: it does not say
}

func (t Target) clone() Target {
	t.Classes = slices.Clone(t.Classes)
	return t
}

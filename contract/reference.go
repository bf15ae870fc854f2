package contract

import (
	"regexp"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Reference is what reference.json says: where something outside of the
// repository is. Exactly one member is set, except that a transformer may have
// a blob beside its docker image (deeploy.md section 5, D11).
type Reference struct {
	Blob        *Blob        `json:"blob,omitempty"`
	Docker      *Docker      `json:"docker,omitempty"`
	MLflow      *MLflow      `json:"mlflow,omitempty"`
	AzureML     *AzureML     `json:"azureML,omitempty"`
	Databricks  *Databricks  `json:"databricks,omitempty"`
	HuggingFace *HuggingFace `json:"huggingface,omitempty"`
}

// Blob is files in an object store or on a server.
type Blob struct {
	URL           string `json:"url"` // s3, gs, azblob, hf, http, https, file or objects
	Region        string `json:"region,omitempty"`
	CredentialsID string `json:"credentialsId,omitempty"` // an id, never the credentials
}

// Docker is an image that answers predictions.
type Docker struct {
	Image         string `json:"image"`
	URI           string `json:"uri"` // path at which it answers
	Port          int    `json:"port,omitempty"`
	CredentialsID string `json:"credentialsId,omitempty"`
}

// MLflow is a model in an MLflow registry.
type MLflow struct {
	Model   string      `json:"model"`
	Version string      `json:"version,omitempty"`
	Stage   string      `json:"stage,omitempty"`
	Alias   string      `json:"alias,omitempty"`
	Blob    *MLflowBlob `json:"blob,omitempty"`
}

// MLflowBlob says how to reach the store behind an MLflow registry.
type MLflowBlob struct {
	Region        string `json:"region,omitempty"`
	CredentialsID string `json:"credentialsId,omitempty"`
}

// AzureML is an image and a model of Azure Machine Learning.
type AzureML struct {
	Image         string `json:"image"`
	URI           string `json:"uri"`
	Port          int    `json:"port"`
	ReadinessPath string `json:"readinessPath"`
	LivenessPath  string `json:"livenessPath"`
	Model         string `json:"model,omitempty"`
	Version       string `json:"version,omitempty"`
}

// Databricks is a model in a Databricks registry.
type Databricks struct {
	Model   string `json:"model"`
	Alias   string `json:"alias,omitempty"`
	Version string `json:"version,omitempty"`
}

// HuggingFace is a model of the Hugging Face hub.
type HuggingFace struct {
	Model string `json:"model"`
}

// Kind is a kind of reference, as reference.json names it.
type Kind string

// The kinds. KindFile is no reference: the model lies in the repository.
const (
	KindFile        Kind = "file"
	KindBlob        Kind = "blob"
	KindDocker      Kind = "docker"
	KindMLflow      Kind = "mlflow"
	KindAzureML     Kind = "azureML"
	KindDatabricks  Kind = "databricks"
	KindHuggingFace Kind = "huggingface"
)

// Kind is the kind that is set; docker when there are docker and blob. It is ""
// for the zero Reference.
func (r Reference) Kind() Kind {
	switch kinds := r.kinds(); {
	case r.Docker != nil:
		return KindDocker
	case len(kinds) == 0:
		return ""
	default:
		return kinds[0]
	}
}

// kinds are all that are set.
func (r Reference) kinds() (set []Kind) {
	for _, k := range []struct {
		kind Kind
		set  bool
	}{
		{KindBlob, r.Blob != nil},
		{KindDocker, r.Docker != nil},
		{KindMLflow, r.MLflow != nil},
		{KindAzureML, r.AzureML != nil},
		{KindDatabricks, r.Databricks != nil},
		{KindHuggingFace, r.HuggingFace != nil},
	} {
		if k.set {
			set = append(set, k.kind)
		}
	}
	return set
}

// Bytes are the reference as reference.json has it.
func (r Reference) Bytes() []byte {
	return encode(struct {
		Reference Reference `json:"reference"`
	}{r})
}

// blobSchemes are where a blob may be. The scheme objects is our own object
// store: objects://bucket/name.
var blobSchemes = []string{"s3", "gs", "azblob", "hf", "http", "https", "file", "objects"}

// imagePattern is coarse: the registry has the last word.
var imagePattern = regexp.MustCompile(`^[a-zA-Z0-9][-a-zA-Z0-9._/:@]*$`)

// check says what is wrong with the reference of a part, at the path of its
// outermost member. What was found there before is not said again.
func (r Reference) check(part part, at string, f *findings) {
	c := checker{at: at, found: f}
	c.kinds(part, r.kinds())
	if b := r.Blob; b != nil {
		c.needs("blob.url", b.URL)
		c.url("blob.url", b.URL)
	}
	if d := r.Docker; d != nil {
		c.needs("docker.image", d.Image)
		c.image("docker.image", d.Image)
		c.needs("docker.uri", d.URI)
		c.port("docker.port", d.Port)
	}
	if m := r.MLflow; m != nil {
		c.needs("mlflow.model", m.Model)
	}
	if a := r.AzureML; a != nil {
		c.needs("azureML.image", a.Image)
		c.image("azureML.image", a.Image)
		c.needs("azureML.uri", a.URI)
		if a.Port == 0 {
			c.needs("azureML.port", "")
		}
		c.port("azureML.port", a.Port)
		c.needs("azureML.readinessPath", a.ReadinessPath)
		c.needs("azureML.livenessPath", a.LivenessPath)
	}
	if d := r.Databricks; d != nil {
		c.needs("databricks.model", d.Model)
	}
	if h := r.HuggingFace; h != nil {
		c.needs("huggingface.model", h.Model)
	}
}

type checker struct {
	at    string
	found *findings
}

func (c checker) add(code deployment.Code, member, format string, args ...any) {
	at := c.at + "." + member
	if parent := at[:strings.LastIndexByte(at, '.')]; !c.found.has(at) && !c.found.has(parent) {
		c.found.add(code, at, format, args...)
	}
}

func (c checker) needs(member, text string) {
	if text == "" {
		c.add(CodeReferenceShort, member, "is required")
	}
}

func (c checker) url(member, text string) {
	if text == "" {
		return
	}
	u, err := ParseURL(text, blobSchemes...)
	switch {
	case err != nil:
		c.add(deployment.CodeURLInvalid, member, "%s", err)
	case u.Scheme == "file" && (u.Host != "" && u.Host != "localhost" || !strings.HasPrefix(u.Path, "/")):
		c.add(deployment.CodeURLInvalid, member, "file url is not an absolute path: expected file:///path")
	case u.Scheme != "file" && u.Host == "":
		c.add(deployment.CodeURLInvalid, member, "url names no bucket or host: expected %s://name/path", u.Scheme)
	}
}

func (c checker) image(member, text string) {
	if text != "" && !imagePattern.MatchString(text) {
		c.add(CodeInvalidReference, member, "expected an image such as registry.example/name:tag, got %s", quote(text))
	}
}

func (c checker) port(member string, port int) {
	if port < 0 || port > 65535 {
		c.add(CodeInvalidReference, member, "expected a port from 1 to 65535, got %d", port)
	}
}

// kinds says whether a part may have these kinds together.
func (c checker) kinds(part part, set []Kind) {
	add := func(code deployment.Code, format string, args ...any) {
		if !c.found.has(c.at) {
			c.found.add(code, c.at, format, args...)
		}
	}
	for _, k := range set {
		if !part.allows(k) {
			add(CodeInvalidReference, "%s cannot come from %s: expected %s", part, k, either(texts(part.kinds)))
		}
	}
	switch {
	case len(set) == 0:
		add(CodeInvalidReference, "no information on what is to be deployed: expected one of %s", either(texts(part.kinds)))
	case part.name == transformerPart.name:
		if set[0] != KindDocker && set[len(set)-1] != KindDocker {
			add(CodeTransformerMissing, "a transformer needs a docker image: expected docker, alone or beside blob")
		}
	case len(set) > 1:
		add(CodeReferenceAmbiguous, "got %s: expected exactly one", strings.Join(texts(set), " and "))
	}
}

func texts[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

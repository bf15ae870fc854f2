package contract

import (
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// options are how Deeploy's client calls each kind, behind the name of the part:
// modelBlobConfig, explainer_azure_ml_config (deeploy.md section 2).
var options = map[Kind]string{
	KindBlob: "BlobConfig", KindDocker: "DockerConfig", KindMLflow: "MlflowConfig", KindAzureML: "AzureMLConfig",
}

// ReadOptions reads what Deeploy's deploy and update options say about a
// contract, in snake or camel case. Members with the names in others are of no
// concern here; every member that is neither is an error (U1). Options that are
// not right are a *deployment.Rejection with all findings; the change of options
// that say nothing about a contract is the zero Change.
func ReadOptions(data []byte, others ...string) (ch Change, err error) {
	var f findings
	v, err := parse(data)
	if err != nil {
		return Change{}, deployment.Reject(deployment.CodeInvalidField, "", "options are not JSON: %s", err)
	}
	m := f.open(v, "", deployment.CodeInvalidField, false)
	for _, name := range others {
		m.take(name)
	}
	ch.Model = m.option(modelPart)
	ch.Explainer = m.option(explainerPart)
	ch.Transformer = m.option(transformerPart)
	if metadata := m.metadata(); !metadata.empty() {
		ch.Metadata = &metadata
	}
	m.code = deployment.CodeUnknownField
	m.done()
	if err := f.rejection("the options are not right"); err != nil {
		return Change{}, err
	}
	return ch, nil
}

// option is the reference that the options have for a part, nil when they have
// none.
func (m *members) option(p part) *Reference {
	r := decodeKinds(func(k Kind) *members {
		if name, ok := options[k]; ok && p.allows(k) {
			return m.object(p.name + name)
		}
		return nil
	})
	if r == (Reference{}) {
		return nil
	}
	var f findings
	r.check(p, p.name, &f)
	for _, finding := range f {
		finding.Path = optionPath(p, finding.Path)
		if !slices.ContainsFunc(*m.found, func(known deployment.Finding) bool { return fold(known.Path) == fold(finding.Path) }) {
			*m.found = append(*m.found, finding)
		}
	}
	return &r
}

// optionPath turns model.blob.url into modelBlobConfig.url.
func optionPath(p part, at string) string {
	for kind, name := range options {
		if rest, ok := strings.CutPrefix(at, p.name+"."+string(kind)); ok && (rest == "" || rest[0] == '.') {
			return p.name + name + rest
		}
	}
	return at
}

package contract

import "slices"

// part is one of the folders of a contract.
type part struct {
	name  string // of the folder
	kinds []Kind // references it may hold
	file  string // what its own file is called, for messages; "" when it has none
}

// The parts (deeploy.md sections 4 and 5).
var (
	modelPart = part{
		name: "model", file: "model.<ext>",
		kinds: []Kind{KindBlob, KindDocker, KindMLflow, KindAzureML, KindDatabricks, KindHuggingFace},
	}
	explainerPart = part{
		name: "explainer", file: "explainer.dill",
		kinds: []Kind{KindBlob, KindDocker, KindMLflow, KindAzureML, KindDatabricks},
	}
	transformerPart = part{name: "transformer", kinds: []Kind{KindDocker, KindBlob}}
)

func (p part) String() string { return p.name }

func (p part) allows(k Kind) bool { return slices.Contains(p.kinds, k) }

// owns reports whether a file of that name is the part itself.
func (p part) owns(name string) bool {
	switch p.name {
	case modelPart.name:
		return modelFile.MatchString(name)
	case explainerPart.name:
		return name == p.file
	default:
		return false
	}
}

// expected says what belongs into the folder.
func (p part) expected() string {
	if p.file == "" {
		return referenceFile
	}
	return referenceFile + " or one " + p.file
}

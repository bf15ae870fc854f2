package contract

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Layout is the files of a model that was uploaded, and what they are.
type Layout struct {
	Type ModelType
	Add  []Write // files that the runtime needs, were not uploaded and can be made, from the folder of the model
}

// CheckUpload settles the type of a model that was uploaded as files, and checks
// that they are where the runtimes of that type look for them (deeploy.md section
// 7, D15, D16). names are the files from the folder of the model; declared and
// recorded are its type as the command says it and as it was before, "" if
// nobody has; stem is the name before the ending that a model of one file is to
// have. Findings point to source.modelType and to source.artifact.files.
func CheckUpload(declared, recorded ModelType, stem string, names []string) (Layout, []deployment.Finding) {
	u := upload{names: names, stem: stem}
	u.checkNames()
	if len(u.found) > 0 {
		return Layout{}, u.found
	}
	out := Layout{Type: u.settle(declared, recorded)}
	switch out.Type {
	case "":
	case ModelTensorFlow:
		u.savedModel()
	case ModelPyTorch:
		out.Add = u.torchServe()
	case ModelTriton:
		u.modelRepository()
	case ModelONNX:
		if u.ends(".pbtxt") { // that of Triton
			u.modelRepository()
		} else {
			u.single(".onnx")
		}
	case ModelSKLearn:
		u.single(".joblib", ".pkl", ".pickle")
	case ModelXGBoost:
		u.single(".bst", ".json", ".ubj")
	case ModelLightGBM:
		u.single(".bst")
	case ModelPMML:
		u.single(".pmml")
	case ModelHuggingFace, ModelCatBoost, ModelCustom:
		u.found.add(deployment.CodeUnsupportedArtifact, atUploadType, "models of type %s are not taken as files: expected the route %s", out.Type, deployment.RouteReference)
	}
	return out, u.found
}

const (
	atUploadType = "source.modelType"
	atUploads    = "source.artifact.files"
)

type upload struct {
	names []string
	stem  string
	found findings
}

func at(i int) string { return index(atUploads, i) + ".path" }

// bad says what is wrong with where a file is.
func (u *upload) bad(i int, format string, args ...any) {
	u.found.add(CodeLayoutInvalid, at(i), format, args...)
}

// checkNames refuses names that are none, and those that are there twice.
func (u *upload) checkNames() {
	seen := map[string]bool{}
	for i, name := range u.names {
		if name == "." || !fs.ValidPath(name) {
			u.bad(i, `expected a file such as "model.onnx", without a slash at either end, "." or "..", got %s`, quote(name))
			continue
		}
		for element := range strings.SplitSeq(name, "/") {
			if err := checkElement(element); err != nil {
				u.bad(i, "%s", err)
			}
		}
		if seen[name] {
			u.bad(i, "%s is listed twice", quote(name))
		}
		seen[name] = true
	}
}

// ends reports whether a file has that ending.
func (u *upload) ends(ending string) bool {
	return slices.ContainsFunc(u.names, func(name string) bool { return strings.EqualFold(path.Ext(name), ending) })
}

// settle is the type of the model: what is declared, what the files are of, or
// what it was before; "" when it cannot be said, which is a finding.
func (u *upload) settle(declared, recorded ModelType) ModelType {
	fits := u.fits()
	for _, known := range []ModelType{declared, recorded} {
		switch {
		case known == "":
		case len(fits) == 0 || slices.Contains(fits, known):
			return known
		case known == declared && len(u.names) == 1:
			u.found.add(CodeModelMismatch, atUploadType, "expected %s for %s, got %s", either(texts(fits)), path.Base(u.names[0]), known)
			return ""
		case known == declared: // what is wrong with the layout says more
			return known
		}
	}
	if len(fits) == 1 {
		return fits[0]
	}
	u.found.add(CodeMissingModelType, atUploadType, "is required for these files: expected %s", either(texts(ModelTypes())))
	return ""
}

// fits are the types that the files can be of, none if they do not say.
func (u *upload) fits() []ModelType {
	for _, name := range u.names {
		switch {
		case path.Base(name) == savedModelFile:
			return []ModelType{ModelTensorFlow}
		case path.Base(name) == tritonFile:
			return []ModelType{ModelONNX, ModelTriton}
		}
	}
	for _, name := range u.names {
		if fits := modelTypesOfFile(name); len(fits) > 0 && (len(u.names) == 1 || fits[0] == ModelPyTorch) {
			return fits
		}
	}
	return nil
}

// single is the layout of a model that is one file.
func (u *upload) single(endings ...string) {
	mine := -1
	for i, name := range u.names {
		ending := strings.ToLower(path.Ext(name))
		switch {
		case !slices.Contains(endings, ending):
			u.bad(i, "does not belong there: expected one file %s", u.either(endings))
		case mine >= 0:
			u.bad(i, "is a second model beside %s: expected one file %s", u.names[mine], u.either(endings))
		default:
			mine = i
			if got := strings.TrimSuffix(name, path.Ext(name)); got != u.stem {
				u.bad(i, "expected the name %s%s, or source.artifact.stem to say another one", u.stem, ending)
			}
		}
	}
}

func (u *upload) either(endings []string) string {
	list := make([]string, len(endings))
	for i, ending := range endings {
		list[i] = u.stem + ending
	}
	return either(list)
}

const (
	savedModelFile = "saved_model.pb"
	tritonFile     = "config.pbtxt"
)

// savedModel is the layout of TensorFlow Serving: <int>/saved_model.pb, and the
// files beside it.
func (u *upload) savedModel() {
	u.versions("", "", savedModelFile)
}

// modelRepository is the layout of Triton: <name>/config.pbtxt and
// <name>/<int>/ with the files of the model.
func (u *upload) modelRepository() {
	folder := ""
	for i, name := range u.names {
		dir, base := path.Split(name)
		if base != tritonFile {
			continue
		}
		if dir == "" || strings.Count(dir, "/") != 1 || folder != "" {
			u.bad(i, "expected one %s, in <name>/", tritonFile)
			return
		}
		folder = dir
	}
	if folder == "" {
		u.found.add(CodeLayoutInvalid, atUploads, "expected <name>/%s and <name>/<int>/", tritonFile)
		return
	}
	u.versions(folder, folder+tritonFile, "")
}

// versions checks that every file is in <folder><int>/, of one version, but for
// one that has its place beside, and that the required one is there; "": any.
func (u *upload) versions(folder, beside, required string) {
	version := ""
	complete := false
	for i, name := range u.names {
		if name == beside {
			continue
		}
		rest, below := strings.CutPrefix(name, folder)
		number, rest, nested := strings.Cut(rest, "/")
		n, err := strconv.ParseUint(number, 10, 31)
		switch {
		case !below || !nested || err != nil || n == 0:
			u.bad(i, "does not belong there: expected a file in %s<int>/", folder)
		case version != "" && version != number:
			u.bad(i, "is of version %s, beside version %s: expected one", number, version)
		default:
			version = number
			complete = complete || required == "" || rest == required
		}
	}
	if !complete && len(u.found) == 0 {
		u.found.add(CodeLayoutInvalid, atUploads, "expected a file %s<int>/%s", folder, required)
	}
}

// torchServe is the layout of TorchServe. Its configuration is made when it was
// not uploaded.
func (u *upload) torchServe() []Write {
	const config = "config/config.properties"
	archive := "model-store/" + u.stem + ".mar"
	for i, name := range u.names {
		if name != archive && name != config {
			u.bad(i, "does not belong there: expected %s and %s", archive, config)
		}
	}
	if !slices.Contains(u.names, archive) {
		u.found.add(CodeArchiveMissing, atUploads, "expected %s", archive)
	}
	if len(u.found) > 0 || slices.Contains(u.names, config) {
		return nil
	}
	return []Write{{config, torchServeConfig(u.stem)}}
}

// torchServeConfig lets TorchServe serve one model as Deeploy's clients have it
// (deeploy.md section 7).
func torchServeConfig(model string) []byte {
	return fmt.Appendf(nil, `inference_address=http://0.0.0.0:8085
management_address=http://0.0.0.0:8085
metrics_address=http://0.0.0.0:8082
enable_envvars_config=true
install_py_dep_per_model=true
model_store=/mnt/models/model-store
model_snapshot={"name":"startup.cfg","modelCount":1,"models":{"model":{"1.0":{"defaultVersion":true,"marName":"%s.mar","minWorkers":1,"maxWorkers":5,"batchSize":1,"maxBatchDelay":5000,"responseTimeout":120}}}}
`, model)
}

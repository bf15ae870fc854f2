package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/slipway-ml/slipway"

// mayImport is the architecture: which package may import which, besides the standard library. Keys and
// values that are not modules are folders of this one; whatever stands below a named module is allowed with
// it. It is the table in section 5 of the design. Code that needs another line needs a decision first.
// Tests of a package may import anything but cmd.
var mayImport = map[string][]string{
	"deployment": {},
	"handlers":   {"deployment"},
	"events": {
		"github.com/cloudevents/sdk-go/v2/event",
		"github.com/cloudevents/sdk-go/v2/types",
		"github.com/goccy/go-json",
	},
	"schemas": {
		"github.com/santhosh-tekuri/jsonschema/v6",
		"golang.org/x/text", // its printer of errors asks for one
	},
	"jetstream":               {"github.com/goccy/go-json", "github.com/nats-io/nats.go"},
	"jetstream/embedded":      {"github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "golang.org/x/sys"},
	"jetstream/jetstreamtest": {"jetstream", "jetstream/embedded", "github.com/nats-io/nats.go"},
	"outbound":                {},
	"actors":                  {"deployment", "events", "github.com/nats-io/nkeys"},
	"artifacts":               {"deployment", "outbound"},
	"artifacts/bucket": {
		"artifacts", "contract", "credentials", "outbound", "golang.org/x/oauth2",
		"github.com/minio/minio-go/v7/pkg/credentials", "github.com/minio/minio-go/v7/pkg/s3utils", "github.com/minio/minio-go/v7/pkg/signer",
	},
	"artifacts/oci":               {"deployment", "outbound", "github.com/google/go-containerregistry/pkg"},
	"artifacts/bucket/buckettest": {"github.com/johannesboyne/gofakes3"},
	"contract":                    {"deployment", "outbound"},
	"contract/git":                {"contract", "deployment", "outbound", "github.com/go-git/go-billy/v5", "github.com/go-git/go-git/v5", "golang.org/x/crypto/ssh"},
	"credentials":                 {"deployment"},
	"contract/git/gittest":        {"github.com/go-git/go-billy/v5", "github.com/go-git/go-git/v5", "golang.org/x/crypto/ssh"},
	"sourcing":                    {"contract", "contract/git", "credentials", "deployment"},
	"serving":                     {"deployment"},
	"serving/predict":             {"deployment", "serving", "serving/predict/lightgbm", "serving/predict/onnx", "serving/predict/xgboost", "github.com/prometheus/client_golang", "golang.org/x/sync"},
	"serving/predict/lightgbm":    {},
	"serving/predict/onnx":        {"golang.org/x/sys"},
	"serving/predict/xgboost":     {},
	"gateway":                     {"artifacts", "deployment", "events", "jetstream", "worker", "github.com/nats-io/nats.go"},
	"client":                      {"actors", "artifacts", "deployment", "events", "handlers", "jetstream", "serving", "worker", "github.com/nats-io/nats.go"},
	"worker":                      {"deployment", "events", "handlers", "jetstream", "schemas", "golang.org/x/sync"},
	"cmd/slipway":                 {everything},
	"cmd/eventdocs":               {"deployment", "events", "handlers", "jetstream", "schemas", "worker", "github.com/cloudevents/sdk-go/v2/event"},
}

// everything is what only a package that wires the others may import.
const everything = "..."

// neverNamed are folder names that say nothing of what is in them, or hide it.
var neverNamed = []string{
	"common", "config", "errors", "helpers", "internal", "misc", "mocks", "models", "pkg", "test", "tests",
	"types", "util", "utils",
}

// notInBinary is what tests need and the binary must not carry.
var notInBinary = []string{
	"testing", "github.com/google/go-cmp", "github.com/rogpeppe/go-internal", "pgregory.net/rapid",
	module + "/jetstream/jetstreamtest", module + "/contract/git/gittest", module + "/artifacts/bucket/buckettest",
}

// listed is what these tests need of a package as `go list -json` prints it.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImportsFollowTheDesign(t *testing.T) {
	t.Parallel()
	for _, fault := range importFaults(mayImport, listPackages(t, "./...")) {
		t.Error(fault)
	}
}

func TestBinaryCarriesNoTestLibrary(t *testing.T) {
	t.Parallel()
	for _, fault := range depsFaults(notInBinary, listPackages(t, "-deps", "./cmd/slipway")) {
		t.Error(fault)
	}
}

// importFaults says where the packages differ from the table, in any direction.
func importFaults(table map[string][]string, packages []listed) []string {
	var faults []string
	seen := map[string]bool{}
	for _, p := range packages {
		folder := strings.TrimPrefix(p.ImportPath, module+"/")
		seen[folder] = true
		for name := range strings.SplitSeq(folder, "/") {
			if slices.Contains(neverNamed, name) {
				faults = append(faults, fmt.Sprintf("%s: a folder is not named %q: name it after what it provides", folder, name))
			}
		}
		allowed, known := table[folder]
		if !known {
			faults = append(faults, fmt.Sprintf("%s: unknown package: decide what it may import, then add it to mayImport here and to the table of packages in the design", folder))
		}
		for _, path := range p.Imports {
			if known && !standard(path) && !allows(allowed, path) {
				faults = append(faults, fmt.Sprintf("%s: imports %s; allowed are %q", folder, path, allowed))
			}
		}
		for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if strings.HasPrefix(path, module+"/cmd/") && path != p.ImportPath {
				faults = append(faults, fmt.Sprintf("%s: imports %s; nothing imports a command", folder, path))
			}
		}
	}
	for folder := range table {
		if !seen[folder] {
			faults = append(faults, fmt.Sprintf("%s: in mayImport, but there is no such package", folder))
		}
	}
	slices.Sort(faults)
	return faults
}

// depsFaults names the banned paths, and what is below them, that are among the packages.
func depsFaults(banned []string, packages []listed) []string {
	var faults []string
	for _, p := range packages {
		if slices.ContainsFunc(banned, func(path string) bool { return within(p.ImportPath, path) }) {
			faults = append(faults, fmt.Sprintf("the binary contains %s, which is for tests", p.ImportPath))
		}
	}
	return faults
}

// allows reports whether an import path of ours is named exactly, or one of others is in a named module.
func allows(allowed []string, path string) bool {
	if slices.Contains(allowed, everything) {
		return true
	}
	if folder, ours := strings.CutPrefix(path, module+"/"); ours {
		return slices.Contains(allowed, folder)
	}
	return slices.ContainsFunc(allowed, func(named string) bool { return within(path, named) })
}

// within reports whether the path is the root or below it.
func within(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

// standard reports whether the path is of the standard library, whose first element never has a dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// listPackages runs `go list -json` in the root of the module.
func listPackages(t *testing.T, args ...string) []listed {
	t.Helper()
	var stderr bytes.Buffer
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports,TestImports,XTestImports"}, args...)...)
	list.Dir = "../.."
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}

// The rules above are worth nothing if they cannot fail.
func TestImportFaultsAreFound(t *testing.T) {
	t.Parallel()
	table := map[string][]string{
		"deployment":  {},
		"handlers":    {"deployment"},
		"jetstream":   {"github.com/nats-io/nats.go"},
		"cmd/slipway": {everything},
	}
	fine := func(change ...listed) []listed {
		packages := []listed{
			{ImportPath: module + "/deployment", Imports: []string{"time"}, XTestImports: []string{"pgregory.net/rapid"}},
			{ImportPath: module + "/handlers", Imports: []string{"encoding/json", module + "/deployment"}},
			{ImportPath: module + "/jetstream", Imports: []string{"github.com/nats-io/nats.go/jetstream"}},
			{ImportPath: module + "/cmd/slipway", Imports: []string{module + "/jetstream", "github.com/alecthomas/kong"}},
		}
		for _, c := range change {
			packages = slices.DeleteFunc(packages, func(p listed) bool { return p.ImportPath == c.ImportPath })
			packages = append(packages, c)
		}
		return packages
	}
	for _, test := range []struct {
		name     string
		packages []listed
		want     []string
	}{
		{"nothing wrong", fine(), nil},
		{
			"a package of ours that is not allowed",
			fine(listed{ImportPath: module + "/handlers", Imports: []string{module + "/jetstream"}}),
			[]string{`handlers: imports github.com/slipway-ml/slipway/jetstream; allowed are ["deployment"]`},
		},
		{
			"a package below one that is allowed",
			fine(listed{ImportPath: module + "/handlers", Imports: []string{module + "/deployment/more"}}),
			[]string{`handlers: imports github.com/slipway-ml/slipway/deployment/more; allowed are ["deployment"]`},
		},
		{
			"a module that only begins like an allowed one",
			fine(listed{ImportPath: module + "/jetstream", Imports: []string{"github.com/nats-io/nats.gold"}}),
			[]string{`jetstream: imports github.com/nats-io/nats.gold; allowed are ["github.com/nats-io/nats.go"]`},
		},
		{
			"a test of the command is imported",
			fine(listed{ImportPath: module + "/deployment", TestImports: []string{module + "/cmd/slipway"}}),
			[]string{"deployment: imports github.com/slipway-ml/slipway/cmd/slipway; nothing imports a command"},
		},
		{
			"a package nobody decided on, with a name that is never used",
			fine(listed{ImportPath: module + "/internal/thing"}),
			[]string{
				`internal/thing: a folder is not named "internal": name it after what it provides`,
				"internal/thing: unknown package: decide what it may import, then add it to mayImport here and to the table of packages in the design",
			},
		},
		{
			"a package that is gone",
			fine()[1:],
			[]string{"deployment: in mayImport, but there is no such package"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, importFaults(table, test.packages)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}

	deps := []listed{{ImportPath: "fmt"}, {ImportPath: "testing/internal/testdeps"}, {ImportPath: "testingx"}}
	want := []string{"the binary contains testing/internal/testdeps, which is for tests"}
	if diff := cmp.Diff(want, depsFaults(notInBinary, deps)); diff != "" {
		t.Errorf("faults of the binary (-want +got):\n%s", diff)
	}
}

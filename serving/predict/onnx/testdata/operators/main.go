// Command operators writes what the repository says of the supported operators:
// the table in docs/onnx.md and testdata/operators.txt. `go generate` runs it in
// the folder of the package.
package main

import (
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/slipway-ml/slipway/serving/predict/onnx"
)

func main() {
	var names strings.Builder
	for _, o := range onnx.Operators() {
		fmt.Fprintf(&names, "%s.%s\n", o.Domain, o.Name)
	}
	if err := os.WriteFile("testdata/operators.txt", []byte(names.String()), 0o644); err != nil {
		log.Fatal(err)
	}
	const page = "../../../docs/onnx.md"
	text, err := os.ReadFile(page)
	if err != nil {
		log.Fatal(err)
	}
	const heading = "\n## Operators\n"
	before, _, found := strings.Cut(string(text), heading)
	if !found {
		log.Fatalf("%s: no heading %q", page, strings.TrimSpace(heading))
	}
	if err := os.WriteFile(page, []byte(before+heading+"\n"+onnx.OperatorTable()), 0o644); err != nil {
		log.Fatal(err)
	}
}

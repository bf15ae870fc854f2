package predict

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// runtime reads a model file of one format, and what the file says of itself
// besides the format and what Model tells. A file that it cannot answer for is a
// *deployment.Rejection, which rejected makes of an error of the reader.
type runtime func(file []byte) (Model, deployment.Inspection, error)

// runtimes are the formats that are served here, one line for each.
func runtimes() map[deployment.Format]runtime {
	return map[deployment.Format]runtime{
		deployment.FormatLightGBM: readLightGBM,
		deployment.FormatONNX:     readONNX,
		deployment.FormatXGBoost:  readXGBoost,
	}
}

// formats are those of runtimes, in alphabetical order.
func formats() []deployment.Format { return slices.Sorted(maps.Keys(runtimes())) }

// list is the formats for a message: a, b or c.
func list(formats []deployment.Format) string {
	var text strings.Builder
	for i, format := range formats {
		switch {
		case i > 0 && i == len(formats)-1:
			text.WriteString(" or ")
		case i > 0:
			text.WriteString(", ")
		}
		text.WriteString(string(format))
	}
	return text.String()
}

// rejected is the rejection of a file. The reader's error is one of type U when
// the file is in order but needs what the reader does not do; otherwise the file
// is broken.
func rejected[U error](err error) error {
	if unsupported, ok := errors.AsType[U](err); ok {
		return deployment.Reject(deployment.CodeUnsupportedArtifact, atArtifact, "artifact cannot be served: %v", unsupported)
	}
	return deployment.Reject(deployment.CodeArtifactInvalid, atArtifact, "artifact is not a valid %v", err)
}

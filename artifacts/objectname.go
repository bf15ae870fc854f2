package artifacts

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode"

	"github.com/slipway-ml/slipway/deployment"
)

// ObjectName is the name under which the bytes of a digest are kept in Objects.
func ObjectName(d deployment.Digest) string { return keptPrefix + d.Hex() }

const (
	keptPrefix      = "sha256/"
	contractsPrefix = "contracts/" // as sourcing.Prefix has it
)

// maxObjectName is how many bytes the name of an object may have: it becomes a
// part of a NATS subject.
const maxObjectName = 512

// CheckObjectName says what keeps a producer from naming an object like that: a
// path without "." and "..", in UTF-8, without control characters, and not below
// contracts/, where contracts are kept. Below sha256/ objects are ours too: what is
// there has the digest that it is named after (ObjectDigest).
func CheckObjectName(name string) error {
	switch {
	case name == "":
		return errors.New("no name: expected one such as run-42/model.onnx")
	case len(name) > maxObjectName:
		return fmt.Errorf("name of %d bytes: expected %d at most", len(name), maxObjectName)
	case !fs.ValidPath(name) || name == "." || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("name %q: expected a path such as run-42/model.onnx, without empty parts, . and .. and control characters", name)
	case strings.HasPrefix(name, contractsPrefix):
		return fmt.Errorf("name %q: expected another one: below %s are contracts, which never change", name, contractsPrefix)
	}
	return nil
}

// ObjectDigest is the digest that the object of that name has to have; "": any.
// Its error says that there is no such name.
func ObjectDigest(name string) (deployment.Digest, error) {
	hex, kept := strings.CutPrefix(name, keptPrefix)
	if !kept {
		return "", CheckObjectName(name)
	}
	d, err := deployment.ParseDigest("sha256:" + hex)
	if err != nil {
		return "", fmt.Errorf("name %q: expected 64 lower-case hexadecimal digits below %s: the SHA-256 of what is there", name, keptPrefix)
	}
	return d, nil
}

// Package credentials finds secrets by their id, so that commands, contracts and
// events name them and never hold them (deeploy.md D25). Start reading at
// Finder.Find.
package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Finder looks in the environment first, then in the directory, then in the
// bucket: the first that knows the id counts, whatever it says. The zero value
// finds none.
type Finder struct {
	Environment map[string]string // SLIPWAY_CREDENTIAL_<ID>: the id in capitals, with underscores for all but letters and digits
	Dir         string            // of files, as an orchestrator mounts secrets: a file <id>, or a folder <id> of files; "": none
	Bucket      Bucket            // nil: none
	Settings    []string          // names of what secrets may hold for object stores: bucket.Members
}

// Bucket keeps secrets by their id; *jetstream.Secrets is one. Its error wraps
// fs.ErrNotExist when there is none, and quotes nothing of one.
type Bucket interface {
	Get(ctx context.Context, id string) ([]byte, error)
}

// Prefix is what the names of variables that hold secrets begin with.
const Prefix = "SLIPWAY_CREDENTIAL_"

// atID is the member of a command's data that findings point to.
const atID = "source.credentialsId"

// maxBytes is how large a file with a secret may be.
const maxBytes = 64 << 10

// idPattern keeps an id from leaving the directory.
var idPattern = regexp.MustCompile(`^[a-zA-Z0-9]([-._a-zA-Z0-9]{0,126}[a-zA-Z0-9])?$`)

// Find returns the secret with that id. When there is none, or it is not one, that
// is a *deployment.Rejection; every other error may pass. No error quotes
// anything of a secret.
func (f *Finder) Find(ctx context.Context, id string) (Secret, error) {
	if err := CheckID(id); err != nil {
		return Secret{}, err
	}
	if text := f.Environment[Variable(id)]; text != "" {
		return f.Parse(id, []byte(text))
	}
	if f.Dir != "" {
		secret, err := f.file(id)
		if !errors.Is(err, fs.ErrNotExist) {
			return secret, err
		}
	}
	also := ""
	if f.Bucket != nil {
		text, err := f.Bucket.Get(ctx, id)
		if err == nil {
			return f.Parse(id, text)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return Secret{}, err
		}
		also = ", or stored by slipway credentials put"
	}
	return Secret{}, deployment.Reject(deployment.CodeCredentialsMissing, atID,
		"there are no credentials %q: expected them in the variable %s of the worker, or as a file in its SLIPWAY_CREDENTIALS_DIR%s", id, Variable(id), also)
}

// CheckID refuses what cannot be the id of credentials, as a *deployment.Rejection.
func CheckID(id string) error {
	if !idPattern.MatchString(id) || strings.Contains(id, "..") {
		return deployment.Reject(deployment.CodeInvalidField, atID, "expected an id of letters, digits, dots, dashes and underscores")
	}
	return nil
}

// Variable is the name of the variable that holds the secret with that id.
func Variable(id string) string {
	return Prefix + strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		default:
			return '_'
		}
	}, id)
}

// file is the secret in the file or folder of that name.
func (f *Finder) file(id string) (Secret, error) {
	name := filepath.Join(f.Dir, id)
	info, err := os.Stat(name)
	if err != nil {
		return Secret{}, withoutPath(id, err)
	}
	if info.IsDir() {
		return f.folder(id, name)
	}
	text, err := readFile(id, name)
	if err != nil {
		return Secret{}, err
	}
	return f.Parse(id, text)
}

// folder is the secret whose members are files, in Kubernetes' names for them.
func (f *Finder) folder(id, dir string) (s Secret, err error) {
	members := map[string]string{}
	for _, name := range slices.Concat([]string{"username", "password", "token", "ssh-privatekey", "passphrase", "host"}, f.Settings) {
		text, err := readFile(id, filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return Secret{}, err
		default:
			members[name] = string(text)
		}
	}
	for mounted, name := range map[string]string{"username": "user", "ssh-privatekey": "key"} {
		if text, ok := members[mounted]; ok {
			members[name] = text
			delete(members, mounted)
		}
	}
	return f.secret(id, members)
}

func invalid(id, message string) error {
	return deployment.Reject(deployment.CodeCredentialsInvalid, atID, "credentials %q: %s", id, message)
}

func readFile(id, name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, withoutPath(id, err)
	case !info.Mode().IsRegular() || info.Size() > maxBytes:
		return nil, invalid(id, fmt.Sprintf("expected a file of %d bytes at most", maxBytes))
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, withoutPath(id, err)
	}
	return text, nil
}

// withoutPath is err with the id for the path: where secrets lie is nobody's business.
func withoutPath(id string, err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return fmt.Errorf("read credentials %q: %w", id, err)
}

// Package credentials finds secrets by their id, so that commands, contracts and
// events name them and never hold them (deeploy.md D25). Start reading at
// Finder.Find.
package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/slipway-ml/slipway/deployment"
)

// Finder looks in the environment first and in the directory then. The zero value finds none.
type Finder struct {
	Environment map[string]string // SLIPWAY_CREDENTIAL_<ID>: the id in capitals, with underscores for all but letters and digits
	Dir         string            // of files, as an orchestrator mounts secrets: a file <id>, or a folder <id> of files; "": none
}

// Secret is what is kept under an id. It says of itself only that it is hidden.
type Secret struct {
	User     string // may be empty
	Password string // a password or token
	Key      []byte // a private key in PEM or OpenSSH form
	Phrase   []byte // that protects the key, if any
}

const hidden = "(hidden)"

// String hides the secret.
func (Secret) String() string { return hidden }

// GoString hides the secret.
func (Secret) GoString() string { return hidden }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the secret, in JSON too.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

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
func (f *Finder) Find(_ context.Context, id string) (Secret, error) {
	if !idPattern.MatchString(id) || strings.Contains(id, "..") {
		return Secret{}, deployment.Reject(deployment.CodeInvalidField, atID, "expected an id of letters, digits, dots, dashes and underscores")
	}
	if text := f.Environment[Variable(id)]; text != "" {
		return read(id, []byte(text))
	}
	if f.Dir != "" {
		secret, err := f.file(id)
		if !errors.Is(err, fs.ErrNotExist) {
			return secret, err
		}
	}
	return Secret{}, deployment.Reject(deployment.CodeCredentialsMissing, atID,
		"there are no credentials %q: expected them in the variable %s of the worker, or as a file in its SLIPWAY_CREDENTIALS_DIR", id, Variable(id))
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
		return folder(id, name)
	}
	text, err := readFile(id, name)
	if err != nil {
		return Secret{}, err
	}
	return read(id, text)
}

// folder is the secret whose members are files, in Kubernetes' names for them.
func folder(id, dir string) (s Secret, err error) {
	var user, password []byte
	for _, member := range []struct {
		name string
		into *[]byte
	}{
		{"username", &user},
		{"password", &password},
		{"token", &password},
		{"ssh-privatekey", &s.Key},
		{"passphrase", &s.Phrase},
	} {
		text, err := readFile(id, filepath.Join(dir, member.name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return Secret{}, err
		default:
			*member.into = text
		}
	}
	s.User, s.Password, s.Phrase = line(user), line(password), []byte(line(s.Phrase))
	return s, s.check(id)
}

// read is the secret that a text says: an object with user, password, token, key
// and passphrase; or a private key; or else a token.
func read(id string, text []byte) (s Secret, err error) {
	trimmed := bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")):
		var members struct{ User, Password, Token, Key, Passphrase string }
		decoder := json.NewDecoder(bytes.NewReader(trimmed))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&members); err != nil { // its message may quote the secret
			return Secret{}, invalid(id, "expected a JSON object of texts with user, password, token, key and passphrase")
		}
		s = Secret{User: members.User, Password: members.Password + members.Token, Key: []byte(members.Key), Phrase: []byte(members.Passphrase)}
		if members.Password != "" && members.Token != "" {
			return Secret{}, invalid(id, "expected a password or a token, got both")
		}
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN ")):
		s.Key = append(trimmed, '\n')
	default:
		s.Password = line(text)
	}
	return s, s.check(id)
}

// check refuses a secret that says nothing.
func (s Secret) check(id string) error {
	if s.Password == "" && len(s.Key) == 0 {
		return invalid(id, "expected a password, a token or a private key")
	}
	return nil
}

func invalid(id, message string) error {
	return deployment.Reject(deployment.CodeCredentialsInvalid, atID, "credentials %q: %s", id, message)
}

// line is a text without the line feed that editors put at its end.
func line(text []byte) string { return strings.TrimRight(string(text), "\r\n") }

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

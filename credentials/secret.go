package credentials

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Secret is what is kept under an id. It says of itself only that it is hidden.
type Secret struct {
	User     string            // may be empty
	Password string            // a password or token
	Key      []byte            // a private key in PEM or OpenSSH form
	Phrase   []byte            // that protects the key, if any
	Host     string            // the only server that it is for; "": any
	Settings map[string]string // of an object store, by the names of Finder.Settings
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

// googleKey is the setting that holds the key of a service account of Google.
const googleKey = "GOOGLE_APPLICATION_CREDENTIALS_JSON"

// Parse is the secret that a text says: an object of members, the key of a service
// account as Google gives it, a private key, or else a token. Errors are those of
// Find; the id is for their text.
func (f *Finder) Parse(id string, text []byte) (Secret, error) {
	trimmed := bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")):
		var members map[string]json.RawMessage
		if json.Unmarshal(trimmed, &members) != nil { // its message may quote the secret
			return Secret{}, f.malformed(id)
		}
		if string(members["type"]) == `"service_account"` {
			return f.secret(id, map[string]string{googleKey: string(trimmed)})
		}
		texts := map[string]string{}
		for name, value := range members {
			var text string
			switch isObject := bytes.HasPrefix(value, []byte("{")); {
			case isObject && name == googleKey:
				text = string(value)
			case isObject || json.Unmarshal(value, &text) != nil:
				return Secret{}, f.malformed(id)
			}
			texts[name] = text
		}
		return f.secret(id, texts)
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN ")):
		return f.secret(id, map[string]string{"key": string(trimmed) + "\n"})
	default:
		return f.secret(id, map[string]string{"token": string(text)})
	}
}

func (f *Finder) malformed(id string) error {
	expected := "expected a JSON object of texts with user, password, token, key, passphrase and host"
	if len(f.Settings) > 0 {
		expected += ", or the settings of an object store"
	}
	return invalid(id, expected)
}

// hostPattern is a name or address, with a port or without, and the scheme if
// that has to be plain http.
var hostPattern = regexp.MustCompile(`^(https?://)?([-.A-Za-z0-9]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// secret is that of the members.
func (f *Finder) secret(id string, members map[string]string) (s Secret, err error) {
	for name, text := range members {
		switch into := map[string]*string{"user": &s.User, "password": &s.Password, "host": &s.Host}[name]; {
		case into != nil:
			*into = line(text)
		case name == "key":
			s.Key = []byte(text)
		case name == "passphrase":
			s.Phrase = []byte(line(text))
		case name == "token":
		case slices.Contains(f.Settings, name):
			if s.Settings == nil {
				s.Settings = map[string]string{}
			}
			s.Settings[name] = line(text)
		default:
			return Secret{}, f.malformed(id)
		}
	}
	token := line(members["token"])
	switch {
	case token != "" && s.Password != "":
		return Secret{}, invalid(id, "expected a password or a token, got both")
	case s.Host != "" && !hostPattern.MatchString(s.Host):
		return Secret{}, invalid(id, "its host is not one: expected a name such as models.example.com, with a port if need be")
	case token != "":
		s.Password = token
	}
	if s.Password == "" && len(s.Key) == 0 && len(s.Settings) == 0 {
		return Secret{}, invalid(id, "expected a password, a token or a private key")
	}
	return s, nil
}

// Document is the secret as Parse reads it: one JSON object.
func (s Secret) Document() ([]byte, error) {
	members := map[string]string{"user": s.User, "token": s.Password, "key": string(s.Key), "passphrase": string(s.Phrase), "host": s.Host}
	maps.Copy(members, s.Settings)
	maps.DeleteFunc(members, func(_, text string) bool { return text == "" })
	return json.Marshal(members)
}

// Kinds are what the secret may be of use for: password or token, key, and the
// schemes of stores.
func (s Secret) Kinds() (kinds []string) {
	switch {
	case s.Password != "" && s.User != "":
		kinds = append(kinds, "password")
	case s.Password != "":
		kinds = append(kinds, "token")
	}
	if len(s.Key) > 0 {
		kinds = append(kinds, "key")
	}
	for _, store := range []struct{ scheme, prefixes string }{{"s3", "AWS"}, {"gs", "GOOGLE STORAGE"}, {"azblob", "AZURE"}} {
		if slices.ContainsFunc(slices.Collect(maps.Keys(s.Settings)), func(name string) bool {
			prefix, _, _ := strings.Cut(name, "_")
			return slices.Contains(strings.Fields(store.prefixes), prefix)
		}) {
			kinds = append(kinds, store.scheme)
		}
	}
	return kinds
}

// line is a text without the line feed that editors put at its end.
func line(text string) string { return strings.TrimRight(text, "\r\n") }

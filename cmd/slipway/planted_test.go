package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// secret is one that was planted, in a form that every encoding changes.
type secret struct {
	name   string
	value  string
	except string // the stream that has to hold it; "": none
}

// plant makes a secret.
func plant(name, except string) secret {
	return secret{name: name, value: "pl4nted/" + name + `+s3cret%&="?`, except: except}
}

// forms are the ways in which a secret may have been written down. Base64 has
// three, by where in a text the secret begins; of those the middle is the same
// whatever is around it.
func (s secret) forms() map[string]string {
	quoted, err := json.Marshal(s.value)
	if err != nil {
		panic(err)
	}
	forms := map[string]string{
		"as it is": s.value, "in JSON": strings.Trim(string(quoted), `"`), "in Go": strings.Trim(fmt.Sprintf("%q", s.value), `"`),
		"in a query": url.QueryEscape(s.value), "in a path": url.PathEscape(s.value), "in a url": (&url.URL{Path: s.value}).EscapedPath(),
		"in hex": hex.EncodeToString([]byte(s.value)), "beginning": "pl4nted/" + s.name,
	}
	for before := range 3 {
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 for urls": base64.RawURLEncoding} {
			text := encoding.EncodeToString([]byte(strings.Repeat("x", before) + s.value))
			forms[fmt.Sprintf("%s after %d", name, before)] = text[(before*8+5)/6 : len(text)-2]
		}
	}
	return forms
}

// in are the forms in which the secret stands in a text.
func (s secret) in(text []byte) (found []string) {
	for name, form := range s.forms() {
		if bytes.Contains(text, []byte(form)) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// search looks for secrets in whatever there is of a system, and remembers where
// it was.
type search struct {
	tb      testing.TB
	secrets []secret
	looked  map[string]int             // texts, by kind of place
	there   map[string]map[string]bool // secrets that were found where they have to be
}

func (s *search) look(kind, place string, text []byte) {
	s.tb.Helper()
	s.looked[kind]++
	for _, planted := range s.secrets {
		found := planted.in(text)
		switch {
		case len(found) == 0:
		case planted.except != "" && strings.Contains(place, planted.except):
			if s.there[planted.name] == nil {
				s.there[planted.name] = map[string]bool{}
			}
			s.there[planted.name][kind] = true
		default:
			s.tb.Errorf("%s %s holds the secret %s (%s)", kind, place, planted.name, strings.Join(found, ", "))
		}
	}
}

// streams looks at every message of every stream: commands, ledger, buckets, and
// object stores with their metadata.
func (s *search) streams(js natsjs.JetStream) {
	s.tb.Helper()
	list := js.ListStreams(s.tb.Context())
	for info := range list.Info() {
		stream, err := js.Stream(s.tb.Context(), info.Config.Name)
		if err != nil {
			s.tb.Fatal(err)
		}
		text, err := json.Marshal(info)
		s.look("stream", info.Config.Name, text)
		for sequence := info.State.FirstSeq; err == nil && sequence <= info.State.LastSeq; sequence++ {
			var m *natsjs.RawStreamMsg
			if m, err = stream.GetMsg(s.tb.Context(), sequence); errors.Is(err, natsjs.ErrMsgNotFound) {
				err = nil
				continue
			}
			if err == nil {
				s.look("message", fmt.Sprintf("%s %d", info.Config.Name, sequence), slices.Concat([]byte(m.Subject), []byte(fmt.Sprint(m.Header)), m.Data))
			}
		}
		if err != nil {
			s.tb.Fatal(err)
		}
	}
	if err := list.Err(); err != nil {
		s.tb.Fatal(err)
	}
}

// files looks at every file below a directory, and at their names.
func (s *search) files(dir string) {
	s.tb.Helper()
	root := os.DirFS(dir)
	if err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		s.look("file", name, append(content, name...))
		return err
	}); err != nil {
		s.tb.Fatal(err)
	}
}

// pages looks at what servers of slipway tell anybody.
func (s *search) pages(urls ...string) {
	s.tb.Helper()
	for _, u := range urls {
		request, err := http.NewRequestWithContext(s.tb.Context(), http.MethodGet, u, nil)
		if err != nil {
			s.tb.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			s.tb.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			s.tb.Errorf("%s: got %d, %v", u, answer.StatusCode, err)
		}
		s.look("page", u, text)
	}
}

// verbs are those that show something, and some that are refused.
func (g *guarded) verbs() {
	g.tb.Helper()
	for _, output := range []string{"table", "json"} {
		for _, verb := range [][]string{
			{"list"},
			{"list", "models"},
			{"list", "servers"},
			{"get", "completed-0"},
			{"history", "completed-0"},
			{"events"},
			{"provision"},
			{"verify"},
			{"replay"},
			{"credentials", "list"},
			{"deploy", "again", "--label", "Again", "--repository", g.git + "/models.git", "--contract-path", "echoed", "--credentials", "git", "--model-type", "XGBOOST"},
			{"deploy", "again", "--label", "Again", "--repository", "https://ann:" + inCommand.forms()["in a query"] + "@host/m.git"},
			{"validate", "completed-0", "--repository", g.git + "/models.git", "--contract-path", "web", "--credentials", "git", "--model-type", "XGBOOST"},
		} {
			code, stdout, stderr := g.slipway(append(slices.Clone(verb), "--output", output)...)
			if wrong := code == exitUsage || code == exitUnreachable; wrong {
				g.tb.Errorf("slipway %s: got exit code %d:\n%s%s", strings.Join(verb, " "), code, stdout, stderr)
			}
			g.search.look("output", verb[0], []byte(stdout+stderr))
		}
	}
}

// wantLooked fails when the search had nothing to look at, or did not find what
// has to be there.
func (g *guarded) wantLooked() {
	g.tb.Helper()
	for kind, least := range map[string]int{"stream": 8, "message": 300, "file": 20, "output": 20, "page": 3, "log": 1} {
		if got := g.search.looked[kind]; got < least {
			g.tb.Errorf("looked at %d of kind %s, want %d or more", got, kind, least)
		}
	}
	for _, s := range []secret{inBucket, inKey, inCommand} {
		if there := g.search.there[s.name]; !there["message"] || !there["file"] {
			g.tb.Errorf("the secret %s was found in %v, want it among messages and files: this search finds nothing", s.name, there)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if want := map[string]bool{inEnvironment.name: true, inFile.name: true, inBucket.name: true}; !maps.Equal(g.asked, want) {
		g.tb.Errorf("got %v sent to the server, want %v", g.asked, want)
	}
}

// The search finds a secret in each of its forms, wherever it stands.
func TestSearchFindsSecrets(t *testing.T) {
	t.Parallel()
	planted, other := plant("env", ""), plant("dir", "")
	for name, form := range planted.forms() {
		if found := planted.in([]byte("x " + form + " y")); !slices.Contains(found, name) {
			t.Errorf("%s: got %q, want it found", name, found)
		}
		if found := other.in([]byte(form)); len(found) > 0 {
			t.Errorf("%s: got %q of another secret", name, found)
		}
	}
	for before := range 7 {
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding} {
			text := encoding.EncodeToString([]byte("ann:password"[:before] + planted.value + "and more"))
			if len(planted.in([]byte(text))) == 0 {
				t.Errorf("base64 after %d: got nothing in %s", before, text)
			}
		}
	}
}

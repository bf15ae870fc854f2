package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/artifacts/bucket/buckettest"
	"github.com/slipway-ml/slipway/contract/git/gittest"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/handlers"
	"github.com/slipway-ml/slipway/jetstream"
)

// guarded is a world of servers that ask for secrets, where they are kept, and a
// slipway that has them all.
type guarded struct {
	*system

	search   *search
	git, web string // urls
	s3       *buckettest.Place
	hung     chan struct{} // is told of every request that is never answered
	inside   *httptest.Server

	mu    sync.Mutex
	asked map[string]bool // secrets that a server was sent
}

// The secrets, by where they are kept. Those of urls come in what is read and in
// what servers answer; that of a command stands in the command, which is kept.
var (
	inEnvironment = plant("env", "")
	inFile        = plant("file", "")
	inFolder      = plant("folder", "")
	inBucket      = plant("bucket", "KV_"+jetstream.CredentialsBucket)
	inSettings    = plant("settings", "")
	inKey         = plant("key", "KV_"+jetstream.CredentialsBucket)
	inURL         = plant("url", "")
	inCommand     = plant("command", jetstream.CommandsStream)
)

func newGuarded(tb testing.TB) *guarded {
	tb.Helper()
	g := &guarded{hung: make(chan struct{}, 1), asked: map[string]bool{}}
	model := readDemo(tb, "churn-v1.ubj")

	server := &gittest.Server{Dir: tb.TempDir(), User: "ann", Password: inFolder.value}
	repository := server.Bare(tb, "models.git")
	git := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/echo/") {
			echo(w, r)
			return
		}
		server.ServeHTTP(w, r)
	}))
	tb.Cleanup(git.Close)
	g.git = git.URL

	g.inside = httptest.NewServer(http.HandlerFunc(echo))
	tb.Cleanup(g.inside.Close)
	web := httptest.NewServer(g.serve(model))
	tb.Cleanup(web.Close)
	g.web = web.URL
	g.s3 = buckettest.S3(tb)
	g.s3.Put("churn/model.ubj", model)

	settings := g.s3.Settings(g.s3.Server.URL)
	settings["AWS_SESSION_TOKEN"] = inSettings.value
	dir := filepath.Join(tb.TempDir(), "secrets")
	for name, content := range map[string]string{
		"web": secretText(tb, map[string]string{"token": inFile.value}), "git/username": "ann", "git/password": inFolder.value + "\n",
		"broken": `{"token":"` + inFile.value, "store": secretText(tb, settings),
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	gittest.Put(tb, repository, "main", g.contracts(model))
	g.system = startUp(tb, map[string]string{
		"SLIPWAY_ALLOW_HTTP_REPOSITORIES": "true", "SLIPWAY_CREDENTIALS_DIR": dir, "SLIPWAY_CREDENTIALS_BUCKET": "true",
		"SLIPWAY_CREDENTIAL_BASIC": secretText(tb, map[string]string{"user": "ann", "password": inEnvironment.value}),
		"SLIPWAY_CREDENTIAL_OTHER": secretText(tb, map[string]string{"token": inEnvironment.value, "host": "elsewhere.example"}),
		"AWS_ACCESS_KEY_ID":        "AKIA", "AWS_SECRET_ACCESS_KEY": inSettings.value, "AWS_ENDPOINT_URL": g.s3.Server.URL,
		"SLIPWAY_LOG_LEVEL": "debug", "SLIPWAY_MAX_ATTEMPTS": "2", "SLIPWAY_PREDICT_LOG_EVERY": "1",
	})
	g.search = &search{
		tb: tb, looked: map[string]int{}, there: map[string]map[string]bool{},
		secrets: []secret{inEnvironment, inFile, inFolder, inBucket, inSettings, inKey, inURL, inCommand},
	}
	g.put("kept", secretText(tb, map[string]string{"token": inBucket.value}), "--host", strings.TrimPrefix(web.URL, "http://"))
	g.put("ssh", "-----BEGIN OPENSSH PRIVATE KEY-----\n"+inKey.value+"\n-----END OPENSSH PRIVATE KEY-----\n")
	return g
}

// put keeps a secret in the bucket, as people do.
func (g *guarded) put(id, text string, flags ...string) {
	g.tb.Helper()
	var out bytes.Buffer
	if code := run(g.tb.Context(), append([]string{"credentials", "put", id}, flags...), map[string]string{"NATS_URL": g.where.NATS}, strings.NewReader(text), &out, &out); code != exitOK {
		g.tb.Fatalf("put %s: got exit code %d:\n%s", id, code, out.String())
	}
	g.search.look("output", "credentials put", out.Bytes())
}

// echo answers with all that it was sent, under the status in the path.
func echo(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	if _, err := fmt.Sscanf(r.URL.Path, "/echo/%d", &status); err != nil {
		status = http.StatusOK
	}
	_, password, _ := r.BasicAuth()
	said := fmt.Sprint(r.Header, r.URL, password, inURL.value)
	w.Header().Set("Www-Authenticate", `Basic realm="`+r.Header.Get("Authorization")+`"`)
	w.Header().Set("X-Said", r.Header.Get("Authorization"))
	w.WriteHeader(status)
	fmt.Fprint(w, said)
}

// serve has the model for who has one of the secrets, and misbehaves in ways that
// the path says.
func (g *guarded) serve(model []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		g.mu.Lock()
		for _, s := range []secret{inEnvironment, inFile, inBucket} {
			g.asked[s.name] = g.asked[s.name] || password == s.value || token == s.value
		}
		g.mu.Unlock()
		switch {
		case password != inEnvironment.value && token != inFile.value && token != inBucket.value && !r.URL.Query().Has("sig"):
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, r.Header)
		case strings.HasPrefix(r.URL.Path, "/echo/"):
			echo(w, r)
		case r.URL.Path == "/signed":
			http.Redirect(w, r, "/model.ubj?sig="+inURL.forms()["in a query"], http.StatusFound)
		case r.URL.Path == "/signed-gone":
			http.Redirect(w, r, "/echo/503?sig="+inURL.forms()["in a query"], http.StatusFound)
		case r.URL.Path == "/away":
			http.Redirect(w, r, strings.Replace(g.inside.URL, "://", "://ann:"+inURL.forms()["in a query"]+"@", 1)+"/?token="+inURL.forms()["in a query"], http.StatusFound)
		case r.URL.Path == "/nowhere":
			http.Redirect(w, r, "gopher://host/"+inURL.forms()["in a path"], http.StatusFound)
		case r.URL.Path == "/cut":
			w.Header().Set("Content-Length", fmt.Sprint(len(model)))
			_, _ = w.Write(model[:100])
			panic(http.ErrAbortHandler)
		case r.URL.Path == "/hang":
			select {
			case g.hung <- struct{}{}:
			default:
			}
			<-r.Context().Done()
		default:
			_, _ = w.Write(model)
		}
	}
}

// contracts are those in the repository, by folder.
func (g *guarded) contracts(model []byte) map[string]string {
	blob := func(url, id string) string {
		text, err := json.Marshal(map[string]any{"reference": map[string]any{"blob": map[string]any{"url": url, "credentialsId": id}}})
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	signature := inURL.forms()["in a query"]
	files := map[string]string{"right/model/model.ubj": string(model)}
	for name, text := range map[string]string{
		"web": blob(g.web+"/model.ubj", "kept"), "store": blob("s3://models/churn/model.ubj", "store"),
		"blob-password": blob("https://ann:"+signature+"@host/m", ""), "blob-signed": blob("s3://models/m?X-Amz-Signature="+signature, ""),
		"blob-token": blob("objects://artifacts/m?token="+signature, ""), "blob-unparsable": blob("https://h/%zz"+inURL.value, ""),
		"member": `{"reference":{"blob":{"url":"s3://b/m","password":"` + inURL.value[:10] + `"}}}`, "id": blob("s3://b/m", inURL.value),
		"echoed": blob(g.web+"/echo/403", "kept"), "echoed-later": blob(g.web+"/echo/500", "kept"),
	} {
		files[name+"/model/reference.json"] = text
	}
	return files
}

// from is the source of a contract.
func (g *guarded) from(folder, id string) deployment.Source {
	return deployment.Source{Route: deployment.RouteExisting, URL: g.git + "/models.git", ContractPath: folder, CredentialsID: id, ModelType: json.RawMessage(`"XGBOOST"`)}
}

// Wherever a secret is kept, and in whatever way a deploy ends, nothing that
// Slipway writes, stores or answers holds it, in no encoding (deeploy.md D25).
func TestPlantedSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	facts := g.upload("churn-v2")
	given := func(url, id string) any {
		f := facts
		f.Artifact = describeArtifact(readDemo(t, "churn-v1.ubj"))
		f.Artifact.URL, f.Artifact.CredentialsID = url, id
		return handlers.Deploy{Label: "Churn", ModelChoice: handlers.ModelChoice{Model: &f}}
	}
	at := func(url, id string) any {
		return deployFrom(deployment.Source{Route: deployment.RouteExisting, URL: url, CredentialsID: id})
	}
	planted := inCommand.forms()["in a query"]
	for want, deploys := range map[events.Outcome][]any{
		events.Completed: {
			deployFrom(g.from("right", "git")), deployFrom(g.from("web", "git")), deployFrom(g.from("store", "git")),
			given(g.web+"/model.ubj", "basic"), given(g.web+"/model.ubj", "web"), given(g.web+"/model.ubj", "kept"), given(g.web+"/signed", "basic"),
			given("s3://models/churn/model.ubj", "store"),
		},
		events.Rejected: {
			deployFrom(g.from("right", "web")), deployFrom(g.from("right", "broken")), deployFrom(g.from("right", "other")), deployFrom(g.from("right", "ssh")),
			deployFrom(g.from("blob-password", "git")), deployFrom(g.from("blob-signed", "git")), deployFrom(g.from("blob-token", "git")), deployFrom(g.from("blob-unparsable", "git")),
			deployFrom(g.from("member", "git")), deployFrom(g.from("echoed", "git")),
			at(g.git+"/echo/401/m.git", "git"), at(g.git+"/echo/403/m.git", "git"), at(g.git+"/echo/404/m.git", "git"), at(g.git+"/echo/200/m.git", "git"),
			at("ssh://git@127.0.0.1/m.git", "ssh"),
			given(g.web+"/model.ubj", "other"), given(g.web+"/model.ubj", "store"), given(g.web+"/echo/401", "web"), given(g.web+"/echo/403", "kept"), given(g.web+"/echo/200", "basic"),
			given(g.web+"/away", "kept"), given(g.web+"/nowhere", "kept"), given("s3://models/churn/model.ubj", "web"), given("s3://models/none", "store"), given("s3://models/churn/model.ubj", ""),
			// A secret in the command itself is refused and not repeated.
			given("https://ann:"+planted+"@host/m", ""), given("https://host/m?X-Amz-Signature="+planted, ""), given("s3://models/m?sig="+planted, "store"),
			at("s3://models/contracts", "web"), at("s3://models/contracts", "store"), at("s3://models/contracts?sig="+planted, "store"), at("objects://artifacts/x?token="+planted, ""), at("file://ann:"+planted+"@/x", ""),
			given("https://host/%zz"+inCommand.value, ""), given("file://"+planted+"/m?token="+planted, ""), given("Nothing of a url "+inCommand.value, ""), given("https://host/m", inCommand.value),
			at("https://ann:"+planted+"@host/m.git", ""), at("https://host/m.git?access_token="+planted, ""), at("ssh://git:"+planted+"@host/m.git", ""), at("https://host/m.git", inCommand.value),
		},
		events.Failed: {
			deployFrom(g.from("echoed-later", "git")), at(g.git+"/echo/500/m.git", "git"), given(g.web+"/echo/503", "kept"), given(g.web+"/cut", "web"), given(g.web+"/signed-gone", "basic"),
		},
	} {
		for i, data := range deploys {
			name := fmt.Sprintf("%s-%d", want, i)
			g.forget()
			if e := g.command(deployment.KindDeployment, name, "deploy", data); e.Outcome != want {
				t.Errorf("%s: got %s %+v", name, e.Outcome, e.Failure)
			}
		}
	}
	g.forget()
	g.cancelled(given(g.web+"/hang", "kept"))
	g.forget()
	g.s3.Answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Bucket-Region", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", r.Header.Get("X-Amz-Security-Token"))
	})
	if e := g.command(deployment.KindDeployment, "away", "deploy", given("s3://models/churn/model.ubj", "store")); e.Outcome != events.Failed {
		t.Errorf("store gone: got %s %+v, want failed", e.Outcome, e.Failure)
	}
	g.verbs()
	g.search.pages(g.where.Predict+"/metrics", g.where.Predict+"/v2/models/completed-0", g.where.Predict+"/v2/health/ready")
	g.search.streams(g.JetStream)
	g.stop()
	g.search.look("log", "of slipway up", []byte(g.stderr.String()))
	g.search.files(g.dir)
	g.wantLooked()
}

// forget removes the model from where it is kept, so that it is fetched again.
func (g *guarded) forget() {
	g.tb.Helper()
	digest := describeArtifact(readDemo(g.tb, "churn-v1.ubj")).Digest
	store, err := g.JetStream.ObjectStore(g.tb.Context(), jetstream.ArtifactsStore)
	if err != nil {
		g.tb.Fatal(err)
	}
	if err := store.Delete(g.tb.Context(), artifacts.ObjectName(digest)); err != nil && !errors.Is(err, natsjs.ErrObjectNotFound) {
		g.tb.Fatal(err)
	}
	if err := os.Remove(filepath.Join(g.dir, "artifacts", "sha256-"+digest.Hex())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.tb.Fatal(err)
	}
}

// cancelled deploys what is never answered, and cancels it.
func (g *guarded) cancelled(data any) {
	g.tb.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		g.tb.Fatal(err)
	}
	sequence := g.publish(&nats.Msg{
		Subject: jetstream.CommandSubject("deployment", "hangs", "deploy"), Data: structured(deployment.KindDeployment, "hangs", "deploy", "hangs", string(text)),
	})
	select {
	case <-g.hung:
	case <-time.After(patience):
		g.tb.Fatal("nobody asked for the model")
	}
	g.command(deployment.KindDeployment, "hangs", handlers.OpCancel, handlers.Cancel{Source: "/test", ID: "hangs"})
	if e := g.outcomeOf(sequence); e.Outcome != events.Cancelled {
		g.tb.Errorf("got %s %+v, want cancelled", e.Outcome, e.Failure)
	}
}

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/contract/git"
	"github.com/slipway-ml/slipway/contract/git/gittest"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/serving/predict"
)

// BenchmarkRoutes replaces a model of 10 MB by another one that nobody has seen
// before, by each route: from the command to its outcome (command-ms), and what of
// that is fetching, storing and looking at the same bytes and writing to the same repository
// without a worker (bare-ms). The git server, the server of models and the NATS
// server, which syncs each write, are in this process.
func BenchmarkRoutes(b *testing.B) {
	model := largeModel(b, 24_000)
	b.Logf("a model of %d bytes", len(model))
	for _, route := range []deployment.Route{deployment.RouteExisting, deployment.RouteReference, deployment.RouteArtifact} {
		b.Run(string(route), func(b *testing.B) {
			r := newRouteBench(b, model)
			var command, bare time.Duration
			for b.Loop() {
				command += r.measure(func() { r.replace(r.source(route)) })
				bare += r.measure(func() { r.bare(route) })
			}
			b.ReportMetric(milliseconds(command)/float64(b.N), "command-ms")
			b.ReportMetric(milliseconds(bare)/float64(b.N), "bare-ms")
			b.ReportMetric(float64(command)/float64(bare), "times-bare")
		})
	}
}

// routeBench is a system with a deployment, a repository and a server of models.
type routeBench struct {
	*system
	repo    repository
	web     string
	content atomic.Pointer[[]byte] // of the model that the server has
	model   []byte
	n       int    // models so far
	dir     string // of copies made by hand
	objects *jetstream.Objects
	git     *git.Repositories
	taken   time.Duration // by what is not measured
}

func newRouteBench(b *testing.B, model []byte) *routeBench {
	b.Helper()
	r := &routeBench{repo: newRepository(b), model: model, git: &git.Repositories{AllowHTTP: true}}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(*r.content.Load())))
		_, _ = w.Write(*r.content.Load()) // the client says if something is missing
	}))
	b.Cleanup(web.Close)
	r.web = web.URL + "/model.json"
	r.repo.put(b, map[string]string{"README.md": "models"})
	r.system = startUp(b, gitEnvironment("SLIPWAY_SYNC", "always"))
	var err error
	if r.objects, err = jetstream.OpenObjects(b.Context(), r.JetStream); err != nil {
		b.Fatal(err)
	}
	r.dir = b.TempDir()
	first := r.source(deployment.RouteArtifact)
	r.completed("churn", "deploy", deployFrom(first))
	return r
}

// next is a model that nobody has seen: white space after JSON says nothing.
func (r *routeBench) next() []byte {
	r.n++
	content := append(bytes.Clone(r.model), bytes.Repeat([]byte(" "), r.n)...)
	r.content.Store(&content)
	return content
}

// source offers another model by a route, which is not measured.
func (r *routeBench) source(route deployment.Route) deployment.Source {
	r.tb.Helper()
	began := time.Now()
	defer func() { r.taken += time.Since(began) }()
	content := r.next()
	source := r.repo.source()
	source.Route, source.ContractPath, source.ModelType = route, "models/churn", json.RawMessage(`"XGBOOST"`)
	const metadata = `{"problemType":"regression"}`
	switch route {
	case deployment.RouteExisting:
		source.ContractPath = "models/existing"
		r.repo.put(r.tb, map[string]string{"models/existing/model/model.json": string(content), "models/existing/metadata.json": metadata})
		return source
	case deployment.RouteReference:
		source.Model = blob(r.web)
		source.ContractPath = fmt.Sprint("models/", r.n)
	case deployment.RouteArtifact:
		file := r.put("run", content)
		file.Path = "model.json"
		source.Artifact = &deployment.Upload{Files: []deployment.UploadedFile{file}}
	}
	source.Metadata, source.Overwrite = json.RawMessage(metadata), true
	return source
}

func (r *routeBench) replace(source deployment.Source) {
	r.tb.Helper()
	if got := r.command(deployment.KindDeployment, "churn", "replace", replaceFrom(source)); got.Outcome != events.Completed {
		r.tb.Fatalf("got %s %+v, want completed", got.Outcome, got.Failure)
	}
}

// measure is how long f takes, without what is noted as not to be measured.
func (r *routeBench) measure(f func()) time.Duration {
	began := time.Now()
	r.taken = 0
	f()
	return time.Since(began) - r.taken
}

// bare does by hand what has to be done of a route: the bytes come from where they
// are onto this machine and, but for those that are there already, into the object
// store, each with its digest; the model is loaded; the contract is read or committed.
func (r *routeBench) bare(route deployment.Route) {
	r.tb.Helper()
	source := r.source(route)
	ctx, at := r.tb.Context(), git.Source{URL: source.URL, Credentials: git.Credentials{User: gitUser, Secret: gitSecret}}
	var from io.ReadCloser
	var err error
	switch route {
	case deployment.RouteExisting:
		snapshot, opened := r.git.Open(ctx, at)
		r.must(opened)
		defer snapshot.Close()
		from, err = snapshot.Open("models/existing/model/model.json")
	case deployment.RouteReference:
		request, made := http.NewRequestWithContext(ctx, http.MethodGet, r.web, http.NoBody)
		r.must(made)
		response, got := http.DefaultClient.Do(request) //nolint:bodyclose // copy closes it
		r.must(got)
		from = response.Body
	case deployment.RouteArtifact:
		from, err = r.objects.Get(ctx, source.Artifact.Files[0].Object)
	}
	r.must(err)
	name, digest := r.copy(ctx, from)
	inspection, err := predict.Inspect(name, deployment.Model{Format: deployment.FormatXGBoost})
	r.must(err)
	if inspection.Features == 0 {
		r.tb.Fatal("the model has no features")
	}
	if !route.Writes() {
		return
	}
	_, err = r.git.Write(ctx, at, git.Commit{
		At: "bare", Change: contract.Change{Model: &contract.Reference{Blob: &contract.Blob{URL: "s3://b/" + digest.Hex()}}, Overwrite: true},
		Author: git.Person{Name: "bare", Email: "bare@example.com"}, When: gittest.Noon,
	})
	r.must(err)
}

// copy brings bytes onto this machine and into the object store, synced.
func (r *routeBench) copy(ctx context.Context, from io.ReadCloser) (name string, digest deployment.Digest) {
	r.tb.Helper()
	name = filepath.Join(r.dir, "bare")
	file, err := os.Create(name)
	r.must(err)
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, sum), from)
	r.must(err)
	r.must(file.Sync())
	r.must(from.Close())
	_, err = file.Seek(0, io.SeekStart)
	r.must(err)
	digest = deployment.DigestOf(sum.Sum(nil))
	r.must(r.objects.Put(ctx, "bare/"+digest.Hex(), file))
	r.must(file.Close())
	return name, digest
}

func (r *routeBench) must(err error) {
	r.tb.Helper()
	if err != nil {
		r.tb.Fatal(err)
	}
}

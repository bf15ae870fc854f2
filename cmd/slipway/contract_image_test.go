package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
)

const imageSecret = "planted-image-s3cret"

// newRegistry is a registry of images that wants a user and a password.
func newRegistry(tb testing.TB) (host string) {
	tb.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != imageSecret {
			w.Header().Set("WWW-Authenticate", `Basic realm="images"`)
			http.Error(w, "not with "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	tb.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// pushImage puts an image for the architecture under the name.
func pushImage(tb testing.TB, image, architecture string) (digest string) {
	tb.Helper()
	built, err := random.Image(64, 1)
	if err == nil {
		built, err = mutate.ConfigFile(built, &v1.ConfigFile{OS: "linux", Architecture: architecture})
	}
	if err != nil {
		tb.Fatal(err)
	}
	ref, err := name.ParseReference(image)
	if err != nil {
		tb.Fatal(err)
	}
	if err := remote.Write(ref, built, remote.WithAuth(&authn.Basic{Username: "ann", Password: imageSecret})); err != nil {
		tb.Fatal(err)
	}
	hash, err := built.Digest()
	if err != nil {
		tb.Fatal(err)
	}
	return hash.String()
}

// The images that a contract names are looked up, and their digests are in the
// history, whatever their tags mean later. What is wrong with them is said
// together with what cannot be served here.
func TestImagesAreLookedUp(t *testing.T) {
	t.Parallel()
	host := newRegistry(t)
	digest := pushImage(t, host+"/churn:1", "amd64")
	pushImage(t, host+"/churn:arm", "arm64")
	repo := newRepository(t)
	reference := func(image, id string) string {
		return fmt.Sprintf(`{"reference":{"docker":{"image":%q,"uri":"/predict","credentialsId":%q}}}`, image, id)
	}
	repo.put(t, map[string]string{
		"good/model/reference.json":      reference(host+"/churn:1", "images"),
		"bad/model/reference.json":       reference(host+"/churn:arm", "images"),
		"bad/explainer/reference.json":   `{"reference":{"azureML":{"image":"` + host + `/churn:1","uri":"/","port":1,"readinessPath":"/","livenessPath":"/"}}}`,
		"bad/transformer/reference.json": reference(host+"/churn:none", "images"),
		"down/model/reference.json":      reference("127.0.0.1:1/churn:1", ""),
	})
	s := startUp(t, gitEnvironment("SLIPWAY_ALLOW_HTTP_REGISTRIES", "true",
		"SLIPWAY_CREDENTIAL_IMAGES", fmt.Sprintf(`{"user":"ann","password":%q}`, imageSecret)))
	refusal := func(folder string) (f []deployment.Finding, image deployment.Check) {
		source := repo.source()
		source.ContractPath = folder
		got := s.command(deployment.KindDeployment, folder, "deploy", deployFrom(source))
		if got.Outcome != events.Rejected || got.Checks[deployment.CheckSupported].Status != deployment.Failing {
			t.Fatalf("%s: got %s %+v, want it refused as not supported", folder, got.Outcome, got.Failure)
		}
		for _, e := range s.history(got.Command.Sequence) {
			if e.Outcome == events.Validated {
				image = e.Checks[deployment.CheckImages]
			}
		}
		return got.Failure.Findings, image
	}
	findings, check := refusal("good")
	want := deployment.Check{Status: deployment.Passing, Message: "The image of the model, " + host + "/churn:1, is " + digest + "."}
	if check != want || len(findings) != 1 {
		t.Errorf("got check %+v and findings %+v, want %+v and one", check, findings, want)
	}
	pushImage(t, host+"/churn:1", "amd64") // the tag moves; the history does not

	findings, check = refusal("bad")
	var got []string
	for _, f := range findings {
		got = append(got, string(f.Code)+" "+f.Path)
	}
	if diff := cmp.Diff([]string{
		"unsupported_artifact bad/model/reference.json#reference.docker",
		"unsupported_artifact source.explainerType",
		"unsupported_artifact source.transformerType",
		"image_platform_mismatch bad/model/reference.json#reference.docker.image",
		"image_forbidden bad/explainer/reference.json#reference.azureML.image",
		"image_not_found bad/transformer/reference.json#reference.docker.image",
	}, got); diff != "" || check.Status != deployment.Failing {
		t.Errorf("got check %+v and findings (-want +got):\n%s", check, diff)
	}
	// One that a command names is looked up before anything is written.
	source := repo.source()
	source.Route, source.ContractPath = deployment.RouteReference, "written"
	source.Model = fmt.Appendf(nil, `{"docker":{"image":"%s/churn:none","uri":"/","credentialsId":"images"}}`, host)
	written := s.command(deployment.KindDeployment, "written", "deploy", deployFrom(source))
	if f := written.Failure; f == nil || len(f.Findings) != 2 || f.Findings[1].Code != deployment.CodeImageNotFound || f.Findings[1].Path != "source.model.docker.image" {
		t.Errorf("got %s %+v, want that there is no such image", written.Outcome, f)
	}
	// What is refused in any case does not wait for a registry that is down.
	if findings, check = refusal("down"); check.Status != deployment.Warning || !strings.Contains(check.Message, "could not be looked up") || len(findings) != 1 {
		t.Errorf("got check %+v and findings %+v, want a warning and one", check, findings)
	}
	s.stop()
	wantNowhere(t, s, digest, imageSecret)
}

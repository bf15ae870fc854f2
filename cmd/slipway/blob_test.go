package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/artifacts/bucket/buckettest"
	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
)

// secretText is a secret as a variable or a bucket holds it.
func secretText(tb testing.TB, members map[string]string) string {
	tb.Helper()
	text, err := json.Marshal(members)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// blobServers are servers that hold the model: one of each kind of store, and one
// of http that asks for a token.
func blobServers(tb testing.TB, model []byte) (urls map[string]string, environment map[string]string, secrets []string) {
	tb.Helper()
	urls, environment = map[string]string{}, map[string]string{}
	set := func(id string, members map[string]string) {
		environment[credentials.Variable(id)] = secretText(tb, members)
	}
	for scheme, start := range buckettest.Places() {
		place := start(tb)
		place.Put("churn/model.ubj", model)
		settings := place.Settings(place.Server.URL)
		urls[scheme] = place.URL("churn/model.ubj")
		set(scheme, settings)
		switch scheme {
		case "s3":
			settings["AWS_SECRET_ACCESS_KEY"] = "wrong"
		case "gs": // anybody
			delete(settings, "GOOGLE_APPLICATION_CREDENTIALS_JSON")
		case "azblob":
			settings["AZURE_STORAGE_CONNECTION_STRING"] = strings.Replace(settings["AZURE_STORAGE_CONNECTION_STRING"], "AccountKey=", "AccountKey=AAAA", 1)
		}
		set(scheme+"-wrong", settings)
		secrets = append(secrets, place.Secrets...)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != gitSecret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write(model)
	}))
	tb.Cleanup(web.Close)
	urls["http"] = web.URL + "/model.ubj"
	set("http", map[string]string{"user": "ann", "password": gitSecret})
	set("http-wrong", map[string]string{"token": "planted-wrong-t0ken"})
	return urls, environment, append(secrets, gitSecret, "planted-wrong-t0ken")
}

// A contract names a blob and the id of its credentials; the worker, which has
// them, fetches it. What is wrong with them is said by code and place.
func TestBlobsWithCredentials(t *testing.T) {
	t.Parallel()
	urls, environment, _ := blobServers(t, readDemo(t, "churn-v1.ubj"))
	repo := newRepository(t)
	files := map[string]string{}
	for scheme, url := range urls {
		for folder, id := range map[string]string{"right": scheme, "wrong": scheme + "-wrong", "none": "nobody", "unfit": "git"} {
			files[scheme+"/"+folder+"/model/reference.json"] = fmt.Sprintf(`{"reference":{"blob":{"url":%q,"credentialsId":%q}}}`, url, id)
		}
	}
	repo.put(t, files)
	environment = gitEnvironment(flat(environment)...)
	environment["SLIPWAY_CREDENTIAL_GIT"] = secretText(t, map[string]string{"user": gitUser, "password": gitSecret, "host": strings.TrimSuffix(repo.url, "/models.git")})
	s := startUp(t, environment)
	deploy := func(name, at string) entry {
		source := repo.source()
		source.ContractPath, source.ModelType = at, json.RawMessage(`"XGBOOST"`)
		return s.command(deployment.KindDeployment, name, "deploy", deployFrom(source))
	}
	for scheme := range urls {
		if e := deploy("churn-"+scheme, scheme+"/right"); e.Outcome != events.Completed {
			t.Errorf("%s: got %s %+v, want completed", scheme, e.Outcome, e.Failure)
		}
		unfit := deployment.CodeCredentialsMissing
		if scheme == "http" {
			unfit = deployment.CodeCredentialsInvalid
		}
		for folder, want := range map[string]struct {
			code     deployment.Code
			at, says string
		}{
			"wrong": {deployment.CodeArtifactForbidden, "blob.url", `with the credentials "` + scheme + `-wrong"`},
			"none":  {deployment.CodeCredentialsMissing, "blob.credentialsId", `there are no credentials "nobody"`},
			"unfit": {unfit, "blob.credentialsId", `credentials "git"`},
		} {
			e := deploy("new", scheme+"/"+folder)
			at := scheme + "/" + folder + "/model/reference.json#reference." + want.at
			if e.Outcome != events.Rejected || e.Failure.Code != want.code || e.Failure.Findings[0].Path != at || !strings.Contains(e.Failure.Message, want.says) {
				t.Errorf("%s %s: got %s %+v, want %s at %s that says %s", scheme, folder, e.Outcome, e.Failure, want.code, at, want.says)
			}
		}
	}
	if state := s.state("new"); state != "" {
		t.Errorf("got %s, want no such deployment", state)
	}
}

// flat are the names and values of a map, one after the other.
func flat(m map[string]string) (list []string) {
	for name, value := range m {
		list = append(list, name, value)
	}
	return list
}

package bucket

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/artifacts/bucket/buckettest"
	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
)

// kept are credentials by id, as the environment holds them.
func kept(tb testing.TB, secrets map[string]map[string]string) *credentials.Finder {
	tb.Helper()
	f := &credentials.Finder{Environment: map[string]string{}, Settings: Members()}
	for id, members := range secrets {
		text, err := json.Marshal(members)
		if err != nil {
			tb.Fatal(err)
		}
		f.Environment[credentials.Variable(id)] = string(text)
	}
	return f
}

// Credentials of an id are used instead of those of the environment, never with them.
func TestCredentialsByID(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			p.Put("model.ubj", []byte("x"))
			other := start(t)
			b := other.buckets(nil)
			b.Credentials = kept(t, map[string]map[string]string{"team-a": p.Settings(p.Server.URL), "git": {"token": "s3cret"}})
			body, _, err := b.Read(t.Context(), p.URL("model.ubj"), "team-a")
			if err != nil {
				t.Fatal(err)
			}
			_ = body.Close()
			_, _, err = b.Read(t.Context(), p.URL("model.ubj"), "team-b")
			if r, ok := errors.AsType[*deployment.Rejection](err); !ok || r.Code != deployment.CodeCredentialsMissing || !strings.Contains(err.Error(), `"team-b"`) {
				t.Errorf("unknown id: got %v, want a rejection that names it", err)
			}
			_, _, err = b.Read(t.Context(), p.URL("model.ubj"), "git")
			if want := `credentials "git" hold nothing for ` + scheme + `: expected `; !errors.Is(err, artifacts.ErrCredentials) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("credentials for something else: got %v, want %s", err, want)
			}
			b.Credentials = nil
			if _, _, err = b.Read(t.Context(), p.URL("model.ubj"), "team-a"); !errors.Is(err, artifacts.ErrCredentials) {
				t.Errorf("no credentials at all: got %v, want a refusal", err)
			}
			if got := other.Asked.Load(); got != 0 {
				t.Errorf("the server of the environment was asked %d times, want never", got)
			}
		})
	}
}

func TestCredentialsThatAreNot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url      string
		settings map[string]string
		says     string
	}{
		{"s3://models/m", map[string]string{"AWS_ACCESS_KEY_ID": "s3cret"}, "AWS_SECRET_ACCESS_KEY"},
		{"s3://models/m", map[string]string{"AWS_ENDPOINT_URL": "ftp://s3cret"}, "AWS_ENDPOINT_URL"},
		{"s3://models/m", map[string]string{"AWS_ENDPOINT_URL_S3": "https://ann:s3cret@h"}, "AWS_ENDPOINT_URL_S3"},
		{"s3://models/m", map[string]string{"AWS_REGION": "s3cret.evil.example/"}, "AWS_REGION"},
		{"gs://models/m", map[string]string{"STORAGE_EMULATOR_HOST": "a b s3cret"}, "STORAGE_EMULATOR_HOST"},
		{"gs://models/m", map[string]string{"GOOGLE_APPLICATION_CREDENTIALS_JSON": `{"type":"s3cret"}`}, "GOOGLE_APPLICATION_CREDENTIALS_JSON"},
		{"azblob://models/m", map[string]string{"AZURE_STORAGE_KEY": "s3cret"}, "AZURE_STORAGE_ACCOUNT"},
		{"azblob://models/m", map[string]string{"AZURE_STORAGE_ACCOUNT": "s3cret.evil/"}, "AZURE_STORAGE_ACCOUNT"},
		{"azblob://models/m", map[string]string{"AZURE_STORAGE_ACCOUNT": "models", "AZURE_STORAGE_KEY": "s3cret!"}, "base64"},
		{"azblob://models/m", map[string]string{"AZURE_STORAGE_ACCOUNT": "models", "AZURE_STORAGE_SAS_TOKEN": "%zz=s3cret"}, "AZURE_STORAGE_SAS_TOKEN"},
		{"azblob://models/m", map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=s3cret"}, "AZURE_STORAGE_CONNECTION_STRING"},
		{"azblob://models/m", map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=models;DefaultEndpointsProtocol=s3cret"}, "AZURE_STORAGE_CONNECTION_STRING"},
		{"azblob://models/m", map[string]string{"AZURE_STORAGE_ACCOUNT": "models", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s3cret"}, "AZURE_TENANT_ID"},
		{"azblob://models/m", map[string]string{"AZURE_STORAGE_ACCOUNT": "models", "AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t"}, "AZURE_FEDERATED_TOKEN_FILE"},
	} {
		b := &Buckets{Credentials: kept(t, map[string]map[string]string{"id": test.settings})}
		_, _, err := b.Read(t.Context(), test.url, "id")
		if !errors.Is(err, artifacts.ErrCredentials) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), `"id"`) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want a refusal that says %q, the id and no more", test.url, err, test.says)
		}
	}
	for url, settings := range map[string]map[string]string{ // files are for the environment to name
		"gs://models/m":     {"GOOGLE_APPLICATION_CREDENTIALS": "/no/s3cret"},
		"azblob://models/m": {"AZURE_STORAGE_ACCOUNT": "models", "AZURE_CLIENT_ID": "c", "AZURE_TENANT_ID": "t", "AZURE_FEDERATED_TOKEN_FILE": "/no/s3cret"},
	} {
		b := &Buckets{Environment: settings}
		if _, _, err := b.Read(t.Context(), url, ""); !errors.Is(err, artifacts.ErrCredentials) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want a refusal without the path", url, err)
		}
		b.Credentials = kept(t, map[string]map[string]string{"id": settings})
		_, _, err := b.Read(t.Context(), url, "id")
		if r, ok := errors.AsType[*deployment.Rejection](err); !ok || r.Code != deployment.CodeCredentialsInvalid {
			t.Errorf("%s by id: got %v, want that such a member is not known", url, err)
		}
	}
}

// What may not be read says with which credentials.
func TestForbiddenNamesTheCredentials(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			p.Put("model.ubj", []byte("x"))
			spoiled := p.Settings(p.Server.URL)
			maps.Copy(spoiled, p.Wrong)
			b := &Buckets{Credentials: kept(t, map[string]map[string]string{"team-a": spoiled})}
			_, _, err := b.Read(t.Context(), p.URL("model.ubj"), "team-a")
			if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, artifacts.ErrCredentials) || !strings.Contains(err.Error(), `"team-a"`) {
				t.Errorf("got %v, want a refusal that names the credentials", err)
			}
		})
	}
}

func TestOtherCredentialsOfAzure(t *testing.T) {
	t.Parallel()
	p := startAzure(t)
	p.Put("model.ubj", []byte("x"))
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret-assertion\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	endpoint := "BlobEndpoint=" + p.Server.URL + "/models;"
	client := map[string]string{"AZURE_STORAGE_CONNECTION_STRING": endpoint, "AZURE_CLIENT_ID": "client-1", "AZURE_TENANT_ID": "tenant-1", "AZURE_AUTHORITY_HOST": p.Server.URL + "/"}
	with := func(name, value string) map[string]string {
		c := maps.Clone(client)
		c[name] = value
		return c
	}
	for name, settings := range map[string]map[string]string{
		"shared access signature": {"AZURE_STORAGE_CONNECTION_STRING": endpoint + "SharedAccessSignature=" + buckettest.AzureSAS},
		"client secret":           with("AZURE_CLIENT_SECRET", "s3cret-of-client"),
		"workload":                with("AZURE_FEDERATED_TOKEN_FILE", file),
	} {
		b := &Buckets{Environment: settings}
		if got, _, err := read(t.Context(), b, p.URL("model.ubj")); got != "x" || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	b := &Buckets{Environment: with("AZURE_CLIENT_SECRET", "s3cret-wrong")}
	if _, _, err := read(t.Context(), b, p.URL("model.ubj")); !errors.Is(err, artifacts.ErrCredentials) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("wrong secret: got %v, want a refusal without it", err)
	}
	p.Server.Close()
	b = &Buckets{Environment: map[string]string{"AZURE_STORAGE_CONNECTION_STRING": endpoint + "SharedAccessSignature=" + buckettest.AzureSAS}}
	if _, _, err := read(t.Context(), b, p.URL("model.ubj")); err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "sig=") {
		t.Errorf("server gone: got %v, want an error without the signature", err)
	}
}

// Signatures are those of Azure's own library (testdata/sharedkey).
func TestSharedKey(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/sharedkey.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	compared := 0
	for ; lines.Scan(); compared++ {
		var signed struct {
			URL    string
			Header map[string][]string
		}
		if err := json.Unmarshal(lines.Bytes(), &signed); err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, signed.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range signed.Header {
			request.Header.Set(name, values[0])
		}
		want := request.Header.Get("Authorization")
		if got := "SharedKey models:" + sharedKey(request, "models", []byte("slipway slipway slipway slipway!")); got != want {
			t.Errorf("%s: got %s, want %s", signed.URL, got, want)
		}
	}
	if compared != 8 || lines.Err() != nil {
		t.Errorf("compared %d signatures, %v, want 8", compared, lines.Err())
	}
}

// No error quotes a secret, however a store answers, also one that sends back
// all that it was sent.
func TestNoErrorHoldsASecret(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			secrets := append([]string{"Authorization", "Signature=", "sig="}, p.Secrets...)
			for _, value := range p.Settings("https://x") {
				if len(value) > 20 {
					secrets = append(secrets, value)
				}
			}
			for _, status := range []int{200, 301, 307, 400, 401, 403, 404, 409, 412, 429, 500, 503} {
				for _, tokens := range []bool{true, false} {
					p.Answer(func(w http.ResponseWriter, r *http.Request) {
						if tokens && strings.HasSuffix(r.URL.Path, "/token") {
							p.Serve(w, r)
							return
						}
						echo := fmt.Sprint(r.Header, r.URL, r.PostForm)
						w.Header().Set("X-Ms-Error-Code", echo)
						w.Header().Set("Location", "/?"+r.Header.Get("Authorization"))
						w.WriteHeader(status)
						fmt.Fprintf(w, `<Error><Code>%s</Code></Error>`, base64.StdEncoding.EncodeToString([]byte(echo)))
						fmt.Fprintf(w, `{"error":{"errors":[{"reason":%q}]},"error_description":%q}`, echo, echo)
					})
					_, _, err := read(t.Context(), p.buckets(nil), p.URL("model.ubj"))
					_, listing := p.open(t, "").List(t.Context(), "", 10)
					for _, secret := range secrets {
						if text := fmt.Sprintf("%v %+v %v %+v", err, err, listing, listing); strings.Contains(text, secret) {
							t.Errorf("%d: error holds %q: %s", status, secret, text)
						}
					}
				}
			}
			p.Server.Close()
			_, _, err := read(t.Context(), p.buckets(nil), p.URL("model.ubj"))
			if err == nil {
				t.Fatal("a server that is gone was read")
			}
			for _, secret := range secrets {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("gone: error holds %q: %s", secret, err)
				}
			}
		})
	}
}

// The identity that a machine has from its cloud is used when that is allowed,
// and never for credentials that are named by id.
func TestIdentityOfTheMachine(t *testing.T) { // not parallel: the libraries read the environment of the process
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/role":
			fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":"","Expiration":%q}`, buckettest.S3ID, buckettest.S3Secret, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		case strings.HasSuffix(r.URL.Path, "/service-accounts/default/token") && r.Header.Get("Metadata-Flavor") == "Google":
			fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, buckettest.GCSToken)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(cloud.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", cloud.URL+"/role")
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(cloud.URL, "http://"))

	p := startS3(t)
	p.Put("model.ubj", []byte("x"))
	settings := map[string]string{"AWS_ENDPOINT_URL": p.Server.URL}
	b := &Buckets{Environment: settings, Machine: true, Credentials: kept(t, map[string]map[string]string{"none": settings})}
	if got, _, err := read(t.Context(), b, p.URL("model.ubj")); got != "x" || err != nil {
		t.Errorf("S3: got %q, %v", got, err)
	}
	if _, _, err := b.Read(t.Context(), p.URL("model.ubj"), "none"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("S3 with an id: got %v, want that it may not be read", err)
	}
	if _, _, err := read(t.Context(), &Buckets{Environment: settings}, p.URL("model.ubj")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("S3, not allowed: got %v, want that it may not be read", err)
	}

	tokens, err := b.googleTokens(t.Context(), nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if token, err := tokens.Token(); err != nil || token.AccessToken != buckettest.GCSToken {
		t.Errorf("Google: got %v, want the token of the machine", err)
	}
	if tokens, err := b.googleTokens(t.Context(), nil, false); tokens != nil || err != nil {
		t.Errorf("Google with an id: got %v, %v, want none", tokens, err)
	}
}

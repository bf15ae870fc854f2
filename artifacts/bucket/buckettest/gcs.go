package buckettest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// serviceKey is the key of the service account in all tests.
var serviceKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// GCSToken is what the server of Google gives to the service account.
const GCSToken = "ya29.s3cret-token"

// GCS is the part of the JSON API that is used here, as Google documents it
// (objects.list, objects.get with alt=media and generation), and the server that
// gives tokens for assertions that the service account has signed.
func GCS(tb testing.TB) *Place {
	tb.Helper()
	held := &shelf{}
	der, err := x509.MarshalPKCS8PrivateKey(serviceKey())
	if err != nil {
		tb.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	settings := func(server string) map[string]string {
		key, err := json.Marshal(map[string]string{
			"type": "service_account", "client_email": "slipway@models.iam.gserviceaccount.com", "private_key": private, "private_key_id": "1", "token_uri": server + "/token",
		})
		if err != nil {
			tb.Error(err)
		}
		return map[string]string{"STORAGE_EMULATOR_HOST": server, "GOOGLE_APPLICATION_CREDENTIALS_JSON": string(key)}
	}
	return start(tb, &Place{
		Scheme: "gs", Settings: settings, Put: held.put,
		Wrong:   map[string]string{"GOOGLE_APPLICATION_CREDENTIALS_JSON": ""},
		Secrets: []string{GCSToken, "PRIVATE KEY", private[40:80]},
		Serve:   func(w http.ResponseWriter, r *http.Request) { serveGCS(w, r, held) },
	})
}

func serveGCS(w http.ResponseWriter, r *http.Request, held *shelf) {
	if r.URL.Path == "/token" {
		if !vouchedFor(r.PostFormValue("assertion")) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, GCSToken)
		return
	}
	fault := func(status int, reason string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"code":%d,"message":"no","errors":[{"reason":%q}]}}`, status, reason)
	}
	query := r.URL.Query()
	escaped, ok := strings.CutPrefix(r.URL.EscapedPath(), "/storage/v1/b/models/o")
	name := strings.TrimPrefix(r.URL.Path, "/storage/v1/b/models/o/")
	o, found := held.get(name)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+GCSToken:
		fault(http.StatusUnauthorized, "required")
	case ok && escaped == "":
		most, _ := strconv.Atoi(query.Get("maxResults"))
		names, next := held.list(query.Get("prefix"), query.Get("pageToken"), most)
		answer := map[string]any{}
		var items []map[string]string
		for _, name := range names {
			o, _ := held.get(name)
			items = append(items, map[string]string{"name": name, "size": strconv.Itoa(len(o.content)), "generation": strconv.Itoa(o.version)})
		}
		if items != nil { // an empty list is left out
			answer["items"] = items
		}
		if next != "" {
			answer["nextPageToken"] = next
		}
		_ = json.NewEncoder(w).Encode(answer)
	case !ok || strings.Contains(escaped[1:], "/"): // a slash in a name is %2F
		fault(http.StatusNotFound, "notFound")
	case !found || query.Has("generation") && query.Get("generation") != strconv.Itoa(o.version):
		fault(http.StatusNotFound, "notFound")
	default:
		w.Header().Set("X-Goog-Generation", strconv.Itoa(o.version))
		o.serve(w, r)
	}
}

// vouchedFor reports whether the service account has signed the assertion.
func vouchedFor(assertion string) bool {
	at := strings.LastIndexByte(assertion, '.')
	if at < 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(assertion[at+1:])
	sum := sha256.Sum256([]byte(assertion[:at]))
	return err == nil && rsa.VerifyPKCS1v15(&serviceKey().PublicKey, crypto.SHA256, sum[:], signature) == nil
}

package bucket

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

const (
	azureSAS   = "sv=2021-12-02&sig=s3cret%2Bsignature"
	azureToken = "eyJ.s3cret.token"
)

var azureKey = base64.StdEncoding.EncodeToString([]byte("s3cret of the storage account"))

// startAzure is the part of the blob service that is used here, as Microsoft
// documents it (List Blobs, Get Blob), and the server that gives tokens.
// TestSharedKey holds the signature, which is calculated by the product here
// too, against Microsoft's own library.
func startAzure(tb testing.TB) *place {
	tb.Helper()
	held := &shelf{}
	return start(tb, &place{
		scheme: "azblob", put: held.put, serve: func(w http.ResponseWriter, r *http.Request) { serveAzure(w, r, held) },
		settings: func(server string) map[string]string {
			return map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=models;AccountKey=" + azureKey + ";BlobEndpoint=" + server + "/models;"}
		},
		wrong:   map[string]string{"AZURE_STORAGE_CONNECTION_STRING": ""},
		secrets: []string{azureKey, "s3cret"},
	})
}

func serveAzure(w http.ResponseWriter, r *http.Request, held *shelf) {
	if r.URL.Path == "/tenant-1/oauth2/v2.0/token" {
		if r.PostFormValue("client_id") != "client-1" || r.PostFormValue("client_secret") != "s3cret-of-client" && r.PostFormValue("client_assertion") != "s3cret-assertion" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"invalid_client","error_description":"not %s"}`, r.PostFormValue("client_secret"))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, azureToken)
		return
	}
	fault := func(status int, code string) {
		w.Header().Set("X-Ms-Error-Code", code)
		w.WriteHeader(status)
	}
	query := r.URL.Query()
	key, _ := base64.StdEncoding.DecodeString(azureKey)
	name, inside := strings.CutPrefix(r.URL.Path, "/models/models/")
	o, found := held.get(name)
	etag := fmt.Sprintf(`"0x8D%d"`, o.version)
	switch authorization := r.Header.Get("Authorization"); {
	case authorization != "SharedKey models:"+sharedKey(r, "models", key) && authorization != "Bearer "+azureToken && query.Get("sig") != "s3cret+signature":
		fault(http.StatusForbidden, "AuthenticationFailed")
	case r.Header.Get("X-Ms-Version") == "":
		fault(http.StatusBadRequest, "MissingRequiredHeader")
	case r.URL.Path == "/models/models" && query.Get("comp") == "list" && query.Get("restype") == "container":
		most, _ := strconv.Atoi(query.Get("maxresults"))
		names, next := held.list(query.Get("prefix"), query.Get("marker"), most)
		fmt.Fprint(w, "\ufeff"+xml.Header+`<EnumerationResults ContainerName="models"><Blobs>`)
		for _, name := range names {
			o, _ := held.get(name)
			fmt.Fprint(w, "<Blob><Name>")
			_ = xml.EscapeText(w, []byte(name))
			fmt.Fprintf(w, "</Name><Properties><Etag>0x8D%d</Etag><Content-Length>%d</Content-Length></Properties></Blob>", o.version, len(o.content))
		}
		fmt.Fprint(w, "</Blobs><NextMarker>")
		_ = xml.EscapeText(w, []byte(next))
		fmt.Fprint(w, "</NextMarker></EnumerationResults>")
	case !inside:
		fault(http.StatusNotFound, "ContainerNotFound")
	case !found:
		fault(http.StatusNotFound, "BlobNotFound")
	case r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != etag:
		fault(http.StatusPreconditionFailed, "ConditionNotMet")
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(o.content)))
		w.Header().Set("ETag", etag)
		w.Write(o.content)
	}
}

package buckettest

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the server of Azure takes, beside its key.
const (
	AzureSAS   = "sv=2021-12-02&sig=s3cret%2Bsignature"
	azureToken = "eyJ.s3cret.token"
)

var azureKey = base64.StdEncoding.EncodeToString([]byte("s3cret of the storage account"))

// Azure is the part of the blob service that is used here, as Microsoft
// documents it (List Blobs, Get Blob), and the server that gives tokens.
// It checks the signature by the rule as it is documented.
func Azure(tb testing.TB) *Place {
	tb.Helper()
	held := &shelf{}
	return start(tb, &Place{
		Scheme: "azblob", Put: held.put, Serve: func(w http.ResponseWriter, r *http.Request) { serveAzure(w, r, held) },
		Settings: func(server string) map[string]string {
			return map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=models;AccountKey=" + azureKey + ";BlobEndpoint=" + server + "/models;"}
		},
		Wrong:   map[string]string{"AZURE_STORAGE_CONNECTION_STRING": ""},
		Secrets: []string{azureKey, "s3cret"},
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
	case authorization != "SharedKey models:"+sharedKey(r, key) && authorization != "Bearer "+azureToken && query.Get("sig") != "s3cret+signature":
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
		w.Header().Set("ETag", etag)
		o.serve(w, r)
	}
}

// sharedKey is the signature of a GET request for the account models (Authorize
// with Shared Key, written down here a second time).
func sharedKey(r *http.Request, key []byte) string {
	lines := []string{r.Method}
	for _, name := range []string{"Encoding", "Language", "Length", "MD5", "Type"} {
		lines = append(lines, r.Header.Get("Content-"+name))
	}
	for _, name := range []string{"Date", "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range"} {
		lines = append(lines, r.Header.Get(name))
	}
	var own, members []string
	for name, values := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ms-") {
			own = append(own, lower+":"+values[0])
		}
	}
	for name, values := range r.URL.Query() {
		members = append(members, strings.ToLower(name)+":"+values[0])
	}
	slices.Sort(own)
	slices.Sort(members)
	lines = slices.Concat(lines, own, []string{"/models" + r.URL.EscapedPath()}, members)
	return base64.StdEncoding.EncodeToString(mac(key, strings.Join(lines, "\n")))
}

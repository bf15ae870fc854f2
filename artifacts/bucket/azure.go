package bucket

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/outbound"
)

const (
	azureVersion   = "2021-12-02" // of the protocol
	azureSuffix    = "core.windows.net"
	azureAuthority = "https://login.microsoftonline.com"
	azureScope     = "https://storage.azure.com/.default"
	azureAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

var (
	accountName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	tenantName  = regexp.MustCompile(`^[-.A-Za-z0-9]{1,253}$`)
)

// azureAccount is what is known of a storage account and who we are there.
type azureAccount struct {
	name   string
	at     *url.URL
	key    []byte     // signs requests
	shared url.Values // signature that was given to us
	tokens oauth2.TokenSource
}

// azure speaks the REST API of Azure Blob Storage.
func (b *Buckets) azure(ctx context.Context, container string, settings map[string]string) (dialect, error) {
	account, err := b.azureAccount(ctx, settings)
	if err != nil {
		return dialect{}, err
	}
	request := func(ctx context.Context, blob string, query url.Values) (*http.Request, error) {
		path := "/" + container
		escaped := path
		if blob != "" {
			path, escaped = path+"/"+blob, escaped+"/"+escapeParts(blob)
		}
		request, err := get(ctx, account.at, path, escaped, query)
		if err == nil {
			request.Header.Set("X-Ms-Version", azureVersion)
			request.Header.Set("Accept-Encoding", "identity")
		}
		return request, err
	}
	return dialect{
		object: func(ctx context.Context, o contract.Object) (*http.Request, error) {
			request, err := request(ctx, o.Name, nil)
			if err == nil && o.Version != "" {
				request.Header.Set("If-Match", o.Version)
			}
			return request, err
		},
		list: func(ctx context.Context, prefix, after string, most int) (*http.Request, error) {
			query := url.Values{"restype": {"container"}, "comp": {"list"}, "prefix": {prefix}, "maxresults": {strconv.Itoa(most)}}
			if after != "" {
				query.Set("marker", after)
			}
			return request(ctx, "", query)
		},
		page:  azurePage,
		sign:  account.sign,
		fault: func(header http.Header, _ []byte) string { return header.Get("X-Ms-Error-Code") },
		moved: func(*outbound.Body) bool { return false },
	}, nil
}

func (a *azureAccount) sign(request *http.Request) error {
	switch {
	case a.key != nil:
		request.Header.Set("X-Ms-Date", time.Now().UTC().Format(http.TimeFormat))
		request.Header.Set("Authorization", "SharedKey "+a.name+":"+sharedKey(request, a.name, a.key))
		return nil
	case a.shared != nil:
		query := request.URL.Query()
		for name, values := range a.shared {
			query[name] = values
		}
		request.URL.RawQuery = query.Encode()
		return nil
	}
	return bear(request, a.tokens)
}

// azureAccount is the account of a connection string, or of the single variables.
func (b *Buckets) azureAccount(ctx context.Context, settings map[string]string) (*azureAccount, error) {
	name, key, shared := settings["AZURE_STORAGE_ACCOUNT"], settings["AZURE_STORAGE_KEY"], settings["AZURE_STORAGE_SAS_TOKEN"]
	at := map[string]string{}
	scheme, suffix := "https", azureSuffix
	if text := settings["AZURE_STORAGE_CONNECTION_STRING"]; text != "" {
		parts := map[string]string{}
		for part := range strings.SplitSeq(text, ";") {
			member, value, _ := strings.Cut(part, "=")
			parts[strings.TrimSpace(member)] = value
		}
		name, key, shared = parts["AccountName"], parts["AccountKey"], parts["SharedAccessSignature"]
		scheme, suffix = cmp.Or(parts["DefaultEndpointsProtocol"], scheme), cmp.Or(parts["EndpointSuffix"], suffix)
		at["BlobEndpoint"] = parts["BlobEndpoint"]
	}
	a := &azureAccount{name: name}
	var err error
	if name != "" && !accountName.MatchString(name) || name == "" && at["BlobEndpoint"] == "" {
		return nil, refuse(artifacts.ErrCredentials, "the credentials name no storage account: expected AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING")
	}
	if a.at, err = endpoint(at, scheme+"://"+name+".blob."+suffix, "BlobEndpoint"); err != nil || a.at.Scheme != "http" && a.at.Scheme != "https" {
		return nil, refuse(artifacts.ErrCredentials, "AZURE_STORAGE_CONNECTION_STRING of the credentials names no endpoint: expected a BlobEndpoint such as https://host, or none")
	}
	switch {
	case key != "":
		if a.key, err = base64.StdEncoding.DecodeString(key); err != nil || name == "" {
			return nil, refuse(artifacts.ErrCredentials, "the key of the storage account is not one: expected base64, with the name of the account")
		}
	case shared != "":
		if a.shared, err = url.ParseQuery(strings.TrimPrefix(shared, "?")); err != nil {
			return nil, refuse(artifacts.ErrCredentials, "AZURE_STORAGE_SAS_TOKEN of the credentials is not a shared access signature: expected a query such as sv=...&sig=...")
		}
	case settings["AZURE_CLIENT_ID"] != "":
		a.tokens, err = b.azureTokens(ctx, settings)
	}
	return a, err
}

// azureTokens are those of a service principal with a secret, or of a workload
// whose cluster vouches for it in a file.
func (b *Buckets) azureTokens(ctx context.Context, settings map[string]string) (oauth2.TokenSource, error) {
	authority, err := endpoint(settings, azureAuthority, "AZURE_AUTHORITY_HOST")
	if err != nil {
		return nil, err
	}
	tenant := settings["AZURE_TENANT_ID"]
	if !tenantName.MatchString(tenant) {
		return nil, refuse(artifacts.ErrCredentials, "AZURE_TENANT_ID of the credentials is not a tenant: expected the one of AZURE_CLIENT_ID")
	}
	c := clientcredentials.Config{
		ClientID: settings["AZURE_CLIENT_ID"], ClientSecret: settings["AZURE_CLIENT_SECRET"], Scopes: []string{azureScope},
		TokenURL: authority.JoinPath(tenant, "oauth2/v2.0/token").String(), AuthStyle: oauth2.AuthStyleInParams,
	}
	if path := settings["AZURE_FEDERATED_TOKEN_FILE"]; c.ClientSecret == "" && path != "" {
		assertion, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, refuse(artifacts.ErrCredentials, "AZURE_FEDERATED_TOKEN_FILE of the credentials names no file that can be read")
		}
		c.EndpointParams = url.Values{"client_assertion_type": {azureAssertion}, "client_assertion": {strings.TrimSpace(string(assertion))}}
	} else if c.ClientSecret == "" {
		return nil, refuse(artifacts.ErrCredentials, "the credentials have AZURE_CLIENT_ID alone: expected AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE with it")
	}
	ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &http.Client{Transport: b.http().Transport, Timeout: headerTimeout})
	return c.TokenSource(ctx), nil
}

func azurePage(body []byte) (listed []contract.Object, after string, err error) {
	var page struct {
		XMLName xml.Name `xml:"EnumerationResults"`
		Blobs   []struct {
			Name struct {
				Text    string `xml:",chardata"`
				Encoded bool   `xml:"Encoded,attr"`
			}
			Size int64  `xml:"Properties>Content-Length"`
			ETag string `xml:"Properties>Etag"`
		} `xml:"Blobs>Blob"`
		NextMarker string
	}
	if err := xml.Unmarshal(body, &page); err != nil {
		return nil, "", errors.New("the answer is not a list of blobs")
	}
	for _, o := range page.Blobs {
		name := o.Name.Text
		if o.Name.Encoded {
			if name, err = url.PathUnescape(name); err != nil {
				return nil, "", errors.New("the answer is not a list of blobs: a name is not escaped")
			}
		}
		if o.ETag != "" && !strings.HasPrefix(o.ETag, `"`) { // lists leave the quotes out
			o.ETag = `"` + o.ETag + `"`
		}
		listed = append(listed, contract.Object{Name: name, Size: o.Size, Version: o.ETag})
	}
	return listed, page.NextMarker, nil
}

// escapeParts escapes each part of a name, and leaves its slashes.
func escapeParts(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

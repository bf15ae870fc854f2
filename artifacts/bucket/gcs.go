package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/outbound"
)

const (
	googleStorage = "https://storage.googleapis.com"
	googleScope   = "https://www.googleapis.com/auth/devstorage.read_only"
)

// gcs speaks the JSON API of Google Cloud Storage, or of the emulator that
// STORAGE_EMULATOR_HOST names, to which no credentials are sent but those of
// GOOGLE_APPLICATION_CREDENTIALS_JSON.
func (b *Buckets) gcs(ctx context.Context, bucket string, settings map[string]string, own bool) (dialect, error) {
	emulator := settings["STORAGE_EMULATOR_HOST"]
	if emulator != "" && !strings.Contains(emulator, "://") {
		emulator = "http://" + emulator
	}
	at, err := endpoint(map[string]string{"STORAGE_EMULATOR_HOST": emulator}, googleStorage, "STORAGE_EMULATOR_HOST")
	if err != nil {
		return dialect{}, err
	}
	var tokens oauth2.TokenSource
	if emulator == "" || settings["GOOGLE_APPLICATION_CREDENTIALS_JSON"] != "" {
		if tokens, err = b.googleTokens(ctx, settings, own); err != nil {
			return dialect{}, err
		}
	}
	root := "/storage/v1/b/" + bucket + "/o"
	return dialect{
		object: func(ctx context.Context, o contract.Object) (*http.Request, error) {
			query := url.Values{"alt": {"media"}}
			if o.Version != "" {
				query.Set("generation", o.Version)
			}
			return get(ctx, at, root+"/"+o.Name, root+"/"+url.PathEscape(o.Name), query)
		},
		list: func(ctx context.Context, prefix, after string, most int) (*http.Request, error) {
			query := url.Values{"prefix": {prefix}, "maxResults": {strconv.Itoa(most)}, "fields": {"items(name,size,generation),nextPageToken"}}
			if after != "" {
				query.Set("pageToken", after)
			}
			return get(ctx, at, root, root, query)
		},
		page: gcsPage,
		sign: func(request *http.Request) error {
			// An object that is stored compressed comes as it is stored.
			request.Header.Set("Accept-Encoding", "gzip")
			return bear(request, tokens)
		},
		fault: func(_ http.Header, body []byte) string {
			var fault struct {
				Error struct {
					Errors []struct{ Reason string }
				}
			}
			if json.Unmarshal(body, &fault) != nil || len(fault.Error.Errors) == 0 {
				return ""
			}
			return fault.Error.Errors[0].Reason
		},
		moved: func(*outbound.Body) bool { return false },
	}, nil
}

// bear adds a token, if there are any.
func bear(request *http.Request, tokens oauth2.TokenSource) error {
	if tokens == nil {
		return nil
	}
	token, err := tokens.Token()
	if fault, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		status := fault.Response.StatusCode
		if status < 500 && status != http.StatusTooManyRequests {
			return refuse(artifacts.ErrCredentials, "the credentials are not taken: the server that gives tokens answered %d", status)
		}
		return fmt.Errorf("token: server answered %d", status)
	}
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("token: %w", urlError.Err)
	}
	if err != nil { // its text may quote what was sent
		return errors.New("token: it cannot be had")
	}
	token.SetAuthHeader(request)
	return nil
}

// googleTokens are those of a service account's key, or if they are our own
// those of the machine, or nil for none.
func (b *Buckets) googleTokens(ctx context.Context, settings map[string]string, own bool) (oauth2.TokenSource, error) {
	// Tokens outlive the request for which they are fetched first.
	ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &http.Client{Transport: b.http().Transport, Timeout: headerTimeout})
	key, variable := []byte(settings["GOOGLE_APPLICATION_CREDENTIALS_JSON"]), "GOOGLE_APPLICATION_CREDENTIALS_JSON"
	if path := settings["GOOGLE_APPLICATION_CREDENTIALS"]; len(key) == 0 && path != "" {
		variable = "GOOGLE_APPLICATION_CREDENTIALS"
		var err error
		if key, err = os.ReadFile(path); err != nil { //nolint:gosec // the operator names the file
			return nil, refuse(artifacts.ErrCredentials, "%s of the credentials names no file that can be read", variable)
		}
	}
	if len(key) > 0 {
		account, err := google.JWTConfigFromJSON(key, googleScope)
		if err != nil { // its text may quote the key
			return nil, refuse(artifacts.ErrCredentials, "%s of the credentials is not the key of a service account: expected the JSON that Google gives", variable)
		}
		return account.TokenSource(ctx), nil
	}
	if !own || !b.Machine {
		return nil, nil //nolint:nilnil // no credentials are fine: there are public buckets
	}
	return remembered(b, "gs", func() (oauth2.TokenSource, error) {
		return oauth2.ReuseTokenSource(nil, google.ComputeTokenSource("", googleScope)), nil
	})
}

func gcsPage(body []byte) (listed []contract.Object, after string, err error) {
	var page struct {
		Items []struct {
			Name       string
			Size       int64 `json:",string"`
			Generation string
		}
		Next string `json:"nextPageToken"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, "", errors.New("the answer is not a list of objects")
	}
	for _, o := range page.Items {
		listed = append(listed, contract.Object{Name: o.Name, Size: o.Size, Version: o.Generation})
	}
	return listed, page.Next, nil
}

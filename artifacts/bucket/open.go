package bucket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/outbound"
)

// Credentials finds secrets by the id that a command or a contract names;
// *credentials.Finder is one. What it returns as an error is returned as it is.
type Credentials interface {
	Find(ctx context.Context, id string) (credentials.Secret, error)
}

// Buckets opens buckets. The zero value reads public ones. It must not be copied
// after its first use.
type Buckets struct {
	Environment map[string]string // used when no credentials are named: the variables that the tools of the stores read
	Machine     bool              // whether the identity that the machine has from its cloud is used when Environment has no credentials
	Credentials Credentials       // by id; nil: there are none
	Transport   *http.Transport   // nil: one with a connect and a response-header timeout

	once   sync.Once
	client *http.Client

	mu    sync.Mutex
	known map[string]any // credentials of the environment and the machine, by scheme; they are fetched rarely
}

// Source names a bucket, and an object or a prefix in it.
type Source struct {
	URL           string // s3://bucket/key, gs://bucket/object or azblob://container/blob
	Region        string // of an S3 bucket, if it is known
	CredentialsID string // "": Environment
}

// Variables are what is read of the environment.
func Variables() []string {
	return []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
		"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS_JSON", "STORAGE_EMULATOR_HOST",
		"AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING",
		"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
	}
}

// Members are what is read of the credentials of an id: the variables, but for
// those that name a file of the machine, which is not for whoever writes secrets
// to give away.
func Members() []string {
	return slices.DeleteFunc(Variables(), func(name string) bool {
		return name == "GOOGLE_APPLICATION_CREDENTIALS" || name == "AZURE_FEDERATED_TOKEN_FILE"
	})
}

// Schemes are those of the urls that name an object in a bucket.
func Schemes() []string { return []string{"s3", "gs", "azblob"} }

var (
	plainCode  = regexp.MustCompile(`^[A-Za-z]{1,64}$`)
	regionName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

	// What settings each kind of store has.
	of = map[string]*regexp.Regexp{
		"s3":     regexp.MustCompile(`^AWS_`),
		"gs":     regexp.MustCompile(`^(GOOGLE|STORAGE)_`),
		"azblob": regexp.MustCompile(`^AZURE_`),
	}
	expected = map[string]string{
		"s3":     "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
		"gs":     "GOOGLE_APPLICATION_CREDENTIALS_JSON",
		"azblob": "AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or AZURE_STORAGE_CONNECTION_STRING",
	}

	// What each kind of store allows as the name of a bucket. Some of it becomes
	// the name of a host, so this is also what keeps a request with the store.
	names = map[string]*regexp.Regexp{
		"s3":     regexp.MustCompile(`^[a-z0-9](-?\.?[a-z0-9]|-)*[a-z0-9]$`),
		"gs":     regexp.MustCompile(`^[a-z0-9][-a-z0-9_.]*[a-z0-9]$`),
		"azblob": regexp.MustCompile(`^(\$root|\$web|[a-z0-9](-?[a-z0-9])*)$`),
	}
)

// Read implements artifacts.Buckets.
func (b *Buckets) Read(ctx context.Context, url, credentialsID string) (body io.ReadCloser, size int64, err error) {
	bucket, err := b.Open(ctx, Source{URL: url, CredentialsID: credentialsID})
	if err != nil {
		return nil, 0, err
	}
	if strings.Trim(bucket.Key, "/") == "" {
		return nil, 0, refuse(fs.ErrInvalid, "url names no object: expected %s/name", bucket.name)
	}
	return bucket.Read(ctx, contract.Object{Name: bucket.Key})
}

// Resume implements artifacts.Buckets.
func (b *Buckets) Resume(ctx context.Context, url, credentialsID, version string, from int64) (*outbound.Body, error) {
	bucket, err := b.Open(ctx, Source{URL: url, CredentialsID: credentialsID})
	if err != nil {
		return nil, err
	}
	body, err := bucket.resume(ctx, contract.Object{Name: bucket.Key, Version: version}, from)
	if errors.Is(err, contract.ErrChanged) || errors.Is(err, fs.ErrNotExist) { // a generation that was replaced is not there
		err = fmt.Errorf("%w: %w", artifacts.ErrChanged, errors.New(err.Error()))
	}
	return body, err
}

// Open is the bucket of the source. Nothing is asked of the store yet. What
// cannot be used is a *Refusal.
func (b *Buckets) Open(ctx context.Context, from Source) (*Bucket, error) {
	scheme, name, key, err := parse(from)
	if err != nil {
		return nil, err
	}
	settings, err := b.settings(ctx, scheme, from.CredentialsID)
	if err != nil {
		return nil, err
	}
	d, err := b.dialect(ctx, scheme, name, from, settings)
	about := scheme + "://" + name
	if from.CredentialsID != "" {
		about += fmt.Sprintf(" with the credentials %q", from.CredentialsID)
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return nil, refuse(refusal.Kind, "%s: %s", about, refusal.Why)
	}
	if err != nil {
		return nil, err
	}
	return &Bucket{Key: key, name: about, dialect: d, client: b.http(), stall: stallTimeout}, nil
}

func (b *Buckets) dialect(ctx context.Context, scheme, name string, from Source, settings map[string]string) (dialect, error) {
	own := from.CredentialsID == ""
	switch scheme {
	case "s3":
		return b.s3(name, from.Region, settings, own)
	case "gs":
		return b.gcs(ctx, name, settings, own)
	default:
		return b.azure(ctx, name, settings)
	}
}

// parse takes a url apart. Its errors do not quote it.
func parse(from Source) (scheme, name, key string, err error) {
	u, err := contract.ParseURL(from.URL, Schemes()...)
	if err != nil {
		return "", "", "", refuse(fs.ErrInvalid, "%s", err)
	}
	key = strings.TrimPrefix(u.Path, "/")
	switch {
	case u.Opaque != "" || u.Port() != "" || len(u.Host) < 3 || len(u.Host) > 63 || !names[u.Scheme].MatchString(u.Host):
		return "", "", "", refuse(fs.ErrInvalid, "url names no bucket: expected %s://bucket/name, a bucket of 3 to 63 lower-case letters, digits and what else the store allows", u.Scheme)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", "", "", refuse(fs.ErrInvalid, "url has a query or a fragment: expected %s://bucket/name, with %%3F for a question mark and %%23 for a hash in the name", u.Scheme)
	case len(key) > 1024 || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || r == '�' || r == '\\' }):
		return "", "", "", refuse(fs.ErrInvalid, "url names no object: expected 1024 bytes of text at most, without control characters and backslashes")
	case slices.ContainsFunc(strings.Split(key, "/"), func(part string) bool { return part == "." || part == ".." }):
		return "", "", "", refuse(fs.ErrInvalid, `url has a part "." or "..": expected the name of an object as it is`)
	case from.Region != "" && !regionName.MatchString(from.Region):
		return "", "", "", refuse(fs.ErrInvalid, "region is not one: expected lower-case letters, digits and dashes, such as eu-central-1")
	}
	return u.Scheme, u.Host, key, nil
}

// settings are those of the id, and those of the environment without one: never
// both, so that credentials are sent nowhere but where their owner says.
func (b *Buckets) settings(ctx context.Context, scheme, id string) (map[string]string, error) {
	if id == "" {
		return b.Environment, nil
	}
	if b.Credentials == nil {
		return nil, refuse(artifacts.ErrCredentials, "there are no credentials %q: none are set up here", id)
	}
	secret, err := b.Credentials.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for _, name := range Members() {
		if value := secret.Settings[name]; value != "" && of[scheme].MatchString(name) {
			settings[name] = value
		}
	}
	if len(settings) == 0 {
		return nil, refuse(artifacts.ErrCredentials, "credentials %q hold nothing for %s: expected %s", id, scheme, expected[scheme])
	}
	return settings, nil
}

// http is the client of all requests. It follows no redirect: a signature holds
// for one place.
func (b *Buckets) http() *http.Client {
	b.once.Do(func() {
		transport := b.Transport
		if transport == nil {
			dialer := &net.Dialer{Timeout: connectTimeout}
			transport = &http.Transport{
				Proxy:                 http.ProxyFromEnvironment,
				DialContext:           dialer.DialContext,
				TLSHandshakeTimeout:   connectTimeout,
				ResponseHeaderTimeout: headerTimeout,
				IdleConnTimeout:       time.Minute,
				MaxIdleConnsPerHost:   16,
				ForceAttemptHTTP2:     true,
			}
		}
		b.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	})
	return b.client
}

// remembered is what make returned for that name before, or returns now.
func remembered[T any](b *Buckets, name string, make func() (T, error)) (T, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if value, ok := b.known[name].(T); ok {
		return value, nil
	}
	value, err := make()
	if err == nil {
		if b.known == nil {
			b.known = map[string]any{}
		}
		b.known[name] = value
	}
	return value, err
}

// endpoint is the url of a variable, or the one of the store itself.
func endpoint(settings map[string]string, other string, variables ...string) (*url.URL, error) {
	for _, variable := range variables {
		text := settings[variable]
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, refuse(artifacts.ErrCredentials, "%s of the credentials is not an endpoint: expected http://host:port or https://host", variable)
		}
		u.Path = strings.TrimSuffix(u.Path, "/")
		return u, nil
	}
	return url.Parse(other)
}

// get is a request for a path below the endpoint, escaped as escape does it.
func get(ctx context.Context, at *url.URL, path string, escaped string, query url.Values) (*http.Request, error) {
	u := *at
	u.Path, u.RawPath = cmp.Or(at.Path+path, "/"), at.EscapedPath()+escaped
	u.RawQuery = query.Encode()
	return http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
}

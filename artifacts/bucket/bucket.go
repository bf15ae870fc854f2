// Package bucket reads objects of S3 and what speaks like it, of Google Cloud
// Storage and of Azure Blob Storage. Start reading at Buckets.Open; what each
// kind of store wants of a request is in s3.go, gcs.go and azure.go.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/outbound"
)

const (
	connectTimeout = 10 * time.Second
	headerTimeout  = 30 * time.Second
	stallTimeout   = time.Minute // without a single byte of an answer
	maxPageBytes   = 32 << 20    // of one page of a list: 1000 names of 1 KiB, escaped
	maxFaultBytes  = 64 << 10    // of an answer that is an error
	maxPage        = 1000        // objects of one page
)

// Refusal is why a bucket, an object or credentials cannot be used, however
// often it is tried. Kind is fs.ErrNotExist, fs.ErrPermission, fs.ErrInvalid for
// a url, artifacts.ErrCredentials, or contract.ErrChanged. Every other error of this
// package may pass.
type Refusal struct {
	Why  string // for people; holds no secret
	Kind error
}

// Error implements error.
func (r *Refusal) Error() string { return r.Why }

// Unwrap makes errors.Is find the kind.
func (r *Refusal) Unwrap() error { return r.Kind }

func refuse(kind error, format string, args ...any) error {
	return &Refusal{Why: fmt.Sprintf(format, args...), Kind: kind}
}

// Bucket is a bucket, or a container as Azure calls it, whose objects are read.
// It is a contract.Store, and safe for use by several goroutines.
type Bucket struct {
	Key string // what the url names in the bucket: an object, a prefix, or ""

	name    string // for messages: s3://models, and with which credentials
	dialect dialect
	client  *http.Client
	stall   time.Duration
}

// dialect is how one kind of store wants to be asked. Requests are not signed.
type dialect struct {
	object func(ctx context.Context, o contract.Object) (*http.Request, error)
	list   func(ctx context.Context, prefix, after string, most int) (*http.Request, error)
	page   func(body []byte) (listed []contract.Object, after string, err error) // after is "" at the end
	sign   func(request *http.Request) error
	fault  func(header http.Header, body []byte) string // the store's own code
	moved  func(answer *outbound.Body) bool             // whether it was asked in the wrong place, and now knows better
}

// read is a page of a list, whose objects have names and sizes.
func (d dialect) read(body []byte) (listed []contract.Object, after string, err error) {
	listed, after, err = d.page(body)
	for _, o := range listed {
		if o.Name == "" || o.Size < 0 {
			return nil, "", errors.New("the answer is not a list of objects: one has no name, or less than no bytes")
		}
	}
	return listed, after, err
}

// Read opens an object, the version that was listed or else the newest one, and
// says how many bytes it has, -1 if the store does not say.
func (b *Bucket) Read(ctx context.Context, o contract.Object) (body io.ReadCloser, size int64, err error) {
	answer, err := b.ask(ctx, func() (*http.Request, error) { return b.dialect.object(ctx, o) }, "object "+o.Name+" of "+b.name)
	if err != nil {
		return nil, 0, err
	}
	return answer, answer.Size, nil
}

// resume is the rest of a version of an object, from an offset on.
func (b *Bucket) resume(ctx context.Context, o contract.Object, from int64) (*outbound.Body, error) {
	answer, err := b.ask(ctx, func() (*http.Request, error) {
		request, err := b.dialect.object(ctx, o)
		if err == nil {
			request.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		}
		return request, err
	}, "object "+o.Name+" of "+b.name)
	if err == nil && answer.Status != http.StatusPartialContent {
		return nil, errors.Join(contract.ErrChanged, answer.Close())
	}
	return answer, err
}

// Get implements contract.Store.
func (b *Bucket) Get(ctx context.Context, o contract.Object) (io.ReadCloser, error) {
	body, _, err := b.Read(ctx, o)
	return body, err
}

// List implements contract.Store. Objects carry a version where the store tells
// versions apart: a generation, or an entity tag.
func (b *Bucket) List(ctx context.Context, prefix string, most int) ([]contract.Object, error) {
	var all []contract.Object
	for after := ""; ; {
		listed, next, err := b.page(ctx, prefix, after, min(maxPage, most-len(all)))
		if err != nil {
			return nil, err
		}
		all = append(all, listed...)
		switch {
		case next == "" || len(all) >= most:
			return all[:min(len(all), most)], nil
		case next == after:
			return nil, fmt.Errorf("list %s: the server repeats itself", b.name)
		}
		after = next
	}
}

func (b *Bucket) page(ctx context.Context, prefix, after string, most int) (listed []contract.Object, next string, err error) {
	body, err := b.ask(ctx, func() (*http.Request, error) { return b.dialect.list(ctx, prefix, after, most) }, b.name)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxPageBytes+1))
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("list %s: %w", b.name, err)
	case len(text) > maxPageBytes:
		return nil, "", fmt.Errorf("list %s: a page has more than %d bytes", b.name, maxPageBytes)
	}
	listed, next, err = b.dialect.read(text)
	if err != nil {
		return nil, "", fmt.Errorf("list %s: %w", b.name, err)
	}
	return listed, next, nil
}

// ask sends the request, once more if it was sent to the wrong place, and
// returns a 200 answer, or a 206 one to a request for a part. about is what it is about.
func (b *Bucket) ask(ctx context.Context, build func() (*http.Request, error), about string) (*outbound.Body, error) {
	for again := true; ; again = false {
		request, err := build()
		if err != nil {
			return nil, fmt.Errorf("%s: request cannot be made", about)
		}
		if err := b.dialect.sign(request); err != nil {
			if ended := context.Cause(ctx); ended != nil {
				err = ended
			}
			return nil, fmt.Errorf("%s: %w", about, err)
		}
		answer, err := outbound.Do(b.client, request, b.stall)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", about, err)
		}
		if answer.Status == http.StatusOK || answer.Status == http.StatusPartialContent && request.Header.Get("Range") != "" {
			return answer, nil
		}
		text, _ := io.ReadAll(io.LimitReader(answer, maxFaultBytes))
		_ = answer.Close()
		if again && b.dialect.moved(answer) {
			continue
		}
		return nil, refused(answer.Status, b.dialect.fault(answer.Header, text), about)
	}
}

// refused is what the status of an answer and the store's code mean.
func refused(status int, code, about string) error {
	said := fmt.Sprintf("server answered %d", status)
	if plainCode.MatchString(code) { // anything else might be an echo of what was sent
		said += " " + code
	}
	switch {
	case code == "RequestTimeTooSkewed" || code == "ExpiredToken": // a clock, a token that is renewed
		return fmt.Errorf("%s: %s", about, said)
	case status == http.StatusNotFound || status == http.StatusGone:
		return refuse(fs.ErrNotExist, "%s is not there: %s", about, said)
	case status == http.StatusUnauthorized || status == http.StatusForbidden,
		code == "BlobArchived", code == "InvalidObjectState":
		return refuse(fs.ErrPermission, "%s may not be read: %s", about, said)
	case status == http.StatusPreconditionFailed || status == http.StatusRequestedRangeNotSatisfiable:
		return refuse(contract.ErrChanged, "%s is not what was listed any more: %s", about, said)
	default:
		return fmt.Errorf("%s: %s", about, said)
	}
}

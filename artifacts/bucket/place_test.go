package bucket

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/artifacts/bucket/buckettest"
)

// place is a server of one kind of store, and what reads from it.
type place struct{ *buckettest.Place }

// places are all kinds of stores, started when they are asked for.
var places = map[string]func(tb testing.TB) place{"s3": startS3, "gs": startGCS, "azblob": startAzure}

func startS3(tb testing.TB) place    { tb.Helper(); return place{buckettest.S3(tb)} }
func startGCS(tb testing.TB) place   { tb.Helper(); return place{buckettest.GCS(tb)} }
func startAzure(tb testing.TB) place { tb.Helper(); return place{buckettest.Azure(tb)} }

// buckets have access, unless settings spoil it.
func (p place) buckets(spoil map[string]string) *Buckets {
	environment := p.Settings(p.Server.URL)
	maps.Copy(environment, spoil)
	return &Buckets{Environment: environment}
}

// open is the bucket of a url, with access.
func (p place) open(tb testing.TB, name string) *Bucket {
	tb.Helper()
	b, err := p.buckets(nil).Open(tb.Context(), Source{URL: p.URL(name)})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// isList tells the requests that list from those that read.
func isList(r *http.Request) bool {
	query := r.URL.Query()
	return query.Has("list-type") || query.Get("comp") == "list" || strings.HasSuffix(r.URL.Path, "/o")
}

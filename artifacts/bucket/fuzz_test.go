package bucket

import (
	"net/url"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/contract"
)

// Whatever the url, what is made of it stays with the store and the bucket.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"s3://models/churn/model.ubj", "gs://models/ä%20b", "azblob://$web/x", "s3://models.team/a//b", "s3://models/../x", "s3://models/%2e%2e/x",
		"s3://a@b/c", "s3://models:80/x", "gs://models%2f.evil/x", "azblob://models/x?sig=1", "s3://models/%3F%23", "s3:models/x", "s3:///x",
	} {
		f.Add(text, "eu-central-1")
	}
	f.Fuzz(func(t *testing.T, text, region string) {
		scheme, name, key, err := parse(Source{URL: text, Region: region})
		if err != nil {
			return
		}
		if !strings.HasPrefix(strings.ToLower(text), scheme+"://"+name) || strings.ContainsAny(name, "/:@?#%\\ ") {
			t.Errorf("%q: got the bucket %q of %q", text, name, scheme)
		}
		if strings.HasPrefix(key, "../") || strings.Contains(key, "/../") || strings.ContainsAny(key, "\r\n\x00") {
			t.Errorf("%q: got the key %q", text, key)
		}
		if scheme != "s3" || region == "" {
			return
		}
		base, path := amazon(name, region)
		request, err := get(t.Context(), base, path+"/"+key, (&url.URL{Path: path + "/" + key}).EscapedPath(), nil)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		host := request.URL.Hostname()
		if !strings.HasSuffix(host, ".amazonaws.com") && !strings.HasSuffix(host, ".amazonaws.com.cn") || request.URL.Path != path+"/"+key {
			t.Errorf("%q in %q: asks %s for %q", text, region, host, request.URL.Path)
		}
	})
}

// Lists are what a server says: none makes us panic, and what has no name or less
// than no bytes is no object.
func FuzzPages(f *testing.F) {
	f.Add([]byte(`<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a%20b</Key><Size>5</Size><ETag>"1"</ETag></Contents></ListBucketResult>`))
	f.Add([]byte(`{"items":[{"name":"a","size":"5","generation":"7"}],"nextPageToken":"b"}`))
	f.Add([]byte(`<EnumerationResults><Blobs><Blob><Name Encoded="true">a%20b</Name><Properties><Etag>0x8</Etag><Content-Length>5</Content-Length></Properties></Blob></Blobs><NextMarker/></EnumerationResults>`))
	f.Add([]byte(`<ListBucketResult><Contents><Key>a</Key><Size>-5</Size></Contents></ListBucketResult>`))
	f.Add([]byte(`{"items":[{"size":"5"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, page := range map[string]func([]byte) ([]contract.Object, string, error){"s3": s3Page, "gs": gcsPage, "azblob": azurePage} {
			listed, after, err := dialect{page: page}.read(body)
			if err != nil && (len(listed) > 0 || after != "") {
				t.Errorf("%s: got %v and %q with the error %v", name, listed, after, err)
			}
			for _, o := range listed {
				if o.Size < 0 || o.Name == "" {
					t.Errorf("%s: got %d bytes of %q", name, o.Size, o.Name)
				}
			}
		}
	})
}

package bucket

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/outbound"
)

const (
	anyRegion   = "us-east-1" // knows of all buckets, and says where they are
	noBytes     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	metadataFor = 2 * time.Second // how long the machine may take to say who it is
)

// s3 speaks to S3, or to the server that AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL
// names. There the bucket stands in the path, at Amazon in the host.
func (b *Buckets) s3(bucket, region string, settings map[string]string, own bool) (dialect, error) {
	custom, err := endpoint(settings, "", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
	if err != nil {
		return dialect{}, err
	}
	signing, err := b.s3Credentials(settings, own)
	if err != nil {
		return dialect{}, err
	}
	for _, other := range []string{settings["AWS_REGION"], settings["AWS_DEFAULT_REGION"], anyRegion} {
		if region == "" {
			region = other
		}
	}
	if !regionName.MatchString(region) {
		return dialect{}, refuse(artifacts.ErrCredentials, "AWS_REGION of the credentials is not a region: expected one such as eu-central-1")
	}
	var at atomic.Pointer[string]
	at.Store(&region)
	request := func(ctx context.Context, key string, query url.Values) (*http.Request, error) {
		base, path := amazon(bucket, *at.Load())
		if custom.Host != "" {
			base, path = custom, "/"+bucket
		}
		path += "/" + key
		return get(ctx, base, path, s3utils.EncodePath(path), query)
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
			query := url.Values{"list-type": {"2"}, "prefix": {prefix}, "max-keys": {strconv.Itoa(most)}, "encoding-type": {"url"}}
			if after != "" {
				query.Set("continuation-token", after)
			}
			return request(ctx, "", query)
		},
		page: s3Page,
		sign: func(request *http.Request) error {
			request.Header.Set("Accept-Encoding", "identity")
			if signing == nil {
				return nil
			}
			value, err := signing.GetWithContext(&credentials.CredContext{Client: &http.Client{Transport: b.http().Transport, Timeout: metadataFor}})
			if err != nil {
				return errors.New("the identity of this machine cannot be had from its cloud")
			}
			if value.AccessKeyID == "" {
				return nil
			}
			request.Header.Set("X-Amz-Content-Sha256", noBytes)
			*request = *signer.SignV4(*request, value.AccessKeyID, value.SecretAccessKey, value.SessionToken, *at.Load())
			return nil
		},
		fault: func(_ http.Header, body []byte) string {
			var fault struct {
				Code string `xml:"Code"`
			}
			_ = xml.Unmarshal(body, &fault)
			return fault.Code
		},
		moved: func(answer *outbound.Body) bool {
			told := answer.Header.Get("X-Amz-Bucket-Region")
			if answer.Status == http.StatusNotFound || told == *at.Load() || !regionName.MatchString(told) {
				return false
			}
			at.Store(&told)
			return true
		},
	}, nil
}

// amazon is where a bucket is. One with a dot in its name stands in the path,
// because no certificate holds for it as a host.
func amazon(bucket, region string) (base *url.URL, path string) {
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	host := "s3." + region + "." + domain
	if strings.Contains(bucket, ".") {
		return &url.URL{Scheme: "https", Host: host}, "/" + bucket
	}
	return &url.URL{Scheme: "https", Host: bucket + "." + host}, ""
}

// s3Credentials are those of the settings, or if they are our own those of the
// machine, or nil for none.
func (b *Buckets) s3Credentials(settings map[string]string, own bool) (*credentials.Credentials, error) {
	id, secret := settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"]
	switch {
	case (id == "") != (secret == ""):
		return nil, refuse(artifacts.ErrCredentials, "the credentials have one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: expected both or none")
	case id != "":
		return credentials.NewStaticV4(id, secret, settings["AWS_SESSION_TOKEN"]), nil
	case own && b.Machine:
		return remembered(b, "s3", func() (*credentials.Credentials, error) {
			return credentials.New(&credentials.IAM{Region: settings["AWS_REGION"]}), nil
		})
	}
	return nil, nil //nolint:nilnil // no credentials are fine: there are public buckets
}

func s3Page(body []byte) (listed []contract.Object, after string, err error) {
	var page struct {
		XMLName      xml.Name `xml:"ListBucketResult"`
		EncodingType string
		IsTruncated  bool
		Next         string `xml:"NextContinuationToken"`
		Contents     []struct {
			Key  string
			Size int64
			ETag string
		}
	}
	if err := xml.Unmarshal(body, &page); err != nil {
		return nil, "", errors.New("the answer is not a list of objects")
	}
	for _, o := range page.Contents {
		if page.EncodingType == "url" {
			if o.Key, err = url.QueryUnescape(o.Key); err != nil {
				return nil, "", errors.New("the answer is not a list of objects: a key is not escaped")
			}
		}
		listed = append(listed, contract.Object{Name: o.Key, Size: o.Size, Version: o.ETag})
	}
	if page.IsTruncated && page.Next == "" {
		return nil, "", errors.New("the answer is cut and does not say how to go on")
	}
	if !page.IsTruncated {
		page.Next = ""
	}
	return listed, page.Next, nil
}

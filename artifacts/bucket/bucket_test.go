package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/artifacts"
	"github.com/slipway-ml/slipway/contract"
)

// read is the whole object of a url.
func read(ctx context.Context, b *Buckets, url string) (content string, size int64, err error) {
	body, size, err := b.Read(ctx, url, "")
	if err != nil {
		return "", 0, err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), size, err
}

func TestRead(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			for _, name := range []string{"model.ubj", "a/b/model.ubj", "ä b/100%+1~(x)&=,;:@$'!*.ubj"} {
				p.Put(name, []byte("content of "+name))
				escaped := strings.NewReplacer("%", "%25", " ", "%20").Replace(name)
				got, size, err := read(t.Context(), p.buckets(nil), p.URL(escaped))
				if want := "content of " + name; got != want || size != int64(len(want)) || err != nil {
					t.Errorf("%s: got %q of %d bytes, %v, want %q", name, got, size, err, want)
				}
			}
		})
	}
}

func TestListIsWholeAndBounded(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			var want []string
			for i := range 2*maxPage + 50 {
				name := fmt.Sprintf("many/%04d &+.json", i)
				p.Put(name, []byte("12345"))
				want = append(want, name)
			}
			p.Put("manyother", nil)
			b := p.open(t, "many/")
			listed, err := b.List(t.Context(), b.Key, 10_000)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, o := range listed {
				names = append(names, o.Name)
				if o.Size != 5 || o.Version == "" {
					t.Fatalf("got %+v, want 5 bytes and a version", o)
				}
			}
			if diff := cmp.Diff(want, names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			for _, most := range []int{1, maxPage, maxPage + 1} {
				if listed, err = b.List(t.Context(), b.Key, most); len(listed) != most || err != nil {
					t.Errorf("at most %d: got %d, %v", most, len(listed), err)
				}
			}
			if listed, err = b.List(t.Context(), "nothing/", 10); len(listed) != 0 || err != nil {
				t.Errorf("below nothing: got %v, %v", listed, err)
			}
		})
	}
}

// A contract below a prefix is read as it was listed, or not at all.
func TestContractBelowAPrefix(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			reference := `{"reference":{"blob":{"url":"s3://b/model"}}}`
			p.Put("churn/model/reference.json", []byte(reference))
			p.Put("churn/metadata.json", []byte(`{"problemType":"classification"}`))
			p.Put("churn/explainer/reference.json", []byte(reference))
			b := p.open(t, "churn/")
			files, err := contract.OpenPrefix(t.Context(), b, b.Key)
			if err != nil {
				t.Fatal(err)
			}
			got, err := contract.Read(t.Context(), files, "")
			if err != nil || got.Model.Reference.Blob.URL != "s3://b/model" {
				t.Fatalf("got %+v, %v", got, err)
			}
			p.Put("churn/metadata.json", []byte(`{"problemType":"regression...."}`))
			if _, err = fs.ReadFile(files, "metadata.json"); !errors.Is(err, contract.ErrChanged) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("replaced file: got %v, want that it has changed or is gone", err)
			}
			if text, err := fs.ReadFile(files, "model/reference.json"); string(text) != reference {
				t.Errorf("file beside it: got %q, %v", text, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			p.Put("model.ubj", []byte("x"))
			other := strings.Replace(p.URL("model.ubj"), "//models/", "//others/", 1)
			for _, test := range []struct {
				name string
				url  string
				take map[string]string
				kind error
			}{
				{"no object", p.URL("gone.ubj"), nil, fs.ErrNotExist},
				{"no bucket", other, nil, fs.ErrNotExist},
				{"the bucket alone", p.URL(""), nil, fs.ErrInvalid},
				{"a query", p.URL("model.ubj?versionId=1"), nil, fs.ErrInvalid},
				{"a signature", p.URL("model.ubj?X-Amz-Signature=s3cret"), nil, fs.ErrInvalid},
				{"a user", p.Scheme + "://ann:s3cret@models/model.ubj", nil, fs.ErrInvalid},
				{"a way up", p.URL("../others/model.ubj"), nil, fs.ErrInvalid},
				{"an escaped way up", p.URL("%2e%2e/model.ubj"), nil, fs.ErrInvalid},
				{"a port", p.Scheme + "://models:80/model.ubj", nil, fs.ErrInvalid},
				{"a host", p.Scheme + "://evil.example.%2f/model.ubj", nil, fs.ErrInvalid},
				{"capitals", p.Scheme + "://Models/model.ubj", nil, fs.ErrInvalid},
				{"a control character", p.URL("model%0d%0a.ubj"), nil, fs.ErrInvalid},
			} {
				_, _, err := read(t.Context(), p.buckets(test.take), test.url)
				refusal, ok := errors.AsType[*Refusal](err)
				if !ok || !errors.Is(err, test.kind) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("%s: got %v, want a refusal of kind %v", test.name, err, test.kind)
				} else if refusal.Why == "" {
					t.Errorf("%s: it does not say why", test.name)
				}
			}
			if _, _, err := read(t.Context(), p.buckets(p.Wrong), p.URL("model.ubj")); !errors.Is(err, fs.ErrPermission) && !errors.Is(err, artifacts.ErrCredentials) {
				t.Errorf("wrong credentials: got %v, want a refusal", err)
			}
		})
	}
}

func TestBucketThatListsButDoesNotRead(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			p.Put("churn/metadata.json", []byte(`{}`))
			p.Answer(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "metadata.json") {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				p.Serve(w, r)
			})
			b := p.open(t, "churn/")
			files, err := contract.OpenPrefix(t.Context(), b, b.Key)
			if err != nil {
				t.Fatal(err)
			}
			_, err = fs.ReadFile(files, "metadata.json")
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "may not be read") {
				t.Errorf("got %v, want that it may not be read", err)
			}
		})
	}
}

func TestTroubleMayPass(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			p.Put("model.ubj", []byte(strings.Repeat("x", 1000)))
			for name, trouble := range map[string]http.HandlerFunc{
				"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
				"503": func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(503)
					fmt.Fprint(w, "<Error><Code>SlowDown</Code></Error>")
				},
				"429": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
				"a redirect": func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusTemporaryRedirect)
				},
				"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
				"dies midway": func(w http.ResponseWriter, r *http.Request) {
					if isList(r) {
						w.WriteHeader(500)
						return
					}
					w.Header().Set("Content-Length", "1000")
					fmt.Fprint(w, strings.Repeat("x", 700))
					w.(http.Flusher).Flush()
					panic(http.ErrAbortHandler)
				},
			} {
				p.Answer(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/token") {
						p.Serve(w, r)
						return
					}
					trouble(w, r)
				})
				_, _, err := read(t.Context(), p.buckets(nil), p.URL("model.ubj"))
				if _, final := errors.AsType[*Refusal](err); err == nil || final {
					t.Errorf("%s: got %v, want an error that may pass", name, err)
				}
				b := p.open(t, "")
				_, err = b.List(t.Context(), "", 10)
				if _, final := errors.AsType[*Refusal](err); err == nil || final {
					t.Errorf("list, %s: got %v, want an error that may pass", name, err)
				}
			}
		})
	}
}

func TestAnswersThatAreNotLists(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			for name, answer := range map[string]string{
				"a page":     "<html>sign in</html>",
				"nothing":    "",
				"too much":   strings.Repeat(" ", maxPageBytes+1),
				"goes round": map[string]string{"s3": "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>1</NextContinuationToken></ListBucketResult>", "gs": `{"nextPageToken":"1"}`, "azblob": "<EnumerationResults><NextMarker>1</NextMarker></EnumerationResults>"}[p.Scheme],
			} {
				p.Answer(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/token") {
						p.Serve(w, r)
						return
					}
					_, _ = io.WriteString(w, answer)
				})
				if listed, err := p.open(t, "").List(t.Context(), "", 10); err == nil {
					t.Errorf("%s: got %v, want an error", name, listed)
				}
			}
		})
	}
}

// silent answers with a first part of the body, then nothing until the client has gone.
func silent(p place) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			p.Serve(w, r)
			return
		}
		fmt.Fprint(w, "first")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

func TestReadCanBeCancelled(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			p.Answer(silent(p))
			ctx, cancel := context.WithCancelCause(t.Context())
			body, _, err := p.buckets(nil).Read(ctx, p.URL("model.ubj"), "")
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if _, err = io.ReadFull(body, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			cancel(errors.New("fence moved"))
			if _, err = io.ReadAll(body); err == nil || err.Error() != "fence moved" {
				t.Errorf("got %v, want the cause", err)
			}
			if _, _, err = p.buckets(nil).Read(ctx, p.URL("model.ubj"), ""); err == nil || !strings.HasSuffix(err.Error(), "fence moved") {
				t.Errorf("got %v, want the cause", err)
			}
		})
	}
}

func TestSilentStoreIsLeft(t *testing.T) {
	t.Parallel()
	for scheme, start := range places {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			p.Answer(silent(p))
			b := p.open(t, "model.ubj")
			b.stall = 20 * time.Millisecond
			body, _, err := b.Read(t.Context(), contract.Object{Name: b.Key})
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if _, err = io.ReadAll(body); err == nil || err.Error() != "no bytes for 20ms" {
				t.Errorf("got %v, want that it was silent", err)
			}
		})
	}
}

func TestVariablesAreNamedOnce(t *testing.T) {
	t.Parallel()
	names := Variables()
	slices.Sort(names)
	if len(slices.Compact(names)) != len(Variables()) {
		t.Errorf("got %v, want each once", names)
	}
}

// A bucket in another region is asked there, also the next time.
func TestRegionIsLearnt(t *testing.T) {
	t.Parallel()
	p := startS3(t)
	p.Put("model.ubj", []byte("x"))
	p.Answer(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "/eu-west-3/s3/") {
			w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>")
			return
		}
		p.Serve(w, r)
	})
	b := p.open(t, "model.ubj")
	for range 2 {
		body, _, err := b.Read(t.Context(), contract.Object{Name: b.Key})
		if err != nil {
			t.Fatal(err)
		}
		_ = body.Close()
	}
	if got := p.Asked.Load(); got != 3 {
		t.Errorf("got %d requests, want 3", got)
	}
	p.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amz-Bucket-Region", "evil.example/")
		w.WriteHeader(http.StatusBadRequest)
	})
	if _, _, err := b.Read(t.Context(), contract.Object{Name: b.Key}); err == nil || p.Asked.Load() != 4 {
		t.Errorf("got %v after %d requests, want an error after 4", err, p.Asked.Load())
	}
}

func TestWhereAmazonHasABucket(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ bucket, region, want string }{
		{"models", "eu-central-1", "https://models.s3.eu-central-1.amazonaws.com"},
		{"models.team", "us-east-1", "https://s3.us-east-1.amazonaws.com/models.team"},
		{"models", "cn-north-1", "https://models.s3.cn-north-1.amazonaws.com.cn"},
	} {
		base, path := amazon(test.bucket, test.region)
		if got := base.String() + path; got != test.want {
			t.Errorf("%s in %s: got %s, want %s", test.bucket, test.region, got, test.want)
		}
	}
}

package oci_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/artifacts/oci"
	"github.com/slipway-ml/slipway/deployment"
)

// changed puts an answer of its own in place of those about a part of the path.
func changed(part string, change func(w http.ResponseWriter, r *http.Request, body []byte)) func(http.Handler) http.Handler {
	return func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, part) {
				inner.ServeHTTP(w, r)
				return
			}
			recorded, body := answer(inner, r)
			for name, values := range recorded.Header() {
				if name != "Content-Length" {
					w.Header()[name] = values
				}
			}
			change(w, r, body)
		})
	}
}

func status(code int) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, r *http.Request, _ []byte) {
		http.Error(w, r.Header.Get("Authorization")+planted, code)
	}
}

func header(name, value string) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, body []byte) {
		w.Header().Set(name, value)
		_, _ = w.Write(body)
	}
}

func TestRegistriesAreRefused(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("0", 64)
	other := func(w http.ResponseWriter, _ *http.Request, body []byte) { _, _ = w.Write(append(body, '\n')) }
	for _, c := range []struct {
		name   string
		image  string // after the host; "": /model:1
		around func(http.Handler) http.Handler
		code   deployment.Code
		text   string
	}{
		{"no such tag", "/model:2", nil, deployment.CodeImageNotFound, "registry answered 404: there is no such image"},
		{"no such repository", "/none:1", nil, deployment.CodeImageNotFound, "404"},
		{"no such digest", "/model@sha256:" + zeros, nil, deployment.CodeImageNotFound, "404"},
		{"not a name", "/UPPER:1", nil, deployment.CodeImageInvalid, "expected an image such as"},
		{"not a digest", "/model@md5:" + zeros[:32], nil, deployment.CodeImageInvalid, "expected an image such as"},
		{"another algorithm", "/model@sha512:" + zeros + zeros, nil, deployment.CodeImageInvalid, "expected one that begins with sha256:"},
		{"another platform", "/arm:1", nil, deployment.CodeImagePlatform, "image is for linux/arm64: expected one for linux/amd64"},
		{"other platforms", "/arms:1", nil, deployment.CodeImagePlatform, "image is for linux/arm/v7, linux/arm64: expected one for linux/amd64"},
		{"an index that is wrong of its image", "/lying:1", nil, deployment.CodeImagePlatform, "image is for linux/arm64"},
		{"forbidden", "", changed("/manifests/", status(403)), deployment.CodeImageForbidden, "registry answered 403: the image may not be read, or there is none; name credentials"},
		{"unauthorised", "", changed("/manifests/", status(401)), deployment.CodeImageForbidden, "401"},
		{"no registry", "", changed("/v2/", status(404)), deployment.CodeImageNotFound, "not a registry"},
		{"lies about a tag", "", changed("/manifests/", header("Docker-Content-Digest", "sha256:"+zeros)), deployment.CodeDigestMismatch, "sha256:" + zeros},
		{"lies about a digest", "/model@DIGEST", changed("/manifests/", other), deployment.CodeDigestMismatch, "it, or something before it, changes images"},
		{"lies about a configuration", "", changed("/blobs/", other), deployment.CodeDigestMismatch, "changes images"},
		{"lies about a part of an index", "/several:1", changed("/manifests/sha256:", other), deployment.CodeDigestMismatch, "changes images"},
		{"a page", "", changed("/manifests/", header("Content-Type", "text/html")), deployment.CodeImageInvalid, "not a container image: what answers is of another type"},
		{"two types", "", changed("/manifests/", header("Content-Type", "application/vnd.oci.image.index.v1+json")), deployment.CodeImageInvalid, "two types"},
		{"the first form", "", changed("/manifests/", header("Content-Type", "application/vnd.docker.distribution.manifest.v1+json")), deployment.CodeImageInvalid, "first form"},
		{"not JSON", "", changed("/manifests/", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Del("Docker-Content-Digest")
			_, _ = w.Write([]byte("{"))
		}), deployment.CodeImageInvalid, "not a container image"},
		{"a manifest without end", "", changed("/manifests/", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			for _, err := w.Write(make([]byte, 1<<16)); err == nil; _, err = w.Write(make([]byte, 1<<16)) {
			}
		}), deployment.CodeImageInvalid, "more than 4194304 bytes"},
		{"redirects without end", "", changed("/manifests/", func(w http.ResponseWriter, r *http.Request, _ []byte) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}), deployment.CodeImageInvalid, "redirects more than 5 times"},
		{"tokens at a private address", "", changed("/v2/", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://127.0.0.1:1/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}), deployment.CodeURLNotAllowed, "tokens at a private address"},
		{"tokens at the name of a private address", "", changed("/v2/", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://localhost:1/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}), deployment.CodeURLNotAllowed, "sends on to a private address"},
		{"tokens nowhere", "", changed("/v2/", func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("WWW-Authenticate", `Bearer service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}), deployment.CodeURLNotAllowed, "names no place that gives tokens"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, c.around)
			digest := s.push(t, "model:1", image(t, "linux/amd64"))
			s.push(t, "arm:1", image(t, "linux/arm64"))
			s.push(t, "arms:1", index(t, "linux/arm64", "linux/arm/v7", "linux/arm64"))
			s.push(t, "several:1", index(t, "linux/arm64", "linux/amd64"))
			s.push(t, "lying:1", lyingIndex(t))
			named := strings.Replace(c.image, "DIGEST", string(digest), 1)
			if named == "" {
				named = "/model:1"
			}
			r := &oci.Registries{AllowHTTP: true}
			_, err := r.Resolve(t.Context(), s.host+named, "")
			wantRejection(t, err, c.code, oci.AtImage, c.text)
		})
	}
}

// Plain http is spoken only where that is allowed, on this machine too.
func TestPlainHTTPIsRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t, nil)
	s.push(t, "model:1", image(t, "linux/amd64"))
	_, port, _ := net.SplitHostPort(s.host)
	for _, host := range []string{s.host, "localhost:" + port} {
		_, err := (&oci.Registries{}).Resolve(t.Context(), host+"/model:1", "")
		wantRejection(t, err, deployment.CodeURLNotAllowed, oci.AtImage, "expected one that speaks https")
	}
	server := httptest.NewTLSServer(http.RedirectHandler("http://"+s.host+"/v2/", http.StatusFound))
	t.Cleanup(server.Close)
	r := &oci.Registries{HTTP: server.Client().Transport.(*http.Transport), AllowPrivateRedirects: true}
	_, err := r.Resolve(t.Context(), strings.TrimPrefix(server.URL, "https://")+"/model:1", "")
	wantRejection(t, err, deployment.CodeURLNotAllowed, oci.AtImage, "expected one that speaks https")
}

func TestTroubleOfRegistriesMayPass(t *testing.T) {
	t.Parallel()
	silence := make(chan struct{})
	t.Cleanup(func() { close(silence) })
	silent := func(w http.ResponseWriter, r *http.Request, _ []byte) {
		w.(http.Flusher).Flush()
		select {
		case <-silence:
		case <-r.Context().Done():
		}
	}
	cut := func(head string) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, _ *http.Request, body []byte) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n%s", w.Header().Get("Content-Type"), head, body[:len(body)/2])
			_ = connection.Close()
		}
	}
	for _, c := range []struct {
		name   string
		around func(http.Handler) http.Handler
		text   string
	}{
		{"greets with 503", changed("/v2/", status(503)), "registry answered 503"},
		{"greets with 429", changed("/v2/", status(429)), "registry answered 429"},
		{"answers 500", changed("/manifests/", status(500)), "registry answered 500"},
		{"answers 502 for a part", changed("/blobs/", status(502)), "registry answered 502"},
		{"dies in the middle", changed("/manifests/", cut("Content-Length: 100000\r\n")), "unexpected EOF"},
		{"dies and says no length", changed("/manifests/", cut("Connection: close\r\n")), "connection ended"},
		{"is silent at once", changed("/v2/", silent), "no answer within 300ms"},
		{"is silent in the middle", changed("/blobs/", silent), "no answer within 300ms"},
		{"gives no token", changed("/v2/", func(w http.ResponseWriter, r *http.Request, _ []byte) {
			if r.URL.Query().Has("service") {
				_, _ = w.Write([]byte(`{"error":"` + planted + `"}`))
				return
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/v2/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		}), "gives none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, c.around)
			s.push(t, "model:1", image(t, "linux/amd64"))
			r := &oci.Registries{AllowHTTP: true}
			if strings.Contains(c.text, "300ms") {
				r.Patience = 300 * time.Millisecond
			}
			_, err := r.Resolve(t.Context(), s.host+"/model:1", "")
			wantTransient(t, err, c.text)
		})
	}
}

// What nobody listens at may be started again.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, allowed := range []bool{false, true} {
		_, err = (&oci.Registries{AllowHTTP: allowed}).Resolve(t.Context(), host+"/model:1", "")
		wantTransient(t, err, "connection refused")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = (&oci.Registries{}).Resolve(ended, host+"/model:1", "")
	wantTransient(t, err, "context canceled")
}

package buckettest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// What the server of S3 takes.
const (
	S3ID     = "AKIASLIPWAYTEST"
	S3Secret = "s3cret+of/the=bucket"
)

// S3 is gofakes3 behind a check of signatures, which it has not, and of the
// entity tag that a request asks for, which it ignores.
func S3(tb testing.TB) *Place {
	tb.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("models"); err != nil {
		tb.Fatal(err)
	}
	fake := gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0)).Server()
	return start(tb, &Place{
		Scheme: "s3", Secrets: []string{S3Secret, "wrong"},
		Settings: func(server string) map[string]string {
			return map[string]string{"AWS_ENDPOINT_URL_S3": server, "AWS_ACCESS_KEY_ID": S3ID, "AWS_SECRET_ACCESS_KEY": S3Secret, "AWS_REGION": "eu-central-1"}
		},
		Wrong: map[string]string{"AWS_SECRET_ACCESS_KEY": "wrong"},
		Put: func(name string, content []byte) {
			u := url.URL{Path: "/models/" + name}
			w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(tb.Context(), http.MethodPut, u.String(), bytes.NewReader(content))
			r.Header.Set("Content-Length", strconv.Itoa(len(content)))
			fake.ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				tb.Errorf("put %s: %d %s", name, w.Code, w.Body)
			}
		},
		Serve: func(w http.ResponseWriter, r *http.Request) {
			if why := s3Fault(r); why != "" {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprintf(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>%s</Message></Error>", why)
				return
			}
			if want := r.Header.Get("If-Match"); want != "" {
				head := httptest.NewRecorder()
				asked := r.Clone(r.Context())
				asked.Method = http.MethodHead
				fake.ServeHTTP(head, asked)
				if got := head.Header().Get("ETag"); head.Code == http.StatusOK && got != want {
					w.WriteHeader(http.StatusPreconditionFailed)
					fmt.Fprint(w, "<Error><Code>PreconditionFailed</Code></Error>")
					return
				}
			}
			fake.ServeHTTP(w, r)
		},
	})
}

// s3Fault is what is wrong with the signature of a request (Signature Version 4,
// written down here a second time).
func s3Fault(r *http.Request) string {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = value
	}
	id, scope, _ := strings.Cut(parts["Credential"], "/")
	if scheme != "AWS4-HMAC-SHA256" || id != S3ID {
		return "no such access key"
	}
	query := r.URL.Query()
	var members []string
	for name, values := range query {
		for _, value := range values {
			members = append(members, aws(name, true)+"="+aws(value, true))
		}
	}
	slices.Sort(members)
	lines := []string{r.Method, aws(r.URL.Path, false), strings.Join(members, "&")}
	for name := range strings.SplitSeq(parts["SignedHeaders"], ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		lines = append(lines, name+":"+value)
	}
	lines = append(lines, "", parts["SignedHeaders"], r.Header.Get("X-Amz-Content-Sha256"))
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	text := strings.Join([]string{scheme, r.Header.Get("X-Amz-Date"), scope, hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + S3Secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	if hex.EncodeToString(mac(key, text)) != parts["Signature"] {
		return "the signature is another one"
	}
	return ""
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// aws escapes all but unreserved characters, and slashes only if told so.
func aws(text string, slashes bool) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0, c == '/' && !slashes:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

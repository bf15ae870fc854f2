package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// minToken is how many characters a token has at least.
const minToken = 16

// ReadToken reads the token that requests have to carry from a file, which only
// its owner and, to read it, its group may have access to.
func ReadToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o037 != 0 {
		return "", fmt.Errorf("%s has the mode %v: expected a file that nobody but its owner, and to read it its group, has access to, such as by chmod 600", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	unusable := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(token) < minToken || strings.ContainsFunc(token, unusable) {
		return "", fmt.Errorf("%s: expected one token of %d or more printable characters without spaces", path, minToken)
	}
	return token, nil
}

// IsLoopback reports whether addr, as host:port, can be reached from this machine alone.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// admit refuses a request without the token. Where there is none, the request has
// to be meant for this machine: a page in a browser here can make it send requests
// to any name that leads here.
func (s *Server) admit(r *http.Request) error {
	if s.Token == "" {
		if !IsLoopback(r.Host) {
			return refuse(http.StatusForbidden, "Host", "host %q: expected this machine by localhost or its loopback address, as there is no token", r.Host)
		}
		return nil
	}
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	want, got := sha256.Sum256([]byte(s.Token)), sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return refuse(http.StatusUnauthorized, "Authorization", "expected the token of this gateway: Authorization: Bearer TOKEN")
	}
	return nil
}

// answerTime is how long an answer may take to be sent.
const answerTime = 30 * time.Second

// logged answers what handle returns as an error, and writes a line about each
// request: never its query, headers or body.
func (s *Server) logged(handle func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		body := &countedBody{ReadCloser: r.Body}
		r.Body = body
		answer := &answered{ResponseWriter: w, status: http.StatusOK}
		err := handle(answer, r)
		if err != nil {
			answerProblem(answer, r, err)
		}
		level, attributes := slog.LevelInfo, []slog.Attr{
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", answer.status),
			slog.Int64("bytes", body.size), slog.Duration("took", time.Since(began)), slog.String("from", r.RemoteAddr),
		}
		if err != nil {
			attributes = append(attributes, slog.Any("err", err))
		}
		if r.URL.Path == "/healthz" {
			level = slog.LevelDebug
		}
		s.Log.LogAttrs(r.Context(), level, "request", attributes...)
	})
}

// answered knows the status of an answer, and sees that it does not take for ever.
type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	a.status = status
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTime)) // best effort
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// countedBody counts what is read.
type countedBody struct {
	io.ReadCloser
	size int64
}

func (b *countedBody) Read(p []byte) (n int, err error) {
	n, err = b.ReadCloser.Read(p)
	b.size += int64(n)
	return n, err
}

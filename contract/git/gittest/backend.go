package gittest

import (
	"net/http"
	"net/http/cgi"
	"os"
	"testing"
)

// backend is what answers git requests: the server of these tests, in pure Go.
// `make interop` names git's own http-backend in the environment, and the same
// tests run against that.
func backend(tb testing.TB, s *Server) http.Handler {
	tb.Helper()
	program := os.Getenv("SLIPWAY_TEST_GIT_HTTP_BACKEND")
	if program == "" || s.own() {
		return s
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		service := r.URL.Query().Get("service")
		if service == "" && len(r.URL.Path) > len("/git-receive-pack") {
			service = r.URL.Path[len(r.URL.Path)-len("git-receive-pack"):]
		}
		if !s.allowed(w, r, service) {
			return
		}
		(&cgi.Handler{Path: program, Env: []string{
			"GIT_PROJECT_ROOT=" + s.Dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=tester",
			"GIT_CONFIG_COUNT=3", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
			"GIT_CONFIG_KEY_1=uploadpack.allowReachableSHA1InWant", "GIT_CONFIG_VALUE_1=" + map[bool]string{true: "false", false: "true"}[s.NoAny],
			"GIT_CONFIG_KEY_2=uploadpack.allowFilter", "GIT_CONFIG_VALUE_2=true",
		}}).ServeHTTP(w, r)
	})
}

// own reports whether a test needs something that only the server of these
// tests does: to fail, to be slow, to know less.
func (s *Server) own() bool {
	return s.NoShallow || s.Filters || s.Decline != "" || s.Received != nil || s.Answered != nil
}

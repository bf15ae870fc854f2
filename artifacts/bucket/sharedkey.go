package bucket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// sharedKey is the signature of a GET request for the account and its key, by the
// Shared Key scheme of Azure's blob service from 2015-02-21 on.
func sharedKey(request *http.Request, account string, key []byte) string {
	lines := []string{request.Method}
	for _, header := range []string{
		"Content-Encoding", "Content-Language", "Content-Length", "Content-Md5", "Content-Type",
		"Date", "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range",
	} {
		lines = append(lines, request.Header.Get(header))
	}
	for _, header := range slices.Sorted(maps.Keys(request.Header)) {
		if name := strings.ToLower(header); strings.HasPrefix(name, "x-ms-") {
			lines = append(lines, name+":"+strings.TrimSpace(request.Header.Get(header)))
		}
	}
	lines = append(lines, "/"+account+request.URL.EscapedPath())
	query := map[string][]string{}
	for name, values := range request.URL.Query() {
		query[strings.ToLower(name)] = append(query[strings.ToLower(name)], values...)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		slices.Sort(query[name])
		lines = append(lines, name+":"+strings.Join(query[name], ","))
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Join(lines, "\n")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

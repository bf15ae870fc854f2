package gateway

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// The headers that say what the SHA-256 of a body is (RFC 9530). Of a body that is
// sent as it is, both say the same.
var digestHeaders = [...]string{"Content-Digest", "Repr-Digest"}

// announced is the SHA-256 that the headers say, and which one does; nil: none.
func announced(header http.Header) (sum []byte, field string, err error) {
	for _, name := range digestHeaders {
		if len(header.Values(name)) == 0 {
			continue
		}
		said, ok := sha256Of(strings.Join(header.Values(name), ","))
		switch {
		case !ok:
			return nil, "", refuse(http.StatusBadRequest, name, "%s: expected sha-256=:BASE64:, the SHA-256 of the body", name)
		case sum != nil && string(said) != string(sum):
			return nil, "", refuse(http.StatusBadRequest, name, "%s says another SHA-256 than %s: expected the same, of the body", name, field)
		}
		sum, field = said, name
	}
	return sum, field, nil
}

// sha256Of is the member sha-256 of a dictionary of byte sequences (RFC 9651); of
// several, the last. Other members are not looked at.
func sha256Of(text string) (sum []byte, ok bool) {
	for member := range strings.SplitSeq(text, ",") { // no byte sequence has a comma
		name, value, _ := strings.Cut(strings.Trim(member, " \t"), "=")
		if name != "sha-256" {
			continue
		}
		value, parameters, _ := strings.Cut(value, ";")
		encoded, opened := strings.CutPrefix(strings.TrimSpace(value), ":")
		encoded, closed := strings.CutSuffix(encoded, ":")
		var err error
		sum, err = base64.StdEncoding.DecodeString(encoded)
		ok = opened && closed && err == nil && len(sum) == 32 && !strings.Contains(parameters, ":")
	}
	return sum, ok
}

// digestHeader says a digest as announced reads it.
func digestHeader(sum []byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

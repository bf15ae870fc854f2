package outbound

import "strings"

// IsSecret reports whether a query member of that name grants access: the
// signatures of S3, Google Cloud Storage, Azure and CloudFront, and tokens. A
// command, which is kept for ever and read by many, must not carry one.
func IsSecret(member string) bool {
	member = strings.ToLower(member)
	switch member {
	case "sig", "signature", "awsaccesskeyid", "googleaccessid", "key-pair-id",
		"token", "access_token", "private_token", "auth", "apikey", "api_key", "password":
		return true
	}
	return strings.HasPrefix(member, "x-amz-") || strings.HasPrefix(member, "x-goog-")
}

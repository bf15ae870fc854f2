package outbound_test

import (
	"testing"

	"github.com/slipway-ml/slipway/outbound"
)

func TestIsSecret(t *testing.T) {
	t.Parallel()
	for member, secret := range map[string]bool{
		"X-Amz-Signature": true, "x-amz-credential": true, "X-Goog-Signature": true, "sig": true, "Signature": true, "AWSAccessKeyId": true, "Key-Pair-Id": true,
		"GoogleAccessId": true, "access_token": true, "token": true, "private_token": true, "password": true, "api_key": true,
		"": false, "versionId": false, "generation": false, "region": false, "signed": false, "x": false,
	} {
		if got := outbound.IsSecret(member); got != secret {
			t.Errorf("%q: got %v, want %v", member, got, secret)
		}
	}
}

package actors

import (
	"fmt"
	"os"

	"github.com/nats-io/nkeys"
)

// ReadSeed reads the key pair of a NATS user from a file that has its seed, alone
// or in credentials (.creds). The caller wipes it.
func ReadSeed(path string) (nkeys.KeyPair, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the seed to sign with: %w", err)
	}
	defer clear(text)
	pair, err := nkeys.ParseDecoratedUserNKey(text)
	if err != nil {
		return nil, fmt.Errorf("read the seed to sign with of %s: expected that of a NATS user, alone or in credentials: %w", path, err)
	}
	return pair, nil
}

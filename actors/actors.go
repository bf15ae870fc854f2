// Package actors proves for whom a command was sent: commands are signed with the
// keys by which NATS users authenticate, and a file says which keys are whose
// (docs/actors.md).
package actors

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/nats-io/nkeys"

	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/events"
)

// Keys are those of the NATS users who may send commands: by actor, which is the
// authid of a command, and then by public key.
type Keys map[string]map[string]nkeys.KeyPair

// ReadFile reads a file as Parse takes it.
func ReadFile(path string) (Keys, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read actors: %w", err)
	}
	keys, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read actors of %s: %w", path, err)
	}
	return keys, nil
}

// Parse reads which keys are whose, from a JSON object: {"actor": ["U...", ...]}.
// What may let in somebody whom nobody meant to is an error: no actors, an actor
// without keys or named twice, a key that is not the public one of a user.
func Parse(text []byte) (Keys, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil, errors.New(`expected a JSON object of actors and their keys, {"/pipelines/churn": ["U..."]}`)
	}
	keys := Keys{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("expected the name of an actor: %w", err)
		}
		actor := fmt.Sprint(name)
		if err := keys.add(actor, decoder); err != nil {
			return nil, fmt.Errorf("actor %q: %w", actor, err)
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("expected the end of the actors: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("expected one JSON object, and nothing after it")
	}
	if len(keys) == 0 {
		return nil, errors.New("expected at least one actor: nobody could send commands")
	}
	return keys, nil
}

func (k Keys) add(actor string, decoder *json.Decoder) error {
	var public []string
	if err := decoder.Decode(&public); err != nil {
		return fmt.Errorf("expected a list of public keys: %w", err)
	}
	switch _, twice := k[actor]; {
	case twice:
		return errors.New("named twice")
	case actor == "" || len(actor) > events.MaxAttribute || strings.ContainsFunc(actor, unicode.IsControl):
		return fmt.Errorf("expected a name of 1 to %d bytes without control characters", events.MaxAttribute)
	case len(public) == 0:
		return errors.New("expected at least one public key")
	}
	k[actor] = make(map[string]nkeys.KeyPair, len(public))
	for _, key := range public {
		pair, err := nkeys.FromPublicKey(key)
		if err != nil || !nkeys.IsValidPublicUserKey(key) {
			return fmt.Errorf("expected the public key of a NATS user, U and 55 characters, got %s", described(key))
		}
		k[actor][key] = pair
	}
	return nil
}

// described is a key as an error may show it: a seed is a secret.
func described(key string) string {
	if strings.HasPrefix(key, "S") {
		return "a seed, which is a secret: make another one"
	}
	return fmt.Sprintf("%.60q", key)
}

// Prove returns why cmd is not shown to be sent for the actor whom its authid
// names: its signature has to be one by a key of that actor. Nil: it is shown.
func (k Keys) Prove(cmd events.Command) *deployment.Rejection {
	for _, attribute := range [][2]string{{"authid", cmd.AuthID}, {"authkey", cmd.AuthKey}, {"authsig", cmd.AuthSig}} {
		if attribute[1] == "" {
			return deployment.Reject(deployment.CodeNotSigned, attribute[0], "%s is required: only signed commands are carried out here", attribute[0])
		}
	}
	keys, known := k[cmd.AuthID]
	if !known {
		return deployment.Reject(deployment.CodeUnknownActor, "authid", "actor %.200q is not one of those who may send commands", cmd.AuthID)
	}
	key, his := keys[cmd.AuthKey]
	if !his {
		return deployment.Reject(deployment.CodeUnknownKey, "authkey", "key %.60q is not one of actor %.200q", cmd.AuthKey, cmd.AuthID)
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(cmd.AuthSig)
	if err != nil || cmd.Signed == nil || key.Verify(cmd.Signed, signature) != nil {
		return deployment.Reject(deployment.CodeInvalidSignature, "authsig",
			"the signature is not that of this command by key %s: it was made otherwise, or of something else", cmd.AuthKey)
	}
	return nil
}

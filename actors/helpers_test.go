package actors_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/slipway-ml/slipway/actors"
	"github.com/slipway-ml/slipway/events"
)

// The keys of three users, by what each byte of their seeds is; docs/actors.md
// has the first one.
const (
	churnKey byte = 1 + iota
	adaKey
	eveKey
)

const (
	churn = "/pipelines/churn"
	ada   = "/people/ada"
)

func pairOf(tb testing.TB, key byte) nkeys.KeyPair {
	tb.Helper()
	pair, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, bytes.Repeat([]byte{key}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	return pair
}

func publicOf(tb testing.TB, pair nkeys.KeyPair) string {
	tb.Helper()
	key, err := pair.PublicKey()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// known are both actors, each with one key.
func known(tb testing.TB) actors.Keys {
	tb.Helper()
	text, err := json.Marshal(map[string][]string{
		churn: {publicOf(tb, pairOf(tb, churnKey))}, ada: {publicOf(tb, pairOf(tb, adaKey))},
	})
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := actors.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// replace is a command of the pipeline, signed by the user with the key.
func replace(tb testing.TB, key byte) events.Request {
	tb.Helper()
	return events.Request{
		Type:   events.Type{Kind: "deployment", Op: "replace"},
		Source: churn, ID: "run-4712", Subject: "churn", Time: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC),
		AuthType: "service_account", AuthID: churn,
		Data:   json.RawMessage(`{"modelId":"churn-v2","reason":"DATA_DRIFT","reasonText":"Früh & <spät>"}`),
		Signer: pairOf(tb, key),
	}
}

// structured is the request as a message in structured mode.
func structured(tb testing.TB, r events.Request) (events.Header, []byte) {
	tb.Helper()
	e, err := r.Event()
	if err != nil {
		tb.Fatal(err)
	}
	header, body, err := events.Encode(e)
	if err != nil {
		tb.Fatal(err)
	}
	return header, body
}

// binary is the request as a message in binary mode.
func binary(tb testing.TB, r events.Request) (events.Header, []byte) {
	tb.Helper()
	e, err := r.Event()
	if err != nil {
		tb.Fatal(err)
	}
	header, body, err := events.EncodeBinary(e)
	if err != nil {
		tb.Fatal(err)
	}
	return header, body
}

// read is the command that a message is.
func read(tb testing.TB, header events.Header, body []byte) events.Command {
	tb.Helper()
	cmd, err := events.ReadCommand(header, body)
	if err != nil {
		tb.Fatal(err)
	}
	return cmd
}

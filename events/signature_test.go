package events_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/events"
)

// pair is a key pair whose public key is written in base64.
type pair ed25519.PrivateKey

func (p pair) PublicKey() (string, error) {
	return base64.StdEncoding.EncodeToString(p[32:]), nil
}

func (p pair) Sign(text []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(p), text), nil
}

func signed(data string) events.Request {
	return events.Request{
		Type: events.Type{Kind: "deployment", Op: "update"}, Source: "/people/Ada Köhler?a=100%25", ID: `"1"`, Subject: "churn",
		Time: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), AuthType: "user", AuthID: "ada", CorrelationID: "a b", Data: json.RawMessage(data),
		Signer: pair(ed25519.NewKeyFromSeed(make([]byte, 32))),
	}
}

// The text that is signed is the one of docs/actors.md, in both modes.
func TestSign(t *testing.T) {
	t.Parallel()
	e, err := signed(`{"label": "A \u0026 \u00e9 \u2028 \/ \" \\ \n \u0008\u000C \u001F", "n": [1.0, 1E+2, -0] }`).Event()
	if err != nil {
		t.Fatal(err)
	}
	const data = `{"label":"A & é ` + "\u2028" + ` / \" \\ \n \b\f \u001f","n":[1.0,1E+2,-0]}`
	want := "\xffslipway.command.v1\n" + `id="1"
source=/people/Ada Köhler?a=100%25
type=dev.slipway.deployment.update.requested.v1
subject=churn
authtype=user
authid=ada
authkey=O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=
expirytime=
data=` + sumOf(data) + "\n"
	for mode, encode := range map[string]func() (events.Header, []byte, error){
		"structured": func() (events.Header, []byte, error) { return events.Encode(e) },
		"binary":     func() (events.Header, []byte, error) { return events.EncodeBinary(e) },
	} {
		header, body, err := encode()
		if err != nil {
			t.Fatal(err)
		}
		cmd, err := events.ReadCommand(header, body)
		if err != nil {
			t.Fatalf("%s: %v\n%v\n%s", mode, err, header, body)
		}
		if string(cmd.Signed) != want {
			t.Errorf("%s: signed is\n%q, want\n%q", mode, cmd.Signed, want)
		}
		signature, err := base64.RawURLEncoding.DecodeString(cmd.AuthSig)
		public := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey) //nolint:forcetypeassert // it is one
		if err != nil || !ed25519.Verify(public, []byte(want), signature) {
			t.Errorf("%s: %q, %v is no signature of it", mode, cmd.AuthSig, err)
		}
	}
}

// Nothing that could be taken for another line is signed, nor read as signed.
func TestNothingSignedHasControlCharacters(t *testing.T) {
	t.Parallel()
	r := signed(`{}`)
	r.AuthID = "ada\nauthkey=x"
	if _, err := r.Event(); err == nil || !strings.Contains(err.Error(), "attribute authid: expected no control characters") {
		t.Errorf("got %v, want that it cannot be signed", err)
	}
	cmd, err := events.ReadCommand(nil, edited(t, `"correlationid":"run-7"`, `"authsig":"x","authid":"ada\nauthkey=x"`))
	if err != nil || cmd.AuthSig != "x" || cmd.Signed != nil {
		t.Errorf("got %q, %v, want a signature of nothing", cmd.Signed, err)
	}
}

type broken struct{ key, sign error }

func (b broken) PublicKey() (string, error)  { return "k", b.key }
func (b broken) Sign([]byte) ([]byte, error) { return nil, b.sign }

func TestSignFails(t *testing.T) {
	t.Parallel()
	oops := errors.New("wiped")
	for _, signer := range []broken{{key: oops}, {sign: oops}} {
		r := signed(`{}`)
		r.Signer = signer
		if _, err := r.Event(); !errors.Is(err, oops) {
			t.Errorf("%+v: got %v, want %v", signer, err, oops)
		}
	}
}

func sumOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

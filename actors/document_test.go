package actors_test

import (
	"encoding/base64"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/events"
)

// The example of docs/actors.md is one: its event is signed by the key of its seed,
// and what is signed is the text that it shows.
func TestDocumentedSignature(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/actors.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) string {
		found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
		if found == nil {
			t.Fatalf("no block of %s", language)
		}
		return string(found[1])
	}
	pair := pairOf(t, churnKey)
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "`"+string(seed)+"`") {
		t.Errorf("the seed is not %s", seed)
	}
	cmd := read(t, events.Header{"Content-Type": {events.ContentType}}, []byte(block("json signed")))
	if r := known(t).Prove(cmd); r != nil {
		t.Errorf("got %v of\n%s, want it to be shown", r, cmd.Signed)
	}
	if got := strings.TrimPrefix(string(cmd.Signed), "\xff"); got != block("text signed") || len(got)+1 != len(cmd.Signed) {
		t.Errorf("what is signed is\n%s", got)
	}
	signature, err := pair.Sign(cmd.Signed)
	if err != nil {
		t.Fatal(err)
	}
	if got := base64.RawURLEncoding.EncodeToString(signature); got != cmd.AuthSig {
		t.Errorf("the signature is %s", got)
	}
}

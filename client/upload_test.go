package client_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/client"
	"github.com/slipway-ml/slipway/jetstream"
)

// A file that is written to while it is sent is not put together from two of them.
func TestUploadOfAFileThatChanges(t *testing.T) {
	t.Parallel()
	c, prefix := connect(t, ""), rand.Text()
	model := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(model, bytes.Repeat([]byte("old "), 200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := false
	change := func(done, total int64) {
		if changed {
			return
		}
		changed = true
		if err := os.WriteFile(model, bytes.Repeat([]byte("new "), 200_000), 0o600); err != nil {
			t.Error(err)
		}
	}
	_, err := c.UploadPath(t.Context(), model, prefix, change)
	if wrong, ok := errors.AsType[*client.FileError](err); !ok || wrong.Path != model || !strings.Contains(err.Error(), "has changed meanwhile") || !changed {
		t.Fatalf("got %v, want it to say that the file has changed", err)
	}
	objects, err := jetstream.OpenObjects(t.Context(), c.JetStream)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objects.Look(t.Context(), prefix+"/model.onnx"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("look: got %v, want nothing to be there", err)
	}
	if files, err := c.UploadPath(t.Context(), model, prefix, nil); err != nil || files[0].Size != 800_000 {
		t.Errorf("again: got %v %v", files, err)
	}
}

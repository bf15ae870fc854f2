package contract_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/contract"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

// natsStore is an object store of a NATS server as a contract.Store.
type natsStore struct{ natsjs.ObjectStore }

func (s natsStore) List(ctx context.Context, prefix string, most int) ([]contract.Object, error) {
	infos, err := s.ObjectStore.List(ctx)
	if errors.Is(err, natsjs.ErrNoObjectsFound) {
		return nil, nil
	}
	var listed []contract.Object
	for _, info := range infos {
		if !strings.HasPrefix(info.Name, prefix) || len(listed) == most {
			continue
		}
		sum, err := base64.URLEncoding.DecodeString(strings.TrimPrefix(info.Digest, "SHA-256="))
		if err != nil {
			return nil, err
		}
		listed = append(listed, contract.Object{Name: info.Name, Size: int64(info.Size), Digest: deployment.DigestOf(sum), Version: info.NUID}) //nolint:gosec // an object is never that large
	}
	return listed, err
}

func (s natsStore) Get(ctx context.Context, o contract.Object) (io.ReadCloser, error) {
	object, err := s.ObjectStore.Get(ctx, o.Name)
	if errors.Is(err, natsjs.ErrObjectNotFound) {
		return nil, fmt.Errorf("object %s: %w", o.Name, fs.ErrNotExist)
	}
	return object, err
}

// objects is the artifacts store of a real server with these objects.
func objects(tb testing.TB, content map[string]string) natsStore {
	tb.Helper()
	store, err := jetstreamtest.Start(tb).ObjectStore(tb.Context(), jetstream.ArtifactsStore)
	if err != nil {
		tb.Fatal(err)
	}
	for name, text := range content {
		if _, err := store.PutString(tb.Context(), name, text); err != nil {
			tb.Fatal(err)
		}
	}
	return natsStore{store}
}

func TestContractInAnObjectStore(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("a model ", 1<<16)
	store := objects(t, map[string]string{
		"contracts/churn/model/model.joblib": large, "contracts/churn/metadata.json": `{"featureLabels":["age"]}`,
		"contracts/churn/explainer/reference.json": blobReference, "contracts/fraud/model/reference.json": dockerReference,
		"contracts/": "", "contracts/churn/model/": "", "sha256/abc": "not below",
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // without a deadline, nats.go gives a whole object 5 s, and TestFS reads byte by byte
	defer cancel()
	p, err := contract.OpenPrefix(ctx, store, "contracts/")
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(p, "churn/model/model.joblib", "churn/metadata.json", "fraud/model/reference.json"); err != nil {
		t.Error(err)
	}
	if all, err := contract.Find(t.Context(), p); err != nil || !cmp.Equal(all, []contract.Path{"churn", "fraud"}) {
		t.Errorf("got contracts %v and %v", all, err)
	}
	c := read(t, p, "churn")
	if c.Model.File.Size != int64(len(large)) || c.Explainer.Kind() != contract.KindBlob || len(c.Metadata.Features) != 1 {
		t.Errorf("got %+v", c)
	}
	change := contract.Change{Model: blob, Overwrite: true}
	if plan, err := change.Plan(t.Context(), p, "churn"); err != nil || len(plan.Remove) != 1 || len(plan.Write) != 1 {
		t.Errorf("got plan %+v and %v", plan, err)
	}
	for _, prefix := range []string{"contracts/nothing/", "contracts/churn/model/model.joblib"} {
		empty, err := contract.OpenPrefix(t.Context(), store, prefix)
		if err != nil {
			t.Fatal(err)
		}
		_, err = contract.Read(t.Context(), empty, "")
		wantFindings(t, err, "missing_reference model: ")
	}
}

func TestObjectsThatChangeAreNotRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(natsStore) error{
		"other bytes":   func(s natsStore) error { _, err := s.PutString(t.Context(), "model/model.pkl", "nodel"); return err },
		"fewer bytes":   func(s natsStore) error { _, err := s.PutString(t.Context(), "model/model.pkl", "mode"); return err },
		"more bytes":    func(s natsStore) error { _, err := s.PutString(t.Context(), "model/model.pkl", "models"); return err },
		"gone":          func(s natsStore) error { return s.Delete(t.Context(), "model/model.pkl") },
		"nothing of it": func(natsStore) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := objects(t, map[string]string{"model/model.pkl": "model"})
			p, err := contract.OpenPrefix(t.Context(), store, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := change(store); err != nil {
				t.Fatal(err)
			}
			_, err = contract.Read(t.Context(), p, "")
			_, rejected := errors.AsType[*deployment.Rejection](err)
			switch {
			case rejected:
				t.Errorf("got %v, want an error that may pass", err)
			case name == "nothing of it" && err != nil,
				name != "nothing of it" && (!errors.Is(err, contract.ErrChanged) || errors.Is(err, fs.ErrNotExist)): // it was there
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestObjectsThatAreNoFiles(t *testing.T) {
	t.Parallel()
	store := objects(t, map[string]string{"c/../model/model.pkl": "m", "c//x": "m", "c/model": "m", "c/model/model.pkl": "m", "c/a\x01b": "m"})
	_, err := contract.OpenPrefix(t.Context(), store, "c/")
	got := found(t, err)
	if len(got) != 3 {
		t.Errorf("got findings %q, want one for each of ../model, //x and model", got)
	}
	for _, finding := range got {
		if !strings.HasPrefix(finding, "layout_invalid c/") {
			t.Errorf("got finding %q", finding)
		}
	}
}

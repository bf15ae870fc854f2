package jetstream_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-ml/slipway/jetstream"
	"github.com/slipway-ml/slipway/jetstream/jetstreamtest"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	js := jetstreamtest.Start(t)
	if _, err := jetstream.OpenSecrets(t.Context(), js); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v, want that there is no bucket unless somebody asks for it", err)
	}
	for range 2 {
		if err := jetstream.ProvisionCredentials(t.Context(), js, 1); err != nil {
			t.Fatal(err)
		}
	}
	s, err := jetstream.OpenSecrets(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := s.IDs(t.Context()); len(ids) != 0 || err != nil {
		t.Errorf("got %v, %v, want none", ids, err)
	}
	for _, put := range []struct{ id, text string }{{"team-a.git", "old"}, {"b", "other"}, {"team-a.git", "pl4nted"}} {
		if err := s.Put(t.Context(), put.id, []byte(put.text)); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := s.Get(t.Context(), "team-a.git"); string(text) != "pl4nted" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if ids, err := s.IDs(t.Context()); !slices.Equal(ids, []string{"b", "team-a.git"}) || err != nil {
		t.Errorf("got %v, %v", ids, err)
	}
	if err := s.Delete(t.Context(), "team-a.git"); err != nil {
		t.Error(err)
	}
	_, gone := s.Get(t.Context(), "team-a.git")
	again := s.Delete(t.Context(), "team-a.git")
	if !errors.Is(gone, fs.ErrNotExist) || !errors.Is(again, fs.ErrNotExist) {
		t.Errorf("got %v and %v, want that it is gone", gone, again)
	}
	if ids, err := s.IDs(t.Context()); !slices.Equal(ids, []string{"b"}) || err != nil {
		t.Errorf("got %v, %v", ids, err)
	}
	// Nothing of what was replaced or deleted is handed out any more.
	stream, err := js.Stream(t.Context(), "KV_"+jetstream.CredentialsBucket)
	if err != nil {
		t.Fatal(err)
	}
	for sequence := range stream.CachedInfo().State.LastSeq {
		if m, err := stream.GetMsg(t.Context(), sequence+1); err == nil && strings.Contains(string(m.Data), "pl4nted") {
			t.Errorf("message %d still holds the secret", sequence+1)
		}
	}
	if err := s.Put(t.Context(), "large", make([]byte, jetstream.MaxSecret+1)); err == nil {
		t.Error("a secret that is too large was kept")
	}
}

// What docs/operations.md says of permissions is enough for each, and lets
// nobody else near.
func TestPermissionsOfSecrets(t *testing.T) {
	t.Parallel()
	all := []string{"$JS.API.STREAM.INFO.KV_credentials", "$JS.API.DIRECT.GET.KV_credentials.>"}
	user := func(name string, allow, deny []string) *server.User {
		publish := &server.SubjectPermission{Deny: deny}
		if allow != nil {
			publish.Allow = append(slices.Clone(all), allow...)
		}
		permissions := &server.Permissions{Publish: publish}
		if deny != nil {
			permissions.Subscribe = &server.SubjectPermission{Deny: []string{"$KV.credentials.>"}}
		}
		return &server.User{Username: name, Password: name, Permissions: permissions}
	}
	s, err := server.NewServer(&server.Options{
		JetStream: true, StoreDir: t.TempDir(), DontListen: true, NoSigs: true, NoLog: true,
		Users: []*server.User{
			{Username: "operator", Password: "operator"},
			user("maker", []string{"$JS.API.STREAM.CREATE.KV_credentials", "$JS.API.STREAM.UPDATE.KV_credentials", "$JS.API.INFO"}, nil),
			user("worker", []string{}, nil),
			user("putter", []string{"$KV.credentials.>"}, nil),
			user("lister", []string{"$JS.API.CONSUMER.CREATE.KV_credentials.>", "$JS.API.CONSUMER.DELETE.KV_credentials.>"}, nil),
			user("other", nil, []string{"$KV.credentials.>", "$JS.API.*.*.KV_credentials", "$JS.API.*.*.KV_credentials.>", "$JS.API.*.*.*.KV_credentials", "$JS.API.*.*.*.KV_credentials.>", "$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>", "$JS.API.STREAM.RESTORE.>"}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server is not ready")
	}
	open := func(name string) (natsjs.JetStream, chan error) {
		refused := make(chan error, 16)
		conn, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo(name, name), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		js, err := natsjs.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		return js, refused
	}
	maker, _ := open("maker")
	for range 2 {
		if err := jetstream.ProvisionCredentials(t.Context(), maker, 1); err != nil {
			t.Fatalf("provision: %v", err)
		}
	}
	as := func(name string) *jetstream.Secrets {
		js, _ := open(name)
		secrets, err := jetstream.OpenSecrets(t.Context(), js)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return secrets
	}
	putter := as("putter")
	if err := errors.Join(putter.Put(t.Context(), "a", []byte("x")), putter.Put(t.Context(), "b", []byte("pl4nted")), putter.Delete(t.Context(), "a")); err != nil {
		t.Errorf("put and delete: %v", err)
	}
	if text, err := as("worker").Get(t.Context(), "b"); string(text) != "pl4nted" || err != nil {
		t.Errorf("worker: got %q, %v", text, err)
	}
	if ids, err := as("lister").IDs(t.Context()); !slices.Equal(ids, []string{"b"}) || err != nil {
		t.Errorf("list: got %v, %v", ids, err)
	}
	// Each attempt of somebody else is refused by the server, and says so.
	js, refused := open("other")
	conn := js.Conn()
	wantRefused := func(subject string) {
		t.Helper()
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: got %v, want a permission violation", subject, err)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s: nobody has refused it", subject)
		}
	}
	if _, err := conn.SubscribeSync("$KV.credentials.>"); err != nil {
		t.Fatal(err)
	}
	wantRefused("subscribe to $KV.credentials.>")
	for subject, request := range map[string]string{
		"$JS.API.STREAM.INFO.KV_credentials":                         "",
		"$JS.API.DIRECT.GET.KV_credentials.$KV.credentials.b":        "",
		"$JS.API.DIRECT.GET.KV_credentials":                          `{"last_by_subj":"$KV.credentials.b"}`,
		"$JS.API.STREAM.MSG.GET.KV_credentials":                      `{"last_by_subj":"$KV.credentials.b"}`,
		"$JS.API.CONSUMER.CREATE.KV_credentials":                     `{"stream_name":"KV_credentials","config":{"deliver_subject":"here"}}`,
		"$JS.API.CONSUMER.CREATE.KV_credentials.c":                   `{}`,
		"$JS.API.CONSUMER.CREATE.KV_credentials.c.$KV.credentials.b": `{}`,
		"$JS.API.CONSUMER.DURABLE.CREATE.KV_credentials.c":           `{}`,
		"$JS.API.CONSUMER.MSG.NEXT.KV_credentials.c":                 `1`,
		"$JS.API.STREAM.SNAPSHOT.KV_credentials":                     `{"deliver_subject":"here"}`,
		"$JS.API.STREAM.DELETE.KV_credentials":                       "",
		"$JS.API.STREAM.PURGE.KV_credentials":                        "",
		"$JS.API.STREAM.UPDATE.KV_credentials":                       `{}`,
		"$JS.API.STREAM.CREATE.mine":                                 `{"name":"mine","sources":[{"name":"KV_credentials"}]}`,
		"$JS.API.STREAM.UPDATE.mine":                                 `{"name":"mine","mirror":{"name":"KV_credentials"}}`,
		"$KV.credentials.b":                                          "mine",
	} {
		if err := conn.PublishRequest(subject, conn.NewRespInbox(), []byte(request)); err != nil {
			t.Fatal(err)
		}
		wantRefused(subject)
	}
}

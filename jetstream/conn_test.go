package jetstream_test

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/slipway-ml/slipway/jetstream"
)

var silent = slog.New(slog.DiscardHandler)

// startServer starts a server that is not ours.
func startServer(tb testing.TB, o server.Options) (address string) {
	tb.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog, o.StoreDir = "127.0.0.1", server.RANDOM_PORT, true, true, tb.TempDir()
	s, err := server.NewServer(&o)
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		tb.Fatal("the server is not ready")
	}
	return s.Addr().String()
}

// contexts is the folder in which the nats CLI keeps its contexts. Selected is
// the name of the selected one.
func contexts(tb testing.TB, selected string, byName map[string]string) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "context"), 0o700); err != nil {
		tb.Fatal(err)
	}
	for name, text := range byName {
		if err := os.WriteFile(filepath.Join(dir, "context", name+".json"), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	if selected != "" {
		if err := os.WriteFile(filepath.Join(dir, "context.txt"), []byte(selected+"\n"), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func writeFile(tb testing.TB, text string) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

const secret = "s3cr3t-d0g"

func TestConnectWithAPassword(t *testing.T) {
	t.Parallel()
	address := startServer(t, server.Options{Username: "worker", Password: secret})
	dir := contexts(t, "good", map[string]string{
		"good":   `{"description":"x","url":"nats://` + address + `","user":"worker","password":"` + secret + `","unknown":[1]}`,
		"bad":    `{"url":"nats://` + address + `","user":"worker","password":"` + secret + `x"}`,
		"broken": `{"url":`,
		"nobody": `{"url":"nats://` + address + `"}`,
	})
	for _, test := range []struct {
		name     string
		settings jetstream.Settings
		want     string // in the error; "": there is none
		is       error
	}{
		{"the selected context", jetstream.Settings{ConfigDir: dir}, "", nil},
		{"a named context", jetstream.Settings{ConfigDir: dir, Context: "good"}, "", nil},
		{"a url with a password", jetstream.Settings{ConfigDir: dir, URL: "nats://worker:" + secret + "@" + address}, "", nil},
		{"a url wins over that of a context", jetstream.Settings{ConfigDir: dir, Context: "good", URL: "nats://127.0.0.1:1"}, "at nats://127.0.0.1:1: ", nats.ErrNoServers},
		{"a url needs no selected context", jetstream.Settings{ConfigDir: contexts(t, "missing", nil), URL: "nats://worker:" + secret + "@" + address}, "", nil},
		{"a url alone has no password", jetstream.Settings{ConfigDir: dir, URL: "nats://" + address}, "Authorization", nats.ErrAuthorization},
		{"no password", jetstream.Settings{ConfigDir: dir, Context: "nobody"}, "Authorization", nats.ErrAuthorization},
		{"a wrong password in a context", jetstream.Settings{ConfigDir: dir, Context: "bad"}, "nats://" + address, nats.ErrAuthorization},
		{"a wrong password in a url", jetstream.Settings{URL: "nats://worker:" + secret + "x@" + address, ConfigDir: dir}, "nats://xxxxx@" + address, nats.ErrAuthorization},
		{"a wrong token", jetstream.Settings{URL: "nats://" + secret + "@" + address, ConfigDir: dir}, "nats://xxxxx@" + address, nats.ErrAuthorization},
		{"a context that is not there", jetstream.Settings{ConfigDir: dir, Context: "prod"}, `context "prod"`, fs.ErrNotExist},
		{"a selected context that is not there", jetstream.Settings{ConfigDir: contexts(t, "gone", nil)}, `context "gone"`, fs.ErrNotExist},
		{"a broken context", jetstream.Settings{ConfigDir: dir, Context: "broken"}, `context "broken"`, nil},
		{"a context elsewhere", jetstream.Settings{ConfigDir: dir, Context: "../context/good"}, "expected a name without path separators", nil},
		{"no seed", jetstream.Settings{ConfigDir: dir, URL: "nats://" + address, NKey: filepath.Join(dir, "no.nk")}, "no.nk", fs.ErrNotExist},
		{"no credentials", jetstream.Settings{ConfigDir: dir, URL: "nats://" + address, Creds: filepath.Join(dir, "no.creds")}, "no.creds", fs.ErrNotExist},
		{"no url", jetstream.Settings{ConfigDir: dir, URL: "nats://worker:" + secret + "%zz@" + address}, "not a valid url", nil},
		{"no url without a scheme", jetstream.Settings{ConfigDir: dir, URL: "worker:" + secret + "/@" + address}, "", errAny},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn, err := jetstream.Connect(test.settings, "test", silent)
			if err == nil {
				conn.Close()
			}
			switch {
			case test.want == "" && test.is == nil && err != nil:
				t.Fatalf("got %v, want a connection", err)
			case test.want == "" && test.is == nil:
				return
			case err == nil:
				t.Fatal("got a connection, want an error")
			case !strings.Contains(err.Error(), test.want), test.is != nil && !errors.Is(test.is, errAny) && !errors.Is(err, test.is):
				t.Errorf("got %v, want %q in it, and that it is %v", err, test.want, test.is)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

var errAny = errors.New("any")

// What is wrong with the settings can be told from a broker that is not there.
func TestConnectSaysWhichSettingIsWrong(t *testing.T) {
	t.Parallel()
	dir := contexts(t, "", nil)
	for setting, settings := range map[string]jetstream.Settings{
		"Context": {ConfigDir: dir, Context: "prod"},
		"NKey":    {ConfigDir: dir, NKey: "/no/seed"},
		"Creds":   {ConfigDir: dir, Creds: "/no/creds"},
		"URL":     {ConfigDir: dir, URL: "nats://%zz"},
	} {
		_, err := jetstream.Connect(settings, "test", silent)
		if wrong, ok := errors.AsType[*jetstream.SettingsError](err); !ok || wrong.Setting != setting {
			t.Errorf("got %v, want it to say that %s is wrong", err, setting)
		}
	}
	_, err := jetstream.Connect(jetstream.Settings{ConfigDir: dir, URL: "nats://127.0.0.1:1"}, "test", silent)
	if _, ok := errors.AsType[*jetstream.SettingsError](err); ok || !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("got %v, want that nobody is there", err)
	}
}

func TestConnectWithAToken(t *testing.T) {
	t.Parallel()
	address := startServer(t, server.Options{Authorization: secret, JetStream: true})
	dir := contexts(t, "", map[string]string{"token": `{"url":"nats://` + address + `","token":"` + secret + `"}`})
	for name, settings := range map[string]jetstream.Settings{
		"in a context": {ConfigDir: dir, Context: "token"},
		"in a url":     {ConfigDir: dir, URL: "nats://" + secret + "@" + address},
	} {
		conn, err := jetstream.Connect(settings, "test", silent)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := jetstream.ServerURL(conn); strings.Contains(got, secret) || !strings.HasSuffix(got, address) {
			t.Errorf("%s: the server is shown as %s, want %s without the token", name, got, address)
		}
		conn.Close()
	}
}

func TestConnectWithAnNKey(t *testing.T) {
	t.Parallel()
	pair, err := nkeys.CreatePair(nkeys.PrefixByteUser)
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	address := startServer(t, server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}})
	path := writeFile(t, string(seed))
	dir := contexts(t, "", map[string]string{"nkey": `{"url":"nats://` + address + `","nkey":"` + path + `"}`})
	for name, settings := range map[string]jetstream.Settings{
		"of the environment": {ConfigDir: dir, URL: "nats://" + address, NKey: path},
		"of a context":       {ConfigDir: dir, Context: "nkey"},
	} {
		conn, err := jetstream.Connect(settings, "test", silent)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn.Close()
	}
	if _, err := jetstream.Connect(jetstream.Settings{ConfigDir: dir, URL: "nats://" + address, NKey: writeFile(t, rand.Text())}, "test", silent); err == nil {
		t.Error("got a connection with a seed that is none")
	}
}

func TestContextsOfTheUser(t *testing.T) { // not parallel: it changes the environment
	address := startServer(t, server.Options{Username: "worker", Password: secret})
	dir := contexts(t, "good", map[string]string{"good": `{"url":"nats://` + address + `","user":"worker","password":"` + secret + `"}`})
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".config"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, filepath.Join(home, ".config", "nats")); err != nil {
		t.Fatal(err)
	}
	for _, env := range []map[string]string{
		{"XDG_CONFIG_HOME": filepath.Join(home, ".config"), "HOME": "/nowhere"},
		{"XDG_CONFIG_HOME": "", "HOME": home},
	} {
		for name, value := range env {
			t.Setenv(name, value)
		}
		conn, err := jetstream.Connect(jetstream.Settings{}, "test", silent)
		if err != nil {
			t.Errorf("%v: %v", env, err)
			continue
		}
		conn.Close()
	}
}

func TestOpenNeedsJetStream(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]server.Options{"is it enabled on the server?": {}, "": {JetStream: true}} {
		conn, err := jetstream.Connect(jetstream.Settings{URL: "nats://" + startServer(t, o)}, "test", silent)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := jetstream.Open(t.Context(), conn); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// lines hands on each line that is logged.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// A broker that was away is found again, and the log tells nobody the password.
func TestConnectionComesBack(t *testing.T) {
	t.Parallel()
	logged := make(lines, 100)
	o := server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Authorization: secret, StoreDir: t.TempDir()}
	run := func() *server.Server {
		s, err := server.NewServer(&o)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if !s.ReadyForConnections(patience) {
			t.Fatal("the server is not ready")
		}
		return s
	}
	stop := func(s *server.Server) {
		s.Shutdown()
		s.WaitForShutdown()
	}
	first := run()
	conn, err := jetstream.Connect(jetstream.Settings{URL: "nats://" + secret + "@" + first.Addr().String()}, "test", slog.New(slog.NewTextHandler(logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	stop(first)
	second := run() // o.Port is the one that the first has found
	defer stop(second)
	defer conn.Close()
	for late := time.After(patience); ; {
		select {
		case line := <-logged:
			if strings.Contains(line, secret) {
				t.Errorf("the log tells the token: %s", line)
			}
			if strings.Contains(line, "is back") {
				return
			}
		case <-late:
			t.Fatal("the connection does not come back")
		}
	}
}

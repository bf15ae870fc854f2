package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// Settings say where the broker is and who we are there, as the nats CLI has
// them. What is set here wins over what the context says.
type Settings struct {
	URL       string
	Creds     string // path of a credentials file
	NKey      string // path of a seed file
	Context   string // name of a nats CLI context; "": the selected one, if any
	ConfigDir string // where the nats CLI keeps its contexts; "": the user's
}

// SettingsError says which of the Settings cannot be used, as opposed to a
// broker that cannot be reached.
type SettingsError struct {
	Setting string // URL, Creds, NKey or Context
	Err     error
}

func (e *SettingsError) Error() string { return e.Err.Error() }
func (e *SettingsError) Unwrap() error { return e.Err }

// MinimumServer is the oldest server that Slipway's promises hold on
// (jetstream.md section 3: holes in fsync-always were fixed as late as this).
const MinimumServer = "2.15.1"

// Connect connects to the broker. name is shown in the server's connection list.
func Connect(s Settings, name string, log *slog.Logger, more ...nats.Option) (*nats.Conn, error) {
	saved, err := s.load()
	if err != nil {
		return nil, &SettingsError{"Context", err}
	}
	servers, options, err := saved.merge(s)
	if err != nil {
		return nil, err
	}
	options = append(options, nats.Name(name), nats.MaxReconnects(-1), nats.ReconnectWait(250*time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("connection to NATS lost", "err", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { log.Info("connection to NATS is back", "server", ServerURL(c)) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("NATS reports an error", "err", err) }))
	conn, err := nats.Connect(servers, append(options, more...)...)
	if _, invalid := errors.AsType[*url.Error](err); invalid { // it quotes the url, secrets included
		return nil, &SettingsError{"URL", fmt.Errorf("connect to NATS at %s: not a valid url", redact(servers))}
	}
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", redact(servers), err)
	}
	return conn, nil
}

// ServerURL is the server that conn is connected to, without user, password or
// token. (ConnectedUrlRedacted leaves a token as it is.)
func ServerURL(conn *nats.Conn) string { return redact(conn.ConnectedUrl()) }

// Open is JetStream over conn, once it has been seen to be there and new enough.
func Open(ctx context.Context, conn *nats.Conn) (natsjs.JetStream, error) {
	if older(conn.ConnectedServerVersion(), MinimumServer) {
		return nil, fmt.Errorf("server %s has version %s: expected %s or newer", ServerURL(conn), conn.ConnectedServerVersion(), MinimumServer)
	}
	js, err := natsjs.New(conn)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	if _, err := js.AccountInfo(ctx); err != nil {
		return nil, fmt.Errorf("open JetStream at %s: %w (is it enabled on the server?)", ServerURL(conn), err)
	}
	return js, nil
}

// savedContext is the part of a nats CLI context file that we use.
type savedContext struct {
	URL         string `json:"url"`
	Creds       string `json:"creds"`
	NKey        string `json:"nkey"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Token       string `json:"token"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
	InboxPrefix string `json:"inbox_prefix"`
}

func (s Settings) load() (saved savedContext, err error) {
	dir := s.ConfigDir
	if dir == "" {
		if dir = os.Getenv("XDG_CONFIG_HOME"); dir == "" {
			home, err := os.UserHomeDir()
			if err != nil { // no home: no contexts
				return saved, nil
			}
			dir = filepath.Join(home, ".config")
		}
		dir = filepath.Join(dir, "nats")
	}
	name := s.Context
	if name == "" {
		if s.URL != "" { // a server that is named needs no selected context
			return saved, nil
		}
		selected, err := os.ReadFile(filepath.Join(dir, "context.txt"))
		if errors.Is(err, fs.ErrNotExist) {
			return saved, nil
		}
		if err != nil {
			return saved, fmt.Errorf("read the selected NATS context: %w", err)
		}
		if name = strings.TrimSpace(string(selected)); name == "" {
			return saved, nil
		}
	}
	if name != filepath.Base(name) {
		return saved, fmt.Errorf("NATS context %q: expected a name without path separators", name)
	}
	text, err := os.ReadFile(filepath.Join(dir, "context", name+".json"))
	if err != nil {
		return saved, fmt.Errorf("read NATS context %q: %w", name, err)
	}
	if err := json.Unmarshal(text, &saved); err != nil {
		return saved, fmt.Errorf("read NATS context %q: %w", name, err)
	}
	return saved, nil
}

// SeedFile is the path of the file with the seed of the NATS user: of credentials
// or of an nkey. "": the user has none.
func (s Settings) SeedFile() (string, error) {
	saved, err := s.load()
	if err != nil {
		return "", &SettingsError{"Context", err}
	}
	return first(s.Creds, saved.Creds, s.NKey, saved.NKey), nil
}

func (c savedContext) merge(s Settings) (servers string, options []nats.Option, err error) {
	servers = first(s.URL, c.URL, nats.DefaultURL)
	switch creds, nkey := first(s.Creds, c.Creds), first(s.NKey, c.NKey); {
	case creds != "":
		if _, err := os.Stat(creds); err != nil {
			return "", nil, &SettingsError{"Creds", fmt.Errorf("read credentials: %w", err)}
		}
		options = append(options, nats.UserCredentials(creds))
	case nkey != "":
		option, err := nats.NkeyOptionFromSeed(nkey)
		if err != nil {
			return "", nil, &SettingsError{"NKey", fmt.Errorf("read NKey seed %s: %w", nkey, err)}
		}
		options = append(options, option)
	case c.User != "":
		options = append(options, nats.UserInfo(c.User, c.Password))
	case c.Token != "":
		options = append(options, nats.Token(c.Token))
	}
	if c.Cert != "" {
		options = append(options, nats.ClientCert(c.Cert, c.Key))
	}
	if c.CA != "" {
		options = append(options, nats.RootCAs(c.CA))
	}
	if c.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(c.InboxPrefix))
	}
	return servers, options, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// redact hides the user info of urls, also of those without a scheme and of
// those whose password has an @.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, u := range parts {
		if at := strings.LastIndex(u, "@"); at >= 0 {
			scheme, _, found := strings.Cut(u, "://")
			if found {
				scheme += "://"
			} else {
				scheme = ""
			}
			parts[i] = scheme + "xxxxx" + u[at:]
		}
	}
	return strings.Join(parts, ",")
}

// older compares versions of the form 2.15.1; a suffix such as -RC.1 is ignored.
func older(version, minimum string) bool {
	var have, want [3]int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &have[0], &have[1], &have[2]); err != nil {
		return false // not a released server: let it be
	}
	_, _ = fmt.Sscanf(minimum, "%d.%d.%d", &want[0], &want[1], &want[2])
	for i := range have {
		if have[i] != want[i] {
			return have[i] < want[i]
		}
	}
	return false
}

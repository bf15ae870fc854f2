package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"
	"golang.org/x/term"

	"github.com/slipway-ml/slipway/artifacts/bucket"
	"github.com/slipway-ml/slipway/artifacts/oci"
	"github.com/slipway-ml/slipway/credentials"
	"github.com/slipway-ml/slipway/deployment"
	"github.com/slipway-ml/slipway/gateway"
	"github.com/slipway-ml/slipway/jetstream"
)

// Config is everything that the environment says. docs/operations.md describes
// every variable; a test compares the two.
type Config struct {
	DataDir  string `env:"SLIPWAY_DATA_DIR, default=slipway-data"`
	NATSHost string `env:"SLIPWAY_NATS_HOST, default=127.0.0.1"`
	NATSPort int    `env:"SLIPWAY_NATS_PORT, default=4222"`
	Sync     string `env:"SLIPWAY_SYNC, default=always"`
	MaxStore int64  `env:"SLIPWAY_MAX_STORE_BYTES, default=0"`
	Replicas int    `env:"SLIPWAY_REPLICAS, default=1"`

	PredictAddr  string        `env:"SLIPWAY_PREDICT_ADDR, default=127.0.0.1:8080"`
	PredictURL   string        `env:"SLIPWAY_PREDICT_URL"`
	ServerID     string        `env:"SLIPWAY_SERVER_ID"`
	KeepPrevious time.Duration `env:"SLIPWAY_KEEP_PREVIOUS, default=5m"`
	HealthAddr   string        `env:"SLIPWAY_HEALTH_ADDR, default=127.0.0.1:8081"`

	GatewayAddr      string `env:"SLIPWAY_GATEWAY_ADDR"`
	GatewayTokenFile string `env:"SLIPWAY_GATEWAY_TOKEN_FILE"`

	PredictMaxBody     int64         `env:"SLIPWAY_PREDICT_MAX_BODY_BYTES, default=16777216"`
	PredictMaxRows     int           `env:"SLIPWAY_PREDICT_MAX_ROWS, default=100000"`
	PredictConcurrency int           `env:"SLIPWAY_PREDICT_CONCURRENCY, default=256"`
	PredictDeadline    time.Duration `env:"SLIPWAY_PREDICT_DEADLINE, default=30s"`
	PredictMemory      int64         `env:"SLIPWAY_PREDICT_MEMORY_BYTES, default=0"`
	PredictMaxNodes    int           `env:"SLIPWAY_PREDICT_MAX_NODES, default=67108864"`
	PredictGrace       time.Duration `env:"SLIPWAY_PREDICT_GRACE, default=10s"`
	PredictLogEvery    int           `env:"SLIPWAY_PREDICT_LOG_EVERY, default=1000"`

	AllowFileURLs         bool `env:"SLIPWAY_ALLOW_FILE_URLS, default=false"`
	AllowPrivateRedirects bool `env:"SLIPWAY_ALLOW_PRIVATE_REDIRECTS, default=false"`
	MachineIdentity       bool `env:"SLIPWAY_MACHINE_IDENTITY, default=false"`

	AllowLocalRepositories bool   `env:"SLIPWAY_ALLOW_LOCAL_REPOSITORIES, default=false"`
	AllowHTTPRepositories  bool   `env:"SLIPWAY_ALLOW_HTTP_REPOSITORIES, default=false"`
	MaxRepositoryBytes     int64  `env:"SLIPWAY_MAX_REPOSITORY_BYTES, default=1073741824"`
	KnownHosts             string `env:"SLIPWAY_KNOWN_HOSTS"`
	AllowHTTPRegistries    bool   `env:"SLIPWAY_ALLOW_HTTP_REGISTRIES, default=false"`
	ImagePlatform          string `env:"SLIPWAY_IMAGE_PLATFORM, default=linux/amd64"`
	CredentialsDir         string `env:"SLIPWAY_CREDENTIALS_DIR"`
	GitAuthorName          string `env:"SLIPWAY_GIT_AUTHOR_NAME, default=Slipway"`
	GitAuthorEmail         string `env:"SLIPWAY_GIT_AUTHOR_EMAIL, default=slipway@localhost"`
	CredentialsBucket      bool   `env:"SLIPWAY_CREDENTIALS_BUCKET, default=false"`

	MaxArtifactBytes int64         `env:"SLIPWAY_MAX_ARTIFACT_BYTES, default=2147483648"`
	MaxCommandBytes  int           `env:"SLIPWAY_MAX_COMMAND_BYTES, default=262144"`
	Concurrency      int           `env:"SLIPWAY_CONCURRENCY, default=64"`
	Lease            time.Duration `env:"SLIPWAY_LEASE, default=30s"`
	MaxAttempts      int           `env:"SLIPWAY_MAX_ATTEMPTS, default=5"`
	Deadline         time.Duration `env:"SLIPWAY_DEADLINE, default=15m"`
	Deadlines        deadlines     `env:"SLIPWAY_DEADLINES"`
	DrainTimeout     time.Duration `env:"SLIPWAY_DRAIN_TIMEOUT, default=20s"`

	ReconcileInterval time.Duration `env:"SLIPWAY_RECONCILE_INTERVAL, default=1m"`

	CollectInterval time.Duration `env:"SLIPWAY_GC_INTERVAL, default=0"`
	CollectGrace    time.Duration `env:"SLIPWAY_GC_GRACE, default=24h"`
	CollectVersions int           `env:"SLIPWAY_GC_VERSIONS, default=10"`

	StrictValidation bool                    `env:"SLIPWAY_STRICT_VALIDATION, default=false"`
	Installation     deployment.Installation `env:"SLIPWAY_INSTALLATION, default=onprem"`
	Permissions      permissions             `env:"SLIPWAY_PERMISSIONS"`
	ActorsFile       string                  `env:"SLIPWAY_ACTORS_FILE"`
	DriftTracking    drift                   `env:"SLIPWAY_DRIFT_TRACKING, default=none"`

	LogFormat string     `env:"SLIPWAY_LOG_FORMAT, default=auto"`
	LogLevel  slog.Level `env:"SLIPWAY_LOG_LEVEL, default=info"`

	NATSURL     string `env:"NATS_URL"`
	NATSCreds   string `env:"NATS_CREDS"`
	NATSNKey    string `env:"NATS_NKEY"`
	NATSContext string `env:"NATS_CONTEXT"`

	Buckets     hiddenValues // what bucket.Variables name
	Credentials hiddenValues // the variables that hold secrets, which have names of their own
}

// maxPredictConcurrency is more requests at a time than one machine has use for.
const maxPredictConcurrency = 1 << 20

// readConfig reads the configuration and says everything that is wrong with it
// by the name of the variable.
func readConfig(ctx context.Context, environment map[string]string) (c Config, err error) {
	set := maps.Clone(environment)
	maps.DeleteFunc(set, func(_, value string) bool { return value == "" }) // empty is not set, as in a compose file
	if err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: &c, Lookuper: envconfig.MapLookuper(set)}); err != nil {
		return c, fmt.Errorf("environment: %w", named(err))
	}
	c.Buckets = hiddenValues{}
	for _, name := range bucket.Variables() {
		if value := set[name]; value != "" {
			c.Buckets[name] = value
		}
	}
	c.Credentials = hiddenValues(maps.Clone(set))
	maps.DeleteFunc(c.Credentials, func(name, _ string) bool {
		return !strings.HasPrefix(name, credentials.Prefix)
	})
	var wrong []string
	check := func(ok bool, name, expected string, got any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s: expected %s, got %v", name, expected, got))
		}
	}
	check(isHost(c.NATSHost), "SLIPWAY_NATS_HOST", "a name or address without a port", c.NATSHost)
	check(c.NATSPort >= 0 && c.NATSPort <= 65535, "SLIPWAY_NATS_PORT", "a port, 0 for a free one", c.NATSPort)
	check(c.MaxStore >= 0, "SLIPWAY_MAX_STORE_BYTES", "a number of bytes, 0 for three quarters of what is free", c.MaxStore)
	check(c.Replicas >= 1 && c.Replicas <= 5, "SLIPWAY_REPLICAS", "1 to 5", c.Replicas)
	check(isAddr(c.PredictAddr), "SLIPWAY_PREDICT_ADDR", "host:port, port 0 for a free one", c.PredictAddr)
	check(isAddr(c.HealthAddr), "SLIPWAY_HEALTH_ADDR", "host:port, port 0 for a free one", c.HealthAddr)
	check(c.GatewayAddr == "" || isAddr(c.GatewayAddr) && (c.GatewayTokenFile != "" || gateway.IsLoopback(c.GatewayAddr)),
		"SLIPWAY_GATEWAY_ADDR", "host:port, with the host 127.0.0.1, ::1 or localhost unless there is a SLIPWAY_GATEWAY_TOKEN_FILE", c.GatewayAddr)
	check(c.GatewayTokenFile == "" || is(fs.FileMode.IsRegular, c.GatewayTokenFile), "SLIPWAY_GATEWAY_TOKEN_FILE", "a file that is there", c.GatewayTokenFile)
	check(c.PredictURL == "" || isHTTP(c.PredictURL), "SLIPWAY_PREDICT_URL", "an http or https url", c.PredictURL)
	check(serverID.MatchString(c.ServerID), "SLIPWAY_SERVER_ID", "letters, digits, dashes and underscores", c.ServerID)
	check(c.KeepPrevious >= 0, "SLIPWAY_KEEP_PREVIOUS", "a duration such as 5m, 0 to keep none", c.KeepPrevious)
	check(c.PredictMaxBody > 0, "SLIPWAY_PREDICT_MAX_BODY_BYTES", "a number of bytes above 0", c.PredictMaxBody)
	check(c.PredictMaxRows > 0, "SLIPWAY_PREDICT_MAX_ROWS", "a number above 0", c.PredictMaxRows)
	check(c.PredictConcurrency > 0 && c.PredictConcurrency <= maxPredictConcurrency, "SLIPWAY_PREDICT_CONCURRENCY", fmt.Sprintf("1 to %d", maxPredictConcurrency), c.PredictConcurrency)
	check(c.PredictDeadline > 0, "SLIPWAY_PREDICT_DEADLINE", "a duration above 0", c.PredictDeadline)
	check(c.PredictMemory >= 0, "SLIPWAY_PREDICT_MEMORY_BYTES", "a number of bytes, 0 for any", c.PredictMemory)
	check(c.PredictMaxNodes > 0, "SLIPWAY_PREDICT_MAX_NODES", "a number above 0", c.PredictMaxNodes)
	check(c.PredictGrace > 0, "SLIPWAY_PREDICT_GRACE", "a duration above 0", c.PredictGrace)
	check(c.PredictLogEvery >= 0, "SLIPWAY_PREDICT_LOG_EVERY", "a number, 0 for no request log", c.PredictLogEvery)
	check(c.MaxArtifactBytes > 0, "SLIPWAY_MAX_ARTIFACT_BYTES", "a number of bytes above 0", c.MaxArtifactBytes)
	check(c.MaxRepositoryBytes > 0, "SLIPWAY_MAX_REPOSITORY_BYTES", "a number of bytes above 0", c.MaxRepositoryBytes)
	check(c.KnownHosts == "" || is(fs.FileMode.IsRegular, c.KnownHosts), "SLIPWAY_KNOWN_HOSTS", "a file that is there", c.KnownHosts)
	check(oci.CheckPlatform(c.ImagePlatform) == nil, "SLIPWAY_IMAGE_PLATFORM", "an operating system and an architecture, such as "+oci.DefaultPlatform, c.ImagePlatform)
	check(c.CredentialsDir == "" || is(fs.FileMode.IsDir, c.CredentialsDir), "SLIPWAY_CREDENTIALS_DIR", "a directory that is there", c.CredentialsDir)
	check(isPerson(c.GitAuthorName), "SLIPWAY_GIT_AUTHOR_NAME", "1 to 200 bytes on one line, without < and >", strconv.Quote(c.GitAuthorName))
	check(isPerson(c.GitAuthorEmail), "SLIPWAY_GIT_AUTHOR_EMAIL", "1 to 200 bytes on one line, without < and >", strconv.Quote(c.GitAuthorEmail))
	check(c.MaxCommandBytes > 0 && c.MaxCommandBytes <= 262144, "SLIPWAY_MAX_COMMAND_BYTES", "1 to 262144 bytes, so that events about it fit into a message", c.MaxCommandBytes)
	check(c.Concurrency > 0, "SLIPWAY_CONCURRENCY", "a number above 0", c.Concurrency)
	check(c.Lease >= time.Second, "SLIPWAY_LEASE", "1s or more", c.Lease)
	check(c.MaxAttempts > 0, "SLIPWAY_MAX_ATTEMPTS", "a number above 0", c.MaxAttempts)
	check(c.Deadline > 0, "SLIPWAY_DEADLINE", "a duration above 0", c.Deadline)
	check(c.ReconcileInterval > 0, "SLIPWAY_RECONCILE_INTERVAL", "a duration above 0", c.ReconcileInterval)
	check(c.CollectInterval >= 0, "SLIPWAY_GC_INTERVAL", "a duration such as 6h, 0 for never", c.CollectInterval)
	check(c.CollectGrace >= 0, "SLIPWAY_GC_GRACE", "a duration such as 24h", c.CollectGrace)
	check(c.CollectVersions >= 0, "SLIPWAY_GC_VERSIONS", "a number, 0 for what is served and was before", c.CollectVersions)
	check(c.DrainTimeout >= 0, "SLIPWAY_DRAIN_TIMEOUT", "a duration such as 20s", c.DrainTimeout)
	check(c.Installation == deployment.OnPremises || c.Installation == deployment.Cloud, "SLIPWAY_INSTALLATION", "onprem or cloud", c.Installation)
	check(c.ActorsFile == "" || is(fs.FileMode.IsRegular, c.ActorsFile), "SLIPWAY_ACTORS_FILE", "a file that is there", c.ActorsFile)
	check(c.LogFormat == "auto" || c.LogFormat == "text" || c.LogFormat == "json", "SLIPWAY_LOG_FORMAT", "auto, text or json", c.LogFormat)
	if _, err := c.syncInterval(); err != nil {
		check(false, "SLIPWAY_SYNC", "always, or an interval such as 250ms", c.Sync)
	}
	if len(wrong) > 0 {
		return c, fmt.Errorf("environment: %s", strings.Join(wrong, "; "))
	}
	return c, nil
}

// named replaces the name of a field of Config, at the start of what envconfig
// says about it, by the name of its variable.
func named(err error) error {
	name, why, ok := strings.Cut(err.Error(), ": ")
	field, known := reflect.TypeFor[Config]().FieldByName(name)
	if !ok || !known {
		return err
	}
	variable, _, _ := strings.Cut(field.Tag.Get("env"), ",")
	if strings.HasPrefix(why, variable+": ") { // it has said so itself
		return errors.New(why)
	}
	return fmt.Errorf("%s: expected a value of type %s: %s", variable, field.Type, why)
}

// isPerson reports whether git can write text as a name or an address.
func isPerson(text string) bool {
	return strings.TrimSpace(text) != "" && len(text) <= 200 && !strings.ContainsAny(text, "<>\x00\r\n")
}

// is reports whether there is a file of that kind.
func is(kind func(fs.FileMode) bool, path string) bool {
	info, err := os.Stat(path)
	return err == nil && kind(info.Mode())
}

var serverID = regexp.MustCompile(`^[-_a-zA-Z0-9]*$`)

func isHost(s string) bool {
	return net.ParseIP(s) != nil || !strings.ContainsAny(s, ":/ ")
}

func isAddr(s string) bool {
	host, port, err := net.SplitHostPort(s)
	_, notNumber := strconv.ParseUint(port, 10, 16)
	return err == nil && isHost(host) && notNumber == nil
}

func isHTTP(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// syncInterval is how lazily the embedded server writes to disk; 0 is always.
func (c Config) syncInterval() (time.Duration, error) {
	if c.Sync == "always" {
		return 0, nil
	}
	interval, err := time.ParseDuration(c.Sync)
	if err == nil && interval <= 0 {
		err = fmt.Errorf("interval %s is not above 0", interval)
	}
	return interval, err
}

// broker says where the NATS server is, as the nats CLI has it.
func (c Config) broker() jetstream.Settings {
	return jetstream.Settings{URL: c.NATSURL, Creds: c.NATSCreds, NKey: c.NATSNKey, Context: c.NATSContext}
}

// logger writes text to a terminal and JSON elsewhere, unless told otherwise.
func (c Config) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	text := c.LogFormat == "text"
	if file, ok := w.(*os.File); ok && c.LogFormat == "auto" {
		text = term.IsTerminal(int(file.Fd())) //nolint:gosec // a file descriptor fits
	}
	if text {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

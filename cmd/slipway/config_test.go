package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway/artifacts/bucket"
	"github.com/slipway-ml/slipway/deployment"
)

// documented are the variables and defaults of docs/operations.md.
func documented(tb testing.TB, text string) map[string]string {
	tb.Helper()
	found := make(map[string]string)
	row := regexp.MustCompile("^\\| `([A-Z_]+)` \\| (?:`(.+)`|) \\| (.+) \\|$")
	for line := range strings.Lines(text) {
		if m := row.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			if _, twice := found[m[1]]; twice {
				tb.Errorf("%s stands twice", m[1])
			}
			found[m[1]] = m[2]
		}
	}
	return found
}

// variables are those that a configuration reads, with their defaults.
func variables(config reflect.Type) map[string]string {
	found := make(map[string]string)
	for field := range config.Fields() {
		name, rest, _ := strings.Cut(field.Tag.Get("env"), ",")
		if name == "" {
			continue
		}
		_, value, _ := strings.Cut(rest, "default=")
		found[name] = value
	}
	return found
}

func TestEveryVariableIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(variables(reflect.TypeFor[Config]()), documented(t, string(text))); diff != "" {
		t.Errorf("docs/operations.md (-Config +document):\n%s", diff)
	}
}

// The table of the variables of object stores names all, and no other.
func TestEveryBucketVariableIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Object stores\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var got []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, m := range regexp.MustCompile("`([A-Z0-9_]+)`").FindAllStringSubmatch(cells[2], -1) {
				got = append(got, m[1])
			}
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(slices.Values(bucket.Variables())), got); diff != "" {
		t.Errorf("docs/operations.md (-bucket.Variables +document):\n%s", diff)
	}
}

// The documented defaults are those of the program, whatever tags say.
func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := readConfig(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		DataDir: "slipway-data", NATSHost: "127.0.0.1", NATSPort: 4222, Sync: "always", Replicas: 1,
		PredictAddr: "127.0.0.1:8080", KeepPrevious: 5 * time.Minute, HealthAddr: "127.0.0.1:8081",
		PredictMaxBody: 16 << 20, PredictMaxRows: 100_000, PredictConcurrency: 256, PredictDeadline: 30 * time.Second,
		PredictMaxNodes: 1 << 26, PredictGrace: 10 * time.Second, PredictLogEvery: 1000,
		MaxArtifactBytes: 2 << 30, MaxRepositoryBytes: 1 << 30, MaxCommandBytes: 256 << 10, Concurrency: 64, Lease: 30 * time.Second, MaxAttempts: 5,
		Deadline: 15 * time.Minute, ReconcileInterval: time.Minute, Deadlines: deadlines{}, DrainTimeout: 20 * time.Second, LogFormat: "auto",
		Installation: deployment.OnPremises, Buckets: hiddenValues{},
		GitAuthorName: "Slipway", GitAuthorEmail: "slipway@localhost", ImagePlatform: "linux/amd64", CollectGrace: 24 * time.Hour, CollectVersions: 10,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	empty := make(map[string]string)
	for name := range variables(reflect.TypeFor[Config]()) {
		empty[name] = ""
	}
	if got, err = readConfig(t.Context(), empty); err != nil {
		t.Fatalf("empty variables: %v", err)
	}
	want.Credentials = hiddenValues{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("empty variables (-want +got):\n%s", diff)
	}
}

func TestEveryVariableIsRead(t *testing.T) {
	t.Parallel()
	environment := map[string]string{
		"SLIPWAY_DATA_DIR": "/data", "SLIPWAY_NATS_HOST": "::1", "SLIPWAY_NATS_PORT": "0", "SLIPWAY_SYNC": "250ms", "SLIPWAY_REPLICAS": "3", "SLIPWAY_MAX_STORE_BYTES": "5",
		"SLIPWAY_PREDICT_ADDR": ":9000", "SLIPWAY_PREDICT_URL": "https://predict.example/x", "SLIPWAY_SERVER_ID": "Server_1-a", "SLIPWAY_KEEP_PREVIOUS": "7m",
		"SLIPWAY_PREDICT_MAX_BODY_BYTES": "11", "SLIPWAY_PREDICT_MAX_ROWS": "12", "SLIPWAY_PREDICT_CONCURRENCY": "13", "SLIPWAY_PREDICT_DEADLINE": "14s",
		"SLIPWAY_PREDICT_MEMORY_BYTES": "15", "SLIPWAY_PREDICT_MAX_NODES": "16", "SLIPWAY_PREDICT_GRACE": "17s", "SLIPWAY_PREDICT_LOG_EVERY": "0",
		"SLIPWAY_HEALTH_ADDR": "[::1]:0", "SLIPWAY_ALLOW_FILE_URLS": "true", "SLIPWAY_MAX_ARTIFACT_BYTES": "1", "SLIPWAY_MAX_COMMAND_BYTES": "2",
		"SLIPWAY_CONCURRENCY": "3", "SLIPWAY_LEASE": "1s", "SLIPWAY_MAX_ATTEMPTS": "4", "SLIPWAY_DRAIN_TIMEOUT": "0s",
		"SLIPWAY_DEADLINE": "2m", "SLIPWAY_DEADLINES": "deploy:30m,replace:1h", "SLIPWAY_RECONCILE_INTERVAL": "3s",
		"SLIPWAY_LOG_FORMAT": "json", "SLIPWAY_LOG_LEVEL": "DEBUG",
		"SLIPWAY_STRICT_VALIDATION": "true", "SLIPWAY_INSTALLATION": "cloud", "SLIPWAY_PERMISSIONS": "churn=/pipelines/churn,*=/people/ada",
		"SLIPWAY_ACTORS_FILE": "config.go", "SLIPWAY_DRIFT_TRACKING": "feature",
		"SLIPWAY_ALLOW_PRIVATE_REDIRECTS": "true", "SLIPWAY_MACHINE_IDENTITY": "true", "AWS_REGION": "eu-central-1", "AZURE_STORAGE_KEY": "",
		"SLIPWAY_ALLOW_LOCAL_REPOSITORIES": "true", "SLIPWAY_ALLOW_HTTP_REPOSITORIES": "true", "SLIPWAY_MAX_REPOSITORY_BYTES": "6",
		"SLIPWAY_GC_INTERVAL": "11s", "SLIPWAY_GC_GRACE": "12s", "SLIPWAY_GC_VERSIONS": "13",
		"SLIPWAY_ALLOW_HTTP_REGISTRIES": "true", "SLIPWAY_IMAGE_PLATFORM": "linux/arm64",
		"SLIPWAY_KNOWN_HOSTS": "config.go", "SLIPWAY_CREDENTIALS_DIR": "testdata", "SLIPWAY_CREDENTIAL_GIT": "s3cret", "SLIPWAY_CREDENTIALS_BUCKET": "true",
		"SLIPWAY_GIT_AUTHOR_NAME": "Robot", "SLIPWAY_GIT_AUTHOR_EMAIL": "robot@example.com",
		"SLIPWAY_GATEWAY_ADDR": "0.0.0.0:8082", "SLIPWAY_GATEWAY_TOKEN_FILE": "config.go",
		"NATS_URL": "nats://a,nats://b", "NATS_CREDS": "c", "NATS_NKEY": "n", "NATS_CONTEXT": "x",
	}
	got, err := readConfig(t.Context(), environment)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		DataDir: "/data", NATSHost: "::1", NATSPort: 0, Sync: "250ms", Replicas: 3, MaxStore: 5, PredictAddr: ":9000",
		PredictMaxBody: 11, PredictMaxRows: 12, PredictConcurrency: 13, PredictDeadline: 14 * time.Second,
		PredictMemory: 15, PredictMaxNodes: 16, PredictGrace: 17 * time.Second,
		PredictURL: "https://predict.example/x", ServerID: "Server_1-a", KeepPrevious: 7 * time.Minute, HealthAddr: "[::1]:0", AllowFileURLs: true,
		MaxArtifactBytes: 1, MaxCommandBytes: 2, Concurrency: 3, Lease: time.Second, MaxAttempts: 4, LogFormat: "json", LogLevel: -4,
		Deadline: 2 * time.Minute, Deadlines: deadlines{"deploy": 30 * time.Minute, "replace": time.Hour}, ReconcileInterval: 3 * time.Second,
		StrictValidation: true, Installation: deployment.Cloud, ActorsFile: "config.go", DriftTracking: drift{FeatureDrift: deployment.DriftSetting{Enabled: true}},
		Permissions:           permissions{{Deployment: "churn", Actor: "/pipelines/churn"}, {Deployment: "*", Actor: "/people/ada"}},
		AllowPrivateRedirects: true, MachineIdentity: true, Buckets: hiddenValues{"AWS_REGION": "eu-central-1"},
		AllowLocalRepositories: true, AllowHTTPRepositories: true, MaxRepositoryBytes: 6, KnownHosts: "config.go", AllowHTTPRegistries: true, ImagePlatform: "linux/arm64",
		CollectInterval: 11 * time.Second, CollectGrace: 12 * time.Second, CollectVersions: 13, CredentialsDir: "testdata",
		GitAuthorName: "Robot", GitAuthorEmail: "robot@example.com",
		GatewayAddr: "0.0.0.0:8082", GatewayTokenFile: "config.go",
		Credentials: hiddenValues{"SLIPWAY_CREDENTIAL_GIT": "s3cret"}, CredentialsBucket: true,
		NATSURL: "nats://a,nats://b", NATSCreds: "c", NATSNKey: "n", NATSContext: "x",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	for name := range variables(reflect.TypeFor[Config]()) {
		if environment[name] == "" {
			t.Errorf("%s is not in this test", name)
		}
	}
}

// invalid are values that must end the program, for every variable that has some.
var invalid = map[string][]string{
	"SLIPWAY_ACTORS_FILE":            {"none", "testdata"},
	"SLIPWAY_DRIFT_TRACKING":         {"on", "TARGET", "target,feature"},
	"SLIPWAY_GIT_AUTHOR_NAME":        {"a<b", " ", "a\nb"},
	"SLIPWAY_GIT_AUTHOR_EMAIL":       {"<a@b>"},
	"SLIPWAY_NATS_HOST":              {"127.0.0.1:4222", "a b", "nats://host"},
	"SLIPWAY_NATS_PORT":              {"abc", "-1", "65536", "4222.0", "99999999999999999999"},
	"SLIPWAY_SYNC":                   {"never", "0s", "-1s", "5"},
	"SLIPWAY_MAX_STORE_BYTES":        {"-1", "a lot"},
	"SLIPWAY_REPLICAS":               {"0", "6", "-1", "one"},
	"SLIPWAY_PREDICT_ADDR":           {"8080", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536", "a b:1", "1:2:3"},
	"SLIPWAY_PREDICT_URL":            {"predict:8080", "/x", "ftp://x", "http://"},
	"SLIPWAY_SERVER_ID":              {"a.b", "a b", "*", "ä"},
	"SLIPWAY_PREDICT_MAX_BODY_BYTES": {"0", "-1", "16MB"},
	"SLIPWAY_PREDICT_MAX_ROWS":       {"0", "-1", "x"},
	"SLIPWAY_PREDICT_CONCURRENCY":    {"0", "-1", "1048577", "x"},
	"SLIPWAY_PREDICT_DEADLINE":       {"0s", "-1s", "30"},
	"SLIPWAY_PREDICT_MEMORY_BYTES":   {"-1", "1GB"},
	"SLIPWAY_PREDICT_MAX_NODES":      {"0", "-1", "x"},
	"SLIPWAY_PREDICT_GRACE":          {"0s", "-1s", "10"},
	"SLIPWAY_PREDICT_LOG_EVERY":      {"-1", "x"},
	"SLIPWAY_HEALTH_ADDR":            {"8081", "127.0.0.1:-1"},
	"SLIPWAY_ALLOW_FILE_URLS":        {"maybe", "2"},
	"SLIPWAY_MAX_ARTIFACT_BYTES":     {"0", "-1", "2GB"},
	"SLIPWAY_MAX_COMMAND_BYTES":      {"0", "-1", "x", "262145"},
	"SLIPWAY_CONCURRENCY":            {"0", "-1", "x"},
	"SLIPWAY_LEASE":                  {"999ms", "-1s", "30", "x"},
	"SLIPWAY_MAX_ATTEMPTS":           {"0", "-1", "x"},
	"SLIPWAY_DRAIN_TIMEOUT":          {"-1s", "20"},
	"SLIPWAY_DEADLINE":               {"0s", "-1m", "15"},
	"SLIPWAY_DEADLINES":              {"deploy", "deploy:0s", "deploy:-1m", "deploy:x"},
	"SLIPWAY_RECONCILE_INTERVAL":     {"0s", "-1m", "x"},
	"SLIPWAY_STRICT_VALIDATION":      {"maybe", "2"},
	"SLIPWAY_INSTALLATION":           {"on-prem", "Cloud", "both"},
	"SLIPWAY_PERMISSIONS":            {"churn", "churn=", "=/x", "*a=/x", "Churn=/x"},
	"SLIPWAY_LOG_FORMAT":             {"xml", "JSON"},
	"SLIPWAY_LOG_LEVEL":              {"loud", "5"},
	"NATS_URL":                       {"nats://%zz", "nats://host:port"},
	"NATS_CREDS":                     {"/no/such/file"},
	"NATS_NKEY":                      {"/no/such/file"},
	"NATS_CONTEXT":                   {"no-such-context", "../x"},
	"SLIPWAY_KEEP_PREVIOUS":          {"-1s", "5", "x"},
	"SLIPWAY_GATEWAY_ADDR":           {"8082", "127.0.0.1", "0.0.0.0:8082", ":8082", "example.com:8082", "[::]:0"},
	"SLIPWAY_GATEWAY_TOKEN_FILE":     {"/no/such/file", "testdata"},

	"SLIPWAY_ALLOW_PRIVATE_REDIRECTS":  {"maybe", "2"},
	"SLIPWAY_MACHINE_IDENTITY":         {"maybe", "2"},
	"SLIPWAY_ALLOW_LOCAL_REPOSITORIES": {"yes please"},
	"SLIPWAY_ALLOW_HTTP_REPOSITORIES":  {"2"},
	"SLIPWAY_ALLOW_HTTP_REGISTRIES":    {"maybe"},
	"SLIPWAY_MAX_REPOSITORY_BYTES":     {"0", "-1", "1GB"},
	"SLIPWAY_KNOWN_HOSTS":              {"/no/such/file", "testdata"},
	"SLIPWAY_CREDENTIALS_BUCKET":       {"credentials"},
	"SLIPWAY_GC_INTERVAL":              {"-1s", "often"},
	"SLIPWAY_GC_GRACE":                 {"-1s", "1"},
	"SLIPWAY_GC_VERSIONS":              {"-1", "all"},
	"SLIPWAY_IMAGE_PLATFORM":           {"linux", "linux/amd64/v3/x"},
	"SLIPWAY_CREDENTIALS_DIR":          {"/no/such/folder", "config.go"},
}

func TestInvalidValuesAreNamed(t *testing.T) {
	t.Parallel()
	for name := range variables(reflect.TypeFor[Config]()) {
		if invalid[name] == nil && name != "SLIPWAY_DATA_DIR" { // any path may be one
			t.Errorf("%s: no invalid value is tried", name)
		}
	}
	for name, values := range invalid {
		for _, value := range values {
			t.Run(name+"="+value, func(t *testing.T) {
				t.Parallel()
				code, stdout, stderr := runVerb(t, map[string]string{name: value}, "list")
				if code != exitUsage || stdout != "" {
					t.Errorf("got exit code %d and %q, want %d and nothing", code, stdout, exitUsage)
				}
				if !strings.HasPrefix(stderr, "slipway: ") || !strings.Contains(stderr, name+": ") || strings.Count(stderr, name) != 1 || strings.Count(stderr, "\n") != 1 {
					t.Errorf("got %q, want one line that names %s", stderr, name)
				}
			})
		}
	}
}

func TestEverythingWrongIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	code, _, stderr := runVerb(t, map[string]string{"SLIPWAY_REPLICAS": "9", "SLIPWAY_LEASE": "1ms", "SLIPWAY_SYNC": "never"}, "up")
	for _, want := range []string{"SLIPWAY_REPLICAS: expected 1 to 5, got 9", "SLIPWAY_LEASE: expected 1s or more, got 1ms", "SLIPWAY_SYNC: expected always, or an interval such as 250ms, got never"} {
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("got %d %q, want %d and %q", code, stderr, exitUsage, want)
		}
	}
}

// runVerb runs the program with these variables alone.
func runVerb(tb testing.TB, environment map[string]string, args ...string) (code int, stdout, stderr string) {
	tb.Helper()
	var out, problems strings.Builder
	code = run(tb.Context(), args, environment, strings.NewReader(""), &out, &problems)
	return code, out.String(), problems.String()
}

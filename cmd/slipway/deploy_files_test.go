package main

import (
	"encoding/json"
	"fmt"
	"go/version"
	"maps"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// Dockerfile and compose.yaml name things that live in this package: environment variables, verbs, versions.
// These tests hold them together; no Docker is needed.

func TestDockerfile(t *testing.T) {
	t.Parallel()
	d := parseDockerfile(readFile(t, "../../Dockerfile"))
	for _, fault := range slices.Concat(
		dockerImageFaults(d),
		dockerBuildFaults(d, goModVersion(t, "go")),
		dockerFinalFaults(d),
		dockerVerbFaults(d, verbs()),
		envFaults("Dockerfile", d.env(), environmentOf(reflect.TypeFor[Config]())),
	) {
		t.Error(fault)
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	c, err := parseCompose(readFile(t, "../../compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	imageChecks := len(parseDockerfile(readFile(t, "../../Dockerfile")).final("HEALTHCHECK")) > 0
	known := environmentOf(reflect.TypeFor[Config]())
	for name, s := range c.Services {
		for _, fault := range slices.Concat(
			composeImageFaults(name, s, goModVersion(t, "github.com/nats-io/nats-server/v2")),
			composePortFaults(name, s),
			composeHealthFaults(name, s, imageChecks),
		) {
			t.Error(fault)
		}
		if !s.ours() {
			continue
		}
		for _, fault := range slices.Concat(
			composeVerbFaults(name, s, verbs()),
			composeHardeningFaults(name, s),
			envFaults(name, s.env(), known),
		) {
			t.Error(fault)
		}
	}
}

// Dockerfile

// dockerfile is the instructions of a Dockerfile by stage.
type dockerfile []stage

type stage struct {
	image, name  string
	instructions []instruction
}

type instruction struct{ name, args string }

// parseDockerfile knows comments, continued lines and stages. Instructions before the first FROM are dropped.
func parseDockerfile(text string) dockerfile {
	var d dockerfile
	text = regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`\\[ \t]*\n`).ReplaceAllString(text, " ")
	for line := range strings.Lines(text) {
		name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		in := instruction{strings.ToUpper(name), strings.TrimSpace(args)}
		switch {
		case in.name == "FROM":
			words := slices.DeleteFunc(strings.Fields(args), func(w string) bool { return strings.HasPrefix(w, "--") })
			s := stage{image: words[0]}
			if len(words) == 3 {
				s.name = words[2]
			}
			d = append(d, s)
		case in.name != "" && len(d) > 0:
			last := &d[len(d)-1]
			last.instructions = append(last.instructions, in)
		}
	}
	return d
}

// find is the arguments of every instruction of that name in the stage.
func (s stage) find(name string) []string {
	var found []string
	for _, in := range s.instructions {
		if in.name == name {
			found = append(found, in.args)
		}
	}
	return found
}

// final is the arguments of every instruction of that name in the stage that becomes the image.
func (d dockerfile) final(name string) []string {
	if len(d) == 0 {
		return nil
	}
	return d[len(d)-1].find(name)
}

// env is the names of the variables that the image sets.
func (d dockerfile) env() []string {
	var names []string
	for _, args := range d.final("ENV") {
		for word := range strings.FieldsSeq(args) {
			name, _, _ := strings.Cut(word, "=")
			names = append(names, name)
		}
	}
	return names
}

// dockerImageFaults: what is built on has an exact version, also when it is only copied from.
func dockerImageFaults(d dockerfile) []string {
	var faults, stages []string
	check := func(image string) {
		if image != "scratch" && !slices.Contains(stages, image) && !pinned(image) {
			faults = append(faults, fmt.Sprintf("Dockerfile: image %s has no exact version", image))
		}
	}
	for i, s := range d {
		check(s.image)
		stages = append(stages, s.name, strconv.Itoa(i))
		for _, args := range s.find("COPY") {
			for word := range strings.FieldsSeq(args) {
				if from, ok := strings.CutPrefix(word, "--from="); ok {
					check(from)
				}
			}
		}
	}
	return faults
}

// dockerBuildFaults: built without cgo, by a Go that go.mod accepts and of the same line.
func dockerBuildFaults(d dockerfile, goMod string) []string {
	var faults []string
	built := false
	for _, s := range d {
		env := strings.Join(s.find("ENV"), " ")
		for _, run := range s.find("RUN") {
			if !strings.Contains(run, "go build") {
				continue
			}
			built = true
			if !slices.Contains(strings.Fields(env+" "+run), "CGO_ENABLED=0") {
				faults = append(faults, "Dockerfile: go build without CGO_ENABLED=0: the binary would need a C library")
			}
			if !slices.Contains(strings.Fields(run), "-trimpath") {
				faults = append(faults, "Dockerfile: go build without -trimpath")
			}
			tag, isGo := strings.CutPrefix(s.image, "golang:")
			number, _, _ := strings.Cut(tag, "-")
			have, want := "go"+number, "go"+goMod
			if !isGo || version.Compare(have, want) < 0 || version.Lang(have) != version.Lang(want) {
				faults = append(faults, fmt.Sprintf("Dockerfile: built in %s, but go.mod asks for go %s", s.image, goMod))
			}
		}
	}
	if !built {
		faults = append(faults, "Dockerfile: no stage runs go build")
	}
	return faults
}

// dockerFinalFaults: the image holds the binary and little else, is not root, and checks its health.
func dockerFinalFaults(d dockerfile) []string {
	var faults []string
	if len(d) == 0 {
		return []string{"Dockerfile: no stage"}
	}
	if image := d[len(d)-1].image; image != "scratch" && !strings.Contains(image, "/distroless/") {
		faults = append(faults, fmt.Sprintf("Dockerfile: the last stage is %s, not scratch or distroless", image))
	}
	// By number, or Kubernetes' runAsNonRoot cannot tell.
	if users := d.final("USER"); len(users) == 0 || !regexp.MustCompile(`^[1-9]\d*(:[1-9]\d*)?$`).MatchString(users[len(users)-1]) {
		faults = append(faults, fmt.Sprintf("Dockerfile: USER is %q, not the number of a user that is not root", users))
	}
	if len(d.final("HEALTHCHECK")) != 1 {
		faults = append(faults, "Dockerfile: the last stage has no HEALTHCHECK")
	}
	return faults
}

// dockerVerbFaults: what the image runs by default and as its health check are verbs, in exec form as there
// is no shell.
func dockerVerbFaults(d dockerfile, verbs []string) []string {
	var faults []string
	entrypoint, err := execForm(strings.Join(d.final("ENTRYPOINT"), " "))
	if err != nil || len(entrypoint) != 1 {
		return []string{"Dockerfile: ENTRYPOINT is not one path in exec form"}
	}
	cmd, err := execForm(strings.Join(d.final("CMD"), " "))
	if err != nil || len(cmd) == 0 || !slices.Contains(verbs, cmd[0]) {
		faults = append(faults, fmt.Sprintf("Dockerfile: CMD %q is not a verb in exec form", cmd))
	}
	_, check, _ := strings.Cut(strings.Join(d.final("HEALTHCHECK"), " "), "CMD ")
	words, err := execForm(check)
	if err != nil || len(words) < 2 || words[0] != entrypoint[0] || !slices.Contains(verbs, words[1]) {
		faults = append(faults, fmt.Sprintf("Dockerfile: HEALTHCHECK %q is not a verb of %s in exec form", words, entrypoint[0]))
	}
	return faults
}

func execForm(args string) ([]string, error) {
	var words []string
	err := json.Unmarshal([]byte(args), &words)
	return words, err
}

// compose.yaml

type compose struct {
	Services map[string]service `json:"services"`
}

// service has the members of a compose service that the rules are about. What Compose lets one write in
// two ways is any.
type service struct {
	Image       string   `json:"image"`
	Build       any      `json:"build"`
	Command     any      `json:"command"`
	Environment any      `json:"environment"`
	Ports       []any    `json:"ports"`
	ReadOnly    bool     `json:"read_only"`
	CapDrop     []string `json:"cap_drop"`
	SecurityOpt []string `json:"security_opt"`
	HealthCheck *struct {
		Test    any  `json:"test"`
		Disable bool `json:"disable"`
	} `json:"healthcheck"`
}

func parseCompose(text string) (compose, error) {
	var c compose
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		return c, err
	}
	if len(c.Services) == 0 {
		return c, fmt.Errorf("compose.yaml: no services")
	}
	return c, nil
}

// ours reports whether the service runs the image of our Dockerfile.
func (s service) ours() bool { return s.Build != nil }

// env is the names of the variables the service sets, written as a mapping or as a list.
func (s service) env() []string {
	switch env := s.Environment.(type) {
	case map[string]any:
		return slices.Sorted(maps.Keys(env))
	case []any:
		var names []string
		for _, entry := range env {
			name, _, _ := strings.Cut(fmt.Sprint(entry), "=")
			names = append(names, name)
		}
		return names
	default:
		return nil
	}
}

// composeImageFaults: what is pulled has an exact version, and NATS that of the server inside our binary.
func composeImageFaults(name string, s service, natsServer string) []string {
	if s.ours() {
		return nil // what it is called is ours to choose; what it is made from, the Dockerfile says
	}
	if !pinned(s.Image) {
		return []string{fmt.Sprintf("%s: image %q has no exact version", name, s.Image)}
	}
	repository, tag, _ := strings.Cut(s.Image, ":")
	if number, _, _ := strings.Cut(tag, "-"); path.Base(repository) == "nats" && "v"+number != natsServer {
		return []string{fmt.Sprintf("%s: image %s, but go.mod has nats-server %s", name, s.Image, natsServer)}
	}
	return nil
}

// composePortFaults: a port is published on this machine only. Without an address it would be on all of
// them, past the firewall.
func composePortFaults(name string, s service) []string {
	var faults []string
	for _, port := range s.Ports {
		local := false
		switch p := port.(type) {
		case string:
			local = strings.HasPrefix(p, "127.0.0.1:") && strings.Count(p, ":") == 2
		case map[string]any:
			local = p["host_ip"] == "127.0.0.1"
		}
		if !local {
			faults = append(faults, fmt.Sprintf("%s: port %v is not bound to 127.0.0.1", name, port))
		}
	}
	return faults
}

// composeHealthFaults: there is a health check, the image's or the service's own.
func composeHealthFaults(name string, s service, imageChecks bool) []string {
	checked := s.ours() && imageChecks
	if s.HealthCheck != nil {
		checked = !s.HealthCheck.Disable && s.HealthCheck.Test != nil || checked && !s.HealthCheck.Disable
	}
	if !checked {
		return []string{fmt.Sprintf("%s: no health check", name)}
	}
	return nil
}

// composeVerbFaults: what follows the entry point begins with a verb.
func composeVerbFaults(name string, s service, verbs []string) []string {
	var words []string
	switch command := s.Command.(type) {
	case nil:
		return nil // the image's CMD
	case string:
		words = strings.Fields(command)
	case []any:
		for _, word := range command {
			words = append(words, fmt.Sprint(word))
		}
	}
	if len(words) == 0 || !slices.Contains(verbs, words[0]) {
		return []string{fmt.Sprintf("%s: command %q is not a verb", name, words)}
	}
	return nil
}

// composeHardeningFaults: our binary needs no capability and writes nowhere but to its volumes.
func composeHardeningFaults(name string, s service) []string {
	if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		return []string{fmt.Sprintf("%s: not read_only, with cap_drop [ALL] and no-new-privileges", name)}
	}
	return nil
}

// Both

// pinned reports whether the image has a version of three numbers, or a digest.
func pinned(image string) bool {
	return regexp.MustCompile(`^[^:@$]+(:\d+/[^:@$]+)?(:v?\d+\.\d+\.\d+(-[\w.-]+)?|@sha256:[0-9a-f]{64})$`).MatchString(image)
}

// envFaults: a variable that nothing reads is a misspelling.
func envFaults(where string, names, known []string) []string {
	var faults []string
	for _, name := range names {
		if !slices.Contains(known, name) {
			faults = append(faults, fmt.Sprintf("%s: sets %s, which Config does not read", where, name))
		}
	}
	return faults
}

// environmentOf is every variable a go-envconfig struct reads, nested structs and their prefixes included.
func environmentOf(config reflect.Type) []string {
	if config.Kind() == reflect.Pointer {
		config = config.Elem()
	}
	if config.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for field := range config.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("env"), ",")
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
			continue
		}
		prefix := ""
		for option := range strings.SplitSeq(options, ",") {
			if value, ok := strings.CutPrefix(strings.TrimSpace(option), "prefix="); ok {
				prefix = value
			}
		}
		for _, nested := range environmentOf(field.Type) {
			names = append(names, prefix+nested)
		}
	}
	return names
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goModVersion is what stands after the name in go.mod: that of a module, or of go itself.
func goModVersion(t *testing.T, name string) string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(name) + ` (\S+)`)
	found := line.FindStringSubmatch(readFile(t, "../../go.mod"))
	if found == nil {
		t.Fatalf("go.mod has no %s", name)
	}
	return found[1]
}

// The rules above are worth nothing if they cannot fail.

func TestDockerfileFaultsAreFound(t *testing.T) {
	t.Parallel()
	const (
		build = "FROM golang:1.26.8-bookworm AS build\nENV CGO_ENABLED=0\nRUN go build -trimpath \\\n  # a comment\n  ./cmd/slipway\n"
		final = "FROM scratch\nCOPY --from=build /a /b\nUSER 65532:65532\nHEALTHCHECK --timeout=5s CMD [\"/slipway\", \"health\"]\nENTRYPOINT [\"/slipway\"]\nCMD [\"up\"]\n"
	)
	faults := func(text string) []string {
		d := parseDockerfile(text)
		return slices.Concat(
			dockerImageFaults(d), dockerBuildFaults(d, "1.26.0"), dockerFinalFaults(d),
			dockerVerbFaults(d, []string{"up", "health"}), envFaults("Dockerfile", d.env(), []string{"SLIPWAY_A"}),
		)
	}
	for _, test := range []struct{ name, old, new, want string }{
		{"nothing wrong", "", "", ""},
		{"floating tag", "FROM scratch", "FROM gcr.io/distroless/static:latest", "Dockerfile: image gcr.io/distroless/static:latest has no exact version"},
		{"no tag", "FROM scratch", "FROM gcr.io/distroless/static", "Dockerfile: image gcr.io/distroless/static has no exact version"},
		{"floating image copied from", "--from=build", "--from=alpine:3", "Dockerfile: image alpine:3 has no exact version"},
		{"cgo", "ENV CGO_ENABLED=0", "ENV CGO_ENABLED=1", "Dockerfile: go build without CGO_ENABLED=0: the binary would need a C library"},
		{"paths of the machine", "-trimpath", "", "Dockerfile: go build without -trimpath"},
		{"older Go", "golang:1.26.8-bookworm", "golang:1.25.9-bookworm", "Dockerfile: built in golang:1.25.9-bookworm, but go.mod asks for go 1.26.0"},
		{"newer Go", "golang:1.26.8-bookworm", "golang:1.27.0", "Dockerfile: built in golang:1.27.0, but go.mod asks for go 1.26.0"},
		{"nothing built", "go build", "true", "Dockerfile: no stage runs go build"},
		{"a whole system", "FROM scratch", "FROM debian:12.1.0", "Dockerfile: the last stage is debian:12.1.0, not scratch or distroless"},
		{"root", "USER 65532:65532", "USER 0:0", `Dockerfile: USER is ["0:0"], not the number of a user that is not root`},
		{"user by name", "USER 65532:65532", "USER slipway", `Dockerfile: USER is ["slipway"], not the number of a user that is not root`},
		{"root by default", "USER 65532:65532\n", "", `Dockerfile: USER is [], not the number of a user that is not root`},
		{"health check by shell", `CMD ["/slipway", "health"]`, "CMD /slipway health", `Dockerfile: HEALTHCHECK [] is not a verb of /slipway in exec form`},
		{"health check by another program", `["/slipway", "health"]`, `["curl", "health"]`, `Dockerfile: HEALTHCHECK ["curl" "health"] is not a verb of /slipway in exec form`},
		{"unknown verb", `["up"]`, `["upp"]`, `Dockerfile: CMD ["upp"] is not a verb in exec form`},
		{"entry point by shell", `["/slipway"]`, "/slipway", "Dockerfile: ENTRYPOINT is not one path in exec form"},
		{"misspelt variable", "USER", "ENV SLIPWAY_A=1 SLIPWAY_B=2\nUSER", "Dockerfile: sets SLIPWAY_B, which Config does not read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(faults(strings.Replace(build+final, test.old, test.new, 1)), "\n")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
	if got := dockerFinalFaults(parseDockerfile(strings.Replace(build+final, "HEALTHCHECK", "LABEL", 1))); len(got) != 1 {
		t.Errorf("without HEALTHCHECK: got %q, want one fault", got)
	}
}

func TestComposeFaultsAreFound(t *testing.T) {
	t.Parallel()
	const text = `
x-ours: &ours
  build: .
  read_only: true
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
services:
  nats:
    image: nats:2.15.2-alpine
    ports: ["127.0.0.1:4222:4222", {host_ip: 127.0.0.1, target: 8222, published: 8222}]
    healthcheck: {test: [CMD, "true"]}
  worker:
    <<: *ours
    command: [worker]
    environment: {SLIPWAY_A: 1}
`
	faults := func(text string) []string {
		c, err := parseCompose(text)
		if err != nil {
			return []string{"does not parse"}
		}
		var found []string
		for _, name := range slices.Sorted(maps.Keys(c.Services)) {
			s := c.Services[name]
			found = slices.Concat(found, composeImageFaults(name, s, "v2.15.2"), composePortFaults(name, s), composeHealthFaults(name, s, true))
			if s.ours() {
				found = slices.Concat(found, composeVerbFaults(name, s, []string{"worker"}), composeHardeningFaults(name, s), envFaults(name, s.env(), []string{"SLIPWAY_A"}))
			}
		}
		return found
	}
	for _, test := range []struct{ name, old, new, want string }{
		{"nothing wrong", "", "", ""},
		{"not YAML", "services:", "services: [", "does not parse"},
		{"no services", "services:", "servises:", "does not parse"},
		{"floating tag", "nats:2.15.2-alpine", "nats:2.15-alpine", `nats: image "nats:2.15-alpine" has no exact version`},
		{"latest", "nats:2.15.2-alpine", "nats:latest", `nats: image "nats:latest" has no exact version`},
		{"no tag", "nats:2.15.2-alpine", "registry:5000/nats", `nats: image "registry:5000/nats" has no exact version`},
		{"tag from a variable", "nats:2.15.2-alpine", "nats:${NATS}", `nats: image "nats:${NATS}" has no exact version`},
		{"another NATS than the binary's", "nats:2.15.2-alpine", "nats:2.15.1-alpine", "nats: image nats:2.15.1-alpine, but go.mod has nats-server v2.15.2"},
		{"published everywhere", `"127.0.0.1:4222:4222"`, `"4222:4222"`, "nats: port 4222:4222 is not bound to 127.0.0.1"},
		{"published everywhere, as a number", `"127.0.0.1:4222:4222"`, "4222", "nats: port 4222 is not bound to 127.0.0.1"},
		{"published everywhere, in long form", "host_ip: 127.0.0.1, ", "", "nats: port map[published:8222 target:8222] is not bound to 127.0.0.1"},
		{"no health check", `healthcheck: {test: [CMD, "true"]}`, "", "nats: no health check"},
		{"health check off", "command:", "healthcheck: {disable: true}\n    command:", "worker: no health check"},
		{"unknown verb", "[worker]", "[wroker]", `worker: command ["wroker"] is not a verb`},
		{"misspelt variable", "{SLIPWAY_A: 1}", "{SLIPWAY_B: 1}", "worker: sets SLIPWAY_B, which Config does not read"},
		{"misspelt variable in a list", "{SLIPWAY_A: 1}", "[SLIPWAY_B=1]", "worker: sets SLIPWAY_B, which Config does not read"},
		{"writable", "read_only: true", "read_only: false", "worker: not read_only, with cap_drop [ALL] and no-new-privileges"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(faults(strings.Replace(text, test.old, test.new, 1)), "\n")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnvironmentOfNestedStructs(t *testing.T) {
	t.Parallel()
	type nested struct {
		URL string `env:"URL, required"`
	}
	type config struct {
		Dir    string `env:"DIR,default=x"`
		Plain  nested
		Prefix *nested `env:", prefix=NATS_"`
		None   int
	}
	want := []string{"DIR", "URL", "NATS_URL"}
	if diff := cmp.Diff(want, environmentOf(reflect.TypeFor[config]())); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}
